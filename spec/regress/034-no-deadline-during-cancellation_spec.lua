-- D34: leaving an inner timeout while cancelled re-armed the outer one, which hit clean-up.

local curio = require "curio"
local testing = require "curio.testing"

describe("a deadline of a task that is being cancelled", function()
  it("does not fire in its clean-up", function()
    curio.run { function()
      local events = {}
      local t = curio.spawn(function()
        curio.timeout_after(0.001, function()
          local _ <close> = setmetatable({}, { __close = function()
            curio.disable_cancellation(curio.sleep, 0.004)
            local _, err = pcall(curio.sleep, 0)
            events[#events + 1] = err.name
          end })
          curio.timeout_after(1000, curio.sleep, 1000)
        end)
      end)
      curio.sleep(0)
      t:cancel()
      assert.same({ "TaskCancelled" }, events)
      assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    end, clock = testing.autojump() }
  end)
end)
