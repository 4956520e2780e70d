-- check_cancellation, set_cancellation, disable_cancellation: what a task makes of being cancelled.

local curio = require "curio"
local helper = require "spec.helper"
local testing = require "curio.testing"

local forever = helper.forever
local started = helper.started
local task_it = helper.task_it(it)
local timeless_it = helper.task_it(it, testing.autojump())
local raised = helper.raised

describe("check_cancellation", function()
  task_it("accepts with a class: returns the error, clears it, and the task goes on", function()
    local accepted
    local t = started(function()
      local _, err = pcall(forever)
      accepted = curio.check_cancellation(curio.TaskCancelled)
      assert.is_true(rawequal(err, accepted))
      assert.is_nil(curio.check_cancellation(curio.TaskCancelled))
      curio.sleep(0)
      return "went on"
    end)
    t:cancel { reason = "accept me" }
    assert.equal("accept me", accepted.reason)
    assert.equal("went on", t:join())
    assert.is_true(t.cancelled)
  end)

  task_it("with another class leaves it pending, with a parent class accepts it", function()
    local t = started(function()
      pcall(forever)
      assert.is_nil(curio.check_cancellation(curio.TaskTimeout))
      assert.equal("TaskCancelled", raised(curio.sleep, 0))
      assert.is_table(curio.check_cancellation(curio.CancelledError))
      curio.sleep(0)
      return "went on"
    end)
    t:cancel()
    assert.equal("went on", t:join())
  end)

  task_it("without a class raises it, and returns nil when there is none", function()
    assert.is_nil(curio.check_cancellation())
    assert.is_nil(curio.check_cancellation(curio.TaskCancelled))
    local t = started(function()
      pcall(forever)
      curio.check_cancellation()
      return "never"
    end)
    t:cancel()
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("inside a shield returns it; with a class clears it", function()
    local t = started(function()
      curio.disable_cancellation(function()
        curio.sleep(0.001)
        local err = curio.check_cancellation()
        assert.is_true(curio.is(err, curio.TaskCancelled))
        assert.is_true(rawequal(err, curio.check_cancellation()))
        assert.is_nil(curio.check_cancellation(curio.TaskTimeout))
        assert.is_true(rawequal(err, curio.check_cancellation(curio.TaskCancelled)))
        assert.is_nil(curio.check_cancellation())
      end)
      curio.sleep(0)
      return "went on"
    end)
    t:cancel()
    assert.equal("went on", t:join())
  end)

  task_it("lets the task be cancelled again, as often as it accepts", function()
    local reasons = {}
    local t = started(function()
      for _ = 1, 3 do
        pcall(forever)
        reasons[#reasons + 1] = curio.check_cancellation(curio.TaskCancelled).reason
      end
      forever()
    end)
    for i = 1, 3 do
      assert.is_false(t:cancel { reason = i, timeout = 0.001 })
    end
    t:cancel { reason = "last" }
    assert.same({ 1, 2, 3 }, reasons)
    assert.equal("last", t.exception.reason)
  end)

  task_it("starts the count of swallowed errors anew", function()
    local n = 0
    local t = started(function()
      for _ = 1, 5 do
        for _ = 1, 8 do
          pcall(forever)
          n = n + 1
        end
        curio.check_cancellation(curio.TaskCancelled)
        curio.current_task():cancel { blocking = false }
      end
    end)
    t:cancel()
    assert.equal(40, n)
    assert.is_nil(t.exception)
  end)

  timeless_it("puts deadlines in force again", function()
    local t = started(function()
      return raised(curio.timeout_after, 0.001, function()
        pcall(forever)
        curio.check_cancellation(curio.TaskCancelled)
        forever()
      end)
    end)
    t:cancel()
    assert.equal("TaskTimeout", t:join())
  end)
end)

describe("set_cancellation", function()
  task_it("sets the pending error, returns the old one; nil clears it", function()
    local mine, other = curio.TaskCancelled "mine", curio.TaskCancelled "other"
    local t = curio.spawn(function()
      assert.is_nil(curio.set_cancellation(mine))
      local _, err = pcall(curio.sleep, 0)
      assert.is_true(rawequal(mine, err))
      assert.is_true(rawequal(mine, curio.set_cancellation(other)))
      _, err = pcall(curio.sleep, 0)
      assert.is_true(rawequal(other, err))
      assert.is_true(rawequal(other, curio.set_cancellation(nil)))
      assert.is_nil(curio.set_cancellation(nil))
      curio.sleep(0)
      return "went on"
    end)
    assert.equal("went on", t:join())
  end)

  task_it("inside a shield shows after it", function()
    local t = curio.spawn(function()
      curio.disable_cancellation(function()
        curio.set_cancellation(curio.TaskCancelled "later")
        curio.sleep(0)
      end)
      return raised(curio.sleep, 0)
    end)
    assert.equal("TaskCancelled", t:join())
  end)
end)

describe("disable_cancellation", function()
  task_it("returns all results, passes arguments and errors", function()
    assert.same({ n = 3, nil, 2, nil }, table.pack(curio.disable_cancellation(function(...)
      curio.sleep(0)
      return ...
    end, nil, 2, nil)))
    local mistake = {}
    local ok, err = pcall(curio.disable_cancellation, error, mistake)
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.is_false(pcall(curio.disable_cancellation, 5))
    assert.equal(3, curio.disable_cancellation { math.max, 1, 3 })
    assert.is_false(pcall(curio.disable_cancellation, { math.max, 1, wrong = 2 }))
  end)

  local forms = {
    ["the function form"] = function(fn)
      curio.disable_cancellation(fn)
    end,
    ["the block form"] = function(fn)
      local _ <close> = curio.disable_cancellation()
      fn()
    end,
    ["the function form in itself"] = function(fn)
      curio.disable_cancellation(curio.disable_cancellation, fn)
    end,
    ["the block form in the function form"] = function(fn)
      curio.disable_cancellation(function()
        do
          local _ <close> = curio.disable_cancellation()
          curio.sleep(0)
        end
        fn()
      end)
    end,
    ["the function form in the block form, in a generator"] = function(fn)
      local _ <close> = curio.disable_cancellation()
      coroutine.wrap(function()
        curio.disable_cancellation(curio.sleep, 0)
        fn()
      end)()
    end,
  }

  for name, shield in pairs(forms) do
    task_it("holds a cancellation back until it is left: " .. name, function()
      local events = {}
      local go = curio.Event()
      local t = started(function()
        shield(function()
          go:wait()
          curio.sleep(0)
          events[#events + 1] = "shielded"
        end)
        events[#events + 1] = "left"
        curio.sleep(0)
        events[#events + 1] = "never"
      end)
      t:cancel { blocking = false }
      curio.sleep(0)
      go:set()
      t:wait()
      assert.same({ "shielded", "left" }, events)
      assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    end)

    task_it("is left by an error: " .. name, function()
      local t = started(function()
        pcall(shield, function()
          curio.sleep(0.001)
          error "left"
        end)
        curio.sleep(0)
      end)
      t:cancel()
      assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    end)
  end

  task_it("nests: leaving an inner one does not end the outer one", function()
    local t = started(function()
      curio.disable_cancellation(function()
        curio.sleep(0.001)
        curio.disable_cancellation(curio.sleep, 0)
        curio.sleep(0)
        curio.disable_cancellation(curio.sleep, 0)
        curio.sleep(0)
      end)
      return "no blocking call after it"
    end)
    t:cancel()
    assert.equal("no blocking call after it", t:join())
  end)

  task_it("closed by a cancelled generator that dies ends with it", function()
    local t = started(function()
      pcall(coroutine.wrap(function()
        curio.disable_cancellation(function()
          curio.sleep(0.001)
          error "dies"
        end)
      end))
      local co = coroutine.create(function()
        local _ <close> = curio.disable_cancellation()
        error "dies"
      end)
      coroutine.resume(co)
      curio.sleep(0)
      return "shield left behind", co
    end)
    t:cancel()
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("lets others be cancelled and joined inside", function()
    local other = started(forever)
    curio.disable_cancellation(function()
      other:cancel()
    end)
    assert.is_true(other.terminated)
  end)
end)
