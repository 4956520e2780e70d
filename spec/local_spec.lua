-- curio.Local: fields per task, inherited as a snapshot.

local curio = require "curio"

describe("a Local", function()
  it("has fields of its own in each task", function()
    curio.run(function()
      local l = curio.Local()
      local function work(name)
        l.name = name
        curio.sleep(0)
        return l.name
      end
      local a, b = curio.spawn(work, "a"), curio.spawn(work, "b")
      assert.equal("a", a:join())
      assert.equal("b", b:join())
      assert.is_nil(l.name)
    end)
  end)

  it("is inherited as a snapshot taken by spawn, not by the first step of the task", function()
    curio.run(function()
      local l = curio.Local()
      l.x = 1
      local t = curio.spawn(function()
        return l.x
      end)
      l.x = 2
      assert.equal(1, t:join())
    end)
  end)

  it("changed in a child does not change the parent or a sibling", function()
    curio.run(function()
      local l = curio.Local()
      l.x, l.y = "parent", "kept"
      local function child(value)
        l.x = value
        curio.sleep(0)
        return l.x, l.y
      end
      local a, b = curio.spawn(child, 1), curio.spawn(child, 2)
      assert.same({ 1, "kept" }, { a:join() })
      assert.same({ 2, "kept" }, { b:join() })
      assert.equal("parent", l.x)
    end)
  end)

  it("reaches grandchildren, and tasks of groups", function()
    curio.run(function()
      local l = curio.Local()
      l.x = "deep"
      local got = {}
      curio.spawn(function()
        local g <close> = curio.TaskGroup()
        g:spawn(function()
          got[1] = l.x
        end)
        g:start(function()
          got[2] = l.x
          curio.started()
        end)
        curio.group(function(inner)
          inner:spawn(function()
            got[3] = l.x
          end)
        end)
      end):join()
      assert.same({ "deep", "deep", "deep" }, got)
    end)
  end)

  it("is set by a child that inherited nothing, for its own children", function()
    curio.run(function()
      local l = curio.Local()
      local t = curio.spawn(function()
        l.x = 5
        return curio.spawn(function()
          return l.x
        end):join()
      end)
      assert.equal(5, t:join())
      assert.is_nil(l.x)
    end)
  end)

  it("keeps nil and false apart", function()
    curio.run(function()
      local l = curio.Local()
      l.a, l.b = false, 1
      l.b = nil
      local t = curio.spawn(function()
        return l.a, l.b
      end)
      assert.same({ n = 2, false, nil }, table.pack(t:join()))
    end)
  end)

  it("is one of many that do not touch each other", function()
    curio.run(function()
      local a, b = curio.Local(), curio.Local()
      a.x, b.x = 1, 2
      local t = curio.spawn(function()
        a.x = 10
        return a.x, b.x
      end)
      assert.same({ 10, 2 }, { t:join() })
      assert.same({ 1, 2 }, { a.x, b.x })
    end)
  end)

  it("belongs to the task inside its generators and __close handlers too", function()
    curio.run(function()
      local l = curio.Local()
      l.x = "main"
      local t = curio.spawn(function()
        l.x = "task"
        local gen = coroutine.wrap(function()
          curio.sleep(0)
          coroutine.yield(l.x)
        end)
        local in_close
        do
          local _ <close> = setmetatable({}, { __close = function()
            curio.sleep(0)
            in_close = l.x
          end })
        end
        return gen(), in_close
      end)
      assert.same({ "task", "task" }, { t:join() })
    end)
  end)

  it("inherits the value itself, not a copy of it", function()
    curio.run(function()
      local l = curio.Local()
      l.list = {}
      curio.spawn(function()
        l.list[1] = "seen"
      end):join()
      assert.equal("seen", l.list[1])
    end)
  end)

  it("survives the collection of everything else", function()
    curio.run(function()
      local l = curio.Local()
      l.x = { "value" }
      local t = curio.spawn(function()
        collectgarbage()
        curio.sleep(0)
        collectgarbage()
        return l.x[1]
      end)
      collectgarbage()
      assert.equal("value", t:join())
      assert.equal("value", l.x[1])
    end)
  end)

  it("does not pass from one run to the next", function()
    local l = curio.Local()
    curio.run(function()
      l.x = 1
    end)
    local got = "none"
    curio.run(function()
      got = l.x
    end)
    assert.is_nil(got)
  end)
end)
