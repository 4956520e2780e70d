-- D27: curio 1.6 woke those who waited for an event, a result or a barrier in any order.

local curio = require "curio"
local testing = require "curio.testing"

local it = testing.it(it)

-- The order in which ten tasks get through wait(), after wake().
local function order_of(wait, wake)
  local seen, tasks = {}, {}
  for i = 1, 10 do
    tasks[i] = curio.spawn(function()
      wait()
      seen[#seen + 1] = i
    end)
  end
  testing.wait_all_blocked()
  wake()
  for _, task in ipairs(tasks) do
    task:join()
  end
  return seen
end

local IN_ORDER = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }

describe("Those who wait are woken in the order of their coming", function()
  it("by an event", function()
    local event = curio.Event()
    assert.same(IN_ORDER, order_of(function()
      event:wait()
    end, function()
      event:set()
    end))
  end)

  it("by a result", function()
    local result = curio.Result()
    assert.same(IN_ORDER, order_of(function()
      result:unwrap()
    end, function()
      result:set_value(1)
    end))
  end)

  it("by a barrier", function()
    local barrier = curio.sched.SchedBarrier()
    assert.same(IN_ORDER, order_of(function()
      barrier:suspend()
    end, function()
      barrier:wake()
    end))
  end)

  it("by a condition", function()
    local cond = curio.Condition()
    assert.same(IN_ORDER, order_of(function()
      local _ <close> = cond:acquire()
      cond:wait()
    end, function()
      local _ <close> = cond:acquire()
      cond:notify_all()
    end))
  end)

  it("by a queue that has been dealt with", function()
    local queue = curio.Queue()
    queue:put(1)
    assert.same(IN_ORDER, order_of(function()
      queue:join()
    end, function()
      queue:task_done()
    end))
  end)
end)
