-- D32: a crash was always reported, even when somebody waited for the task.

local curio = require "curio"

describe("the report of a crash", function()
  it("is made only when nobody waits for the task", function()
    local n = 0
    local old = curio.log
    curio.log = function()
      n = n + 1
    end
    curio.run(function()
      local t = curio.spawn(error, "joined")
      pcall(t.join, t)
      local g = curio.TaskGroup()
      g:spawn(error, "in a group")
      pcall(g.join, g)
      assert.equal(0, n)
      curio.spawn(error, "alone")
      curio.sleep(0)
      assert.equal(1, n)
    end)
    curio.log = old
    assert.equal(1, n)
  end)
end)
