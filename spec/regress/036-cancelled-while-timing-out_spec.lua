-- A task that was cancelled while its clean-up ran after a timeout got the TaskTimeout out of the
-- scope it belonged to, and was reported as crashed.

local curio = require "curio"
local testing = require "curio.testing"

local it = testing.it(it)

describe("A timeout in whose clean-up the task is cancelled", function()
  it("ends at its scope; the cancellation comes next", function()
    local cleaning = curio.Event()
    local go_on = curio.Event()
    local after
    local task = curio.spawn(function()
      curio.ignore_after(0.001, function()
        local _ <close> = setmetatable({}, { __close = function()
          cleaning:set()
          curio.disable_cancellation(go_on.wait, go_on)
        end })
        curio.sleep(100)
      end)
      after = true
      curio.sleep(100)
    end)
    cleaning:wait()
    task:cancel { blocking = false }
    go_on:set()
    task:wait()
    assert.is_true(after)
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
  end)
end)
