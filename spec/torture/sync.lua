-- Locks, events, conditions and queues: handed over, given up, closed.
local curio = require "curio"

local function pass_items(queue, n)
  local producer = curio.spawn(function()
    local _ <close> = queue
    for i = 1, n do
      queue:put(i)
    end
  end)
  local sum = 0
  for item in queue:iter() do
    sum = sum + item
    queue:task_done()
  end
  producer:join()
  queue:join()
  return sum
end

for _, kind in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
  assert(pass_items(curio[kind](1), 20) == 210)
  assert(pass_items(curio[kind](), 40) == 820)
  local full = curio[kind](1)
  full:put "x"
  assert(not full:try_put "y")
  local putter = curio.spawn(full.put, full, "y")
  curio.sleep(0)
  putter:cancel()
  assert(full:get() == "x" and not full:try_get())
  local getter = curio.spawn(full.get, full)
  curio.sleep(0)
  full:close()
  assert(curio.is(select(2, getter:join()), curio.QueueClosed))
end

for _, kind in ipairs { "Lock", "RLock", "Semaphore", "BoundedSemaphore" } do
  local lock, inside = curio[kind](), 0
  local group <close> = curio.TaskGroup()
  for _ = 1, 3 do
    group:spawn(function()
      local _ <close> = lock:acquire()
      inside = inside + 1
      curio.sleep(0)
      assert(inside == 1)
      inside = inside - 1
    end)
  end
end

local condition, ready = curio.Condition(), false
local waiter = curio.spawn(function()
  local _ <close> = condition:acquire()
  condition:wait_for(function() return ready end)
end)
curio.sleep(0)
do
  local _ <close> = condition:acquire()
  ready = true
  condition:notify_all()
end
waiter:join()

local event, result = curio.Event(), curio.Result()
local reader = curio.spawn(function()
  event:wait()
  return result:unwrap()
end)
event:set()
result:set_value(7)
assert(reader:join() == 7)

local list = curio.sched.SchedFIFO()
local sleeper = curio.spawn(list.suspend, list, "HERE", "brought")
curio.sleep(0)
local woken, offer = list:wake(1, "given")
assert(woken == 1 and offer == "brought" and sleeper:join() == "given")
print "ok"
