-- A call that goes on for ever because there is always more, and so never waits for anything, was
-- found by no timer and by no cancellation.

local curio = require "curio"
local helper = require "spec.helper"
local streams = require "curio.io"

local it = helper.task_it(it)

-- Copies what has no end to where there is always room; it only ever gives way.
local function endless()
  local from <close> = streams.FileStream(io.open "/dev/zero")
  local to <close> = streams.FileStream(io.open("/dev/null", "w"))
  streams.copy(from, to)
end

describe("a call that never has to wait", function()
  it("ends when it is cancelled", function()
    local task = curio.spawn(endless)
    curio.sleep(0)
    assert.is_true(curio.timeout_after(helper.PATIENCE, task.cancel, task))
  end)

  it("ends when its time is over", function()
    helper.raises(curio.TaskTimeout, curio.timeout_after, 0.01, endless)
  end)

  it("lets an inner call see an outer deadline", function()
    local seen
    helper.raises(curio.TaskTimeout, curio.timeout_after, 0.01, function()
      local ok, err = pcall(curio.timeout_after, 60, endless)
      seen = not ok and err.name
      error(err, 0)
    end)
    assert.equal("TimeoutCancellationError", seen)
  end)

  it("goes on where cancellation is held back", function()
    local copied
    local task = helper.spawn(function()
      curio.disable_cancellation(function()
        copied = streams.copy(streams.FileStream(io.open "/dev/zero"),
          streams.FileStream(io.open("/dev/null", "w")), { n = 100000000 })
      end)
    end)
    task:cancel()
    assert.equal(100000000, copied)
  end)
end)
