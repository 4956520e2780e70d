-- D28: in curio 1.6 a task that called get between the wake-up of a getter and its running took the
-- getter's item, and the getter went to the end of the line. The same for putters.

local curio = require "curio"
local testing = require "curio.testing"

local it = testing.it(it)

describe("A task between a wake-up and its running", function()
  for _, kind in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
    it("cannot take the item of a getter (" .. kind .. ")", function()
      local queue, seen = curio[kind](), {}
      local function getter(name)
        local item = queue:get()
        seen[#seen + 1] = name .. item
      end
      local tasks = { curio.spawn(getter, "a") }
      tasks[2] = curio.spawn(getter, "b")
      testing.wait_all_blocked()
      queue:put(1)
      assert.is_false((queue:try_get()))
      assert.is_nil((curio.ignore_after(0.001, queue.get, queue)))
      queue:put(2)
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.same({ "a1", "b2" }, seen)
    end)

    it("cannot take the place of a putter (" .. kind .. ")", function()
      local queue, seen = curio[kind](1), {}
      queue:put(0)
      local putter = curio.spawn(queue.put, queue, 1)
      testing.wait_all_blocked()
      seen[1] = queue:get()
      assert.is_false(queue:try_put(9))
      local late = curio.spawn(queue.put, queue, 2)
      testing.wait_all_blocked()
      seen[2] = queue:get()
      seen[3] = queue:get()
      assert.same({ 0, 1, 2 }, seen)
      putter:join()
      late:join()
    end)
  end

  it("cannot take the lock of an heir", function()
    local lock, seen = curio.Lock(), {}
    lock:acquire()
    local heir = curio.spawn(function()
      local _ <close> = lock:acquire()
      seen[#seen + 1] = "heir"
    end)
    testing.wait_all_blocked()
    lock:release()
    lock:acquire()
    seen[#seen + 1] = "main"
    lock:release()
    heir:join()
    assert.same({ "heir", "main" }, seen)
  end)
end)
