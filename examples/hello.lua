-- The program of curio's tutorial: a parent waits for a child who plays with friends. Tasks, an
-- event, timeouts, a group, work in another process, and a cancellation that lets all of them put
-- away their things.
--
--     curio examples/hello.lua [SECONDS]      how long a second of theirs is

local curio = require "curio"

local SECOND = tonumber(arg[1] or 1)

-- A variable that prints when its block ends, however that comes about.
local function finally(...)
  local words = table.pack(...)
  return setmetatable({}, { __close = function() print(table.unpack(words, 1, words.n)) end })
end

local function friend(name)
  print("Hi, my name is", name)
  local _ <close> = finally(name, "going home")
  curio.sleep(1000 * SECOND)
end

local function fib(n)
  return n <= 2 and 1 or fib(n - 1) + fib(n - 2)
end

local function kid(start)
  while not start:is_set() do
    print "Can I play?"
    curio.ignore_after(SECOND, start.wait, start)
  end
  print "Building the Millenium Falcon in Minecraft"
  local friends <close> = curio.TaskGroup()
  for _, name in ipairs { "Max", "Lillian", "Thomas" } do
    friends:spawn(friend, name)
  end
  local _ <close> = finally "Fine. Saving my work."
  for n = 1, 60 do -- the last ones would take hours
    curio.run_in_process(fib, n)
  end
end

curio.run(function()
  local start = curio.Event()
  local child = curio.spawn(kid, start)
  curio.sleep(2.5 * SECOND)
  print "Yes, go play"
  start:set()
  curio.sleep(SECOND)
  for n = 5, 1, -1 do
    print("T-minus", n)
    curio.sleep(SECOND)
  end
  print "We're leaving!"
  if not curio.ignore_after { 2 * SECOND, child.wait, child, timeout_result = false } then
    print "I warned you!"
    child:cancel()
  end
end)
