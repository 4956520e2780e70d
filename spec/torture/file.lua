-- Files: read, written, shared, cancelled, closed and left behind.
local curio = require "curio"

local path = os.tmpname()
local file = assert(curio.aopen(path, "w+"))
assert(file:write("one\n", 2, " ", 0.5, "\n"))
assert(file:write(("x"):rep(70000), "\n"))
assert(file:seek("set") == 0)
assert(file:read() == "one")
local two, half = file:read("n", "n")
assert(two == 2 and half == 0.5)
assert(file:read("l") == "" and #file:read("L") == 70001 and file:read() == nil)
assert(file:truncate(4) == 4 and file:seek("end") == 4)

local writers = {}
for i = 1, 3 do
  writers[i] = curio.spawn(function()
    assert(file:write(i):flush())
  end)
end
curio.sleep(0)
writers[3]:cancel { blocking = false }
for _, task in ipairs(writers) do
  task:wait()
end
assert(file:seek("set"))
assert(file:lines()() == "one")
local sleeper = curio.spawn(file.flush, file)
assert(file:close())
sleeper:wait()
assert(not file:read())

local none, err = curio.aopen "/no/such/file"
assert(none == nil and curio.is(err, curio.OSError), err)
local opening = curio.spawn(curio.aopen, path)
curio.sleep(0)
opening:cancel()
assert(#assert(curio.aopen(path)):readlines() == 2)
collectgarbage()
os.remove(path)
print "ok"
