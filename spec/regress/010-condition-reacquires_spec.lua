-- D10: in curio 1.6 a timeout while Condition.wait took its lock again let the block around it
-- release a lock that another task held.

local curio = require "curio"
local testing = require "curio.testing"

local it = testing.it(it, { clock = testing.autojump() })

-- A task that waits for cond within `seconds`, and how that ended.
local function waiter(cond, seconds)
  return curio.spawn(function()
    return pcall(curio.timeout_after, seconds, function()
      local _ <close> = cond:acquire()
      cond:wait()
      return cond:locked()
    end)
  end)
end

describe("A wait for a condition", function()
  it("takes the lock again even if its time is up meanwhile", function()
    local cond = curio.Condition()
    local task = waiter(cond, 0.001)
    testing.wait_all_blocked()
    do
      local _ <close> = cond:acquire()
      curio.sleep(0.01)
      testing.wait_all_blocked()
      assert.equal("LOCK_ACQUIRE", task.state)
      assert.is_true(cond:locked())
    end
    local ok, err = task:join()
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
    assert.is_false(cond:locked())
  end)

  it("that was notified in time has not failed because the lock came late", function()
    local cond = curio.Condition()
    local task = waiter(cond, 0.01)
    testing.wait_all_blocked()
    do
      local _ <close> = cond:acquire()
      cond:notify()
      curio.sleep(0.02)
    end
    assert.same({ true, true }, { task:join() })
    assert.is_false(cond:locked())
  end)

  it("that is cancelled while it takes the lock again leaves it to its holder", function()
    local cond = curio.Condition()
    local task = curio.spawn(function()
      local _ <close> = cond:acquire()
      cond:wait()
    end)
    testing.wait_all_blocked()
    local held <close> = cond:acquire()
    cond:notify()
    testing.wait_all_blocked()
    assert.equal("LOCK_ACQUIRE", task.state)
    task:cancel { blocking = false }
    testing.wait_all_blocked()
    assert.equal("LOCK_ACQUIRE", task.state)
    assert.is_true(held:locked())
    cond:release()
    task:wait()
    cond:acquire()
  end)
end)
