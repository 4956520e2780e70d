-- Calls in threads, a thread that asks its kernel, a plain one; results and errors.

local curio = require "curio"

curio.run(function()
  assert(curio.run_in_thread(function(a, t)
    return a + t[1]
  end, 1, { 2 }) == 3)
  assert(not pcall(curio.run_in_thread, error, "it broke"))
  local q = curio.Queue()
  local t = curio.spawn_thread(function(queue)
    queue:put(5)
    return curio.AWAIT(math.tointeger, 7)
  end, q)
  assert(q:get() == 5)
  assert(t:join() == 7)
  assert(assert(curio.Thread(math.tointeger, 4)):join() == 4)
  local task = curio.spawn(curio.run_in_thread, function()
    while true do end
  end)
  curio.sleep(0)
  task:cancel()
end)
print "ok"
