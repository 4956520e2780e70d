-- What every torture script costs before it begins.
print "ok"
