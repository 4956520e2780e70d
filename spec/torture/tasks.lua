-- Tasks made, joined, failing, named, in generators; more than fit the first table of tasks.
local curio = require "curio"

local tasks = {}
for i = 1, 100 do
  tasks[i] = curio.spawn(function(a, b)
    curio.sleep(0)
    return a, b
  end, i, "b")
end
for i, task in ipairs(tasks) do
  local a, b = task:join()
  assert(a == i and b == "b")
end

local task = curio.spawn { function() error "expected" end, name = "failing", daemon = true }
local joined, err = pcall(task.join, task)
assert(not joined and curio.is(err, curio.TaskError), err)
assert(tostring(err):find "expected", err)
assert(task.name == "failing")

local function ticks(n)
  return coroutine.wrap(function()
    for i = 1, n do
      curio.sleep(0)
      coroutine.yield(i)
    end
  end)
end
local count = 0
for _ in ticks(3) do
  count = count + 1
end
assert(count == 3)
print "ok"
