-- D30: tasks with inherited context had lost their parent's id.

local curio = require "curio"

describe("a task that inherits task-locals", function()
  it("still knows its parent", function()
    curio.run(function()
      local l = curio.Local()
      l.x = 1
      local me = curio.current_task()
      local t = curio.spawn(function()
        return l.x, curio.current_task().parentid
      end)
      assert.same({ 1, me.id }, { t:join() })
      assert.equal(me.id, t.parentid)
    end)
  end)
end)
