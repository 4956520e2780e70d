-- D1: in curio 1.6 Condition.notify with fewer waiters than it was told to wake killed the kernel.

local curio = require "curio"
local testing = require "curio.testing"

local it = testing.it(it)

describe("Notifying a condition", function()
  it("that nobody waits for does nothing", function()
    local cond = curio.Condition()
    local _ <close> = cond:acquire()
    cond:notify()
    cond:notify(3)
    cond:notify_all()
    assert.is_true(cond:locked())
  end)

  it("that fewer wait for than are to be woken wakes those there are", function()
    local cond, woken = curio.Condition(), 0
    local tasks = {}
    for i = 1, 2 do
      tasks[i] = curio.spawn(function()
        local _ <close> = cond:acquire()
        cond:wait()
        woken = woken + 1
      end)
    end
    testing.wait_all_blocked()
    do
      local _ <close> = cond:acquire()
      cond:notify(5)
    end
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.equal(2, woken)
  end)

  it("is not kept for those who come later", function()
    local cond = curio.Condition()
    do
      local _ <close> = cond:acquire()
      cond:notify()
    end
    local ok, err = pcall(curio.timeout_after, 0.001, function()
      local _ <close> = cond:acquire()
      cond:wait()
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
  end)
end)
