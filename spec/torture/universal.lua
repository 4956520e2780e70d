-- Universal objects between tasks and threads: full, closed, given up, with a descriptor.
local curio = require "curio"

-- A task that dies of a failure may leave the others waiting.
local _ <close> = curio.timeout_after(2)

local q = curio.UniversalQueue { maxsize = 2 }
local producer = assert(curio.Thread(function(queue)
  for i = 1, 10 do
    queue:put { i, tostring(i) }
  end
  queue:close()
end, q))
local n = 0
for item in q:iter() do
  n = n + 1
  assert(item[1] == n and item[2] == tostring(n))
end
assert(n == 10)
producer:join()
assert(not pcall(q.put, q, 1))

local event, result = curio.UniversalEvent(), curio.UniversalResult()
local waiter = assert(curio.Thread(function(e, r)
  e:wait()
  r:set_value { "done" }
end, event, result))
event:set()
assert(result:unwrap()[1] == "done")
waiter:join()

local watched <close> = curio.UniversalQueue { withfd = true }
assert(watched:fileno() >= 0)
watched:put(1)
curio.traps.read_wait(watched:fileno())
assert(watched:get() == 1)

local given_up = curio.spawn(watched.get, watched)
curio.sleep(0)
given_up:cancel()
watched:put "kept"
assert(watched:get() == "kept")
print "ok"
