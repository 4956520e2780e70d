-- A queue between a task and a thread that knows nothing of curio's tasks: it has the same methods
-- on both sides. From curio's README.
--
--     curio examples/universal.lua [N [PAUSE]]

local curio = require "curio"

-- Plain code, in a thread.
local function consumer(queue)
  while true do
    local item = queue:get()
    if item == nil then
      break
    end
    print("Got:", item)
  end
end

local function producer(n, pause, queue)
  for x = 0, n - 1 do
    queue:put(x)
    curio.sleep(pause)
  end
  queue:put(nil)
end

curio.run(function()
  local queue = curio.UniversalQueue()
  local thread = assert(curio.Thread(consumer, queue))
  local task = curio.spawn(producer, tonumber(arg[1] or 10), tonumber(arg[2] or 1), queue)
  task:join()
  thread:join()
end)
