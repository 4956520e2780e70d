-- Threads that work with queues and a lock of their kernel: what they get are proxies, whose
-- methods do in the kernel what they say, while the thread waits.
--
--     curio examples/askthread.lua

local curio = require "curio"

-- In a thread.
local function worker(name, jobs, results, lock)
  for number in jobs:iter() do
    local sum = 0
    for i = 1, number do -- here it computes, and keeps nobody from anything
      sum = sum + i
    end
    local _ <close> = lock:acquire()
    results:put { name = name, number = number, sum = sum }
  end
  curio.AWAIT(print, name .. " has ended") -- any function, run in the kernel
end

curio.run(function()
  local jobs, results, lock = curio.Queue(2), curio.Queue(), curio.Lock()
  do
    local threads <close> = curio.TaskGroup()
    threads:spawn_thread(worker, "one", jobs, results, lock)
    threads:spawn_thread(worker, "two", jobs, results, lock)
    for number = 1000, 10000, 1000 do
      jobs:put(number)
    end
    jobs:close()
  end
  local total = 0
  while not results:empty() do
    total = total + results:get().sum
  end
  print("total", total)
end)
