-- A member that joined its own group waited for its own end, shielded, so that neither a timeout
-- nor a cancellation of the owner ended it: a deadlock.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

local it = testing.it(it, { clock = testing.autojump() })

describe("A member of a group", function()
  for _, name in ipairs { "join", "cancel_remaining" } do
    it("is refused if it calls " .. name .. ", and the group goes on", function()
      local g = curio.TaskGroup()
      local message
      g:spawn(function()
        message = select(2, pcall(g[name], g))
      end)
      local sibling = g:spawn(function()
        curio.sleep(1)
        return "done"
      end)
      g:join()
      assert.equal("group:" .. name .. ": a member of the group cannot wait for its own end",
        message)
      assert.equal("done", sibling.result)
    end)
  end

  it("cannot be the task that joins it", function()
    local g = curio.TaskGroup()
    g:add_task(curio.current_task())
    local ok, message = pcall(g.join, g)
    assert.is_false(ok)
    assert.matches("a member of the group cannot wait", message)
    helper.raises(curio.TaskTimeout, curio.timeout_after, 1, curio.sleep, 2)
  end)
end)
