-- Producers and consumers with a bounded queue: producers wait while it is full, consumers while it
-- is empty.
--
--     curio examples/prodcons.lua

local curio = require "curio"

local function producer(name, n, queue)
  for i = 1, n do
    queue:put(name .. i)
  end
  print("Producer " .. name .. " done")
end

local function consumer(name, queue)
  for item in queue:iter() do
    print(("Consumer %s got %s"):format(name, item))
    curio.sleep(0.01)
    queue:task_done()
  end
  print("Consumer " .. name .. " done")
end

curio.run(function()
  local queue = curio.Queue(2)
  local consumers <close> = curio.TaskGroup()
  consumers:spawn(consumer, "1", queue)
  consumers:spawn(consumer, "2", queue)
  do
    local producers <close> = curio.TaskGroup()
    producers:spawn(producer, "a", 4, queue)
    producers:spawn(producer, "b", 4, queue)
  end
  queue:join()
  print "All items processed"
  queue:close()
end)
