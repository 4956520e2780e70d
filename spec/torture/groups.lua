-- Groups: joined, failing, with a body, waiting for any; and the synchronisation they need.
local curio = require "curio"

local function double(n)
  curio.sleep(0)
  return 2 * n
end

local group = curio.TaskGroup()
for i = 1, 10 do
  group:spawn(double, i)
end
group:join()
assert(#group.results == 10)

local sum = curio.group(function(g)
  local a, b = g:spawn(double, 1), g:spawn(double, 2)
  return a:join() + b:join()
end)
assert(sum == 6)

local ended, err = pcall(curio.group, function(g)
  g:spawn(curio.sleep, 100)
  g:spawn(error, "expected")
  curio.sleep(100)
end)
assert(not ended and curio.is(err, curio.TaskError), err)

do
  local any <close> = curio.TaskGroup { wait = "any" }
  any:spawn(curio.sleep, 100)
  any:spawn(double, 3)
end

local started = curio.TaskGroup()
assert(started:start(function()
  curio.started(7)
  curio.sleep(0)
end) == 7)
started:join()

local mine = curio.Local()
mine.name = "main"
assert(curio.spawn(function() return mine.name end):join() == "main")
print "ok"
