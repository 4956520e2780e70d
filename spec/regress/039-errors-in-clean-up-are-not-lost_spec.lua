-- An error raised in clean-up was lost where somebody waited who never looked at it: a group's join
-- that was itself interrupted, cancel, group:start left early, and under the program the end of
-- curio.run.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

-- A body whose clean-up fails a moment after it was told to end.
local function spoilt()
  local _ <close> = helper.closing(function()
    curio.disable_cancellation(curio.sleep, 1)
    error "broken in clean-up"
  end)
  curio.sleep(1000)
end

local function reported_once(name, fn)
  it("is reported once: " .. name, function()
    local lines = helper.logged(function()
      curio.run { fn, clock = testing.autojump() }
    end)
    assert.equal(1, #lines, table.concat(lines, "\n"))
    assert.matches("^error: task %d+ .-broken in clean%-up", lines[1])
  end)
end

local function group_with_member()
  local g = curio.TaskGroup()
  g:spawn(spoilt)
  curio.schedule()
  return g
end

describe("An error in the clean-up of a task", function()
  reported_once("whose group is joined by a task that is cancelled", function()
    local task = helper.started(function()
      group_with_member():join()
    end)
    curio.schedule()
    task:cancel()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
  end)

  reported_once("whose group is closed by a task that is cancelled meanwhile", function()
    local task = helper.started(function()
      local _ <close> = group_with_member()
    end)
    curio.schedule()
    task:cancel()
  end)

  reported_once("whose group's join times out", function()
    local g = group_with_member()
    helper.raises(curio.TaskTimeout, curio.timeout_after, 1, g.join, g)
  end)

  reported_once("that is cancelled", function()
    local task = helper.started(spoilt)
    assert.is_true(task:cancel())
  end)

  reported_once("whose start is left early", function()
    local g = curio.TaskGroup()
    local starter = helper.started(g.start, g, spoilt)
    curio.schedule()
    starter:cancel()
    g:join()
  end)

  reported_once("that curio.run ends", function()
    helper.started(spoilt)
  end)

  it("is not reported where it is joined, or raised by the group", function()
    assert.same({}, helper.logged(function()
      curio.run { function()
        local task = helper.started(spoilt)
        local joiner = helper.started(pcall, task.join, task)
        task:cancel()
        joiner:join()
        local g = curio.TaskGroup { wait = "any" }
        g:spawn(spoilt)
        g:spawn(curio.schedule)
        helper.raises(curio.TaskError, g.join, g)
      end, clock = testing.autojump() }
    end))
  end)
end)
