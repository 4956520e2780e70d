-- D9: a task that swallowed its cancellation could never be cancelled again.

local curio = require "curio"

describe("a task that swallows its cancellations", function()
  it("is ended by cancel", function()
    curio.run(function()
      local t = curio.spawn(function()
        while true do
          pcall(curio.sleep, 10)
        end
      end)
      curio.sleep(0)
      assert.is_true(t:cancel())
      assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    end)
  end)

  it("and accepts one can be cancelled again", function()
    curio.run(function()
      local t = curio.spawn(function()
        pcall(curio.sleep, 1000)
        curio.check_cancellation(curio.TaskCancelled)
        curio.sleep(1000)
      end)
      curio.sleep(0)
      assert.is_false(t:cancel { reason = 1, timeout = 0.001 })
      assert.is_true(t:cancel { reason = 2 })
      assert.equal(2, t.exception.reason)
    end)
  end)
end)
