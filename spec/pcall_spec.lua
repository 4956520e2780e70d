-- Protected calls: curio.pcall and curio.xpcall; the global ones are otherwise exactly Lua's.

local curio = require "curio"
local helper = require "spec.helper"

local closing = helper.closing

local lua = helper.own_protected()

-- What a call gives, made comparable: the types and texts of all results.
local function outcome(...)
  local list = table.pack(...)
  for i = 1, list.n do
    if type(list[i]) == "string" then
      list[i] = list[i]:gsub("0x%x+", "ADDRESS"):gsub("to '[^']*'", "to 'NAME'")
    end
  end
  return list
end

local function recurse(n)
  return 1 + recurse(n + 1)
end

local object = setmetatable({}, { __name = "thing" })
local callable = setmetatable({}, { __call = function(_, ...)
  return "called", ...
end })

-- Each is given the pair of functions to try.
local cases = {
  ["no argument"] = function(p, outer)
    return outer(p.pcall)
  end,
  ["nil called"] = function(p)
    return p.pcall(nil)
  end,
  ["nothing returned"] = function(p)
    return p.pcall(function() end)
  end,
  ["many values through"] = function(p)
    return p.pcall(function(...)
      return ..., select("#", ...), nil
    end, 1, nil, nil)
  end,
  ["a string error"] = function(p)
    return p.pcall(function()
      error "plain"
    end)
  end,
  ["an error without position"] = function(p)
    return p.pcall(error, "plain", 0)
  end,
  ["error levels"] = function(p)
    return p.pcall(error, "plain", 2)
  end,
  ["error nil"] = function(p)
    return p.pcall(error)
  end,
  ["error object"] = function(p)
    return p.pcall(error, object)
  end,
  ["error number"] = function(p)
    return p.pcall(error, 12.5)
  end,
  ["a callable table"] = function(p)
    return p.pcall(callable, 1, 2)
  end,
  ["not callable"] = function(p)
    return p.pcall({}, 1)
  end,
  ["runtime error"] = function(p)
    return p.pcall(function()
      return object.x.y
    end)
  end,
  ["stack overflow"] = function(p)
    local ok, err = p.pcall(recurse, 1)
    return ok, err:match("stack overflow")
  end,
  ["C stack overflow"] = function(p)
    local function deep(n)
      return p.pcall(deep, n + 1)
    end
    return (p.pcall(deep, 1))
  end,
  ["nested"] = function(p)
    return p.pcall(p.pcall, p.pcall, error, "deep")
  end,
  ["error in __close"] = function(p)
    return p.pcall(function()
      local _ <close> = closing(function(_, err)
        error("close after " .. tostring(err), 0)
      end)
      error("body", 0)
    end)
  end,
  ["a yield across"] = function(p)
    local co = coroutine.wrap(function()
      return p.pcall(function(...)
        local got = coroutine.yield(...)
        error(got, 0)
      end, "out", 1)
    end)
    local a, b = co()
    return a, b, co "in"
  end,
  ["a yield in __close"] = function(p)
    local co = coroutine.wrap(function()
      return p.pcall(function()
        local _ <close> = closing(function()
          coroutine.yield "closing"
        end)
        error("body", 0)
      end)
    end)
    return co(), co()
  end,
  ["xpcall without a handler"] = function(p, outer)
    return outer(p.xpcall, print)
  end,
  ["xpcall with a table as handler"] = function(p, outer)
    return outer(p.xpcall, print, callable)
  end,
  ["xpcall without arguments"] = function(p, outer)
    return outer(p.xpcall)
  end,
  ["xpcall results"] = function(p)
    return p.xpcall(function(...)
      return select("#", ...), ...
    end, print, nil, 2, nil)
  end,
  ["xpcall handler"] = function(p)
    return p.xpcall(error, function(...)
      return select("#", ...), ...
    end, "plain", 0)
  end,
  ["xpcall handler gives nil"] = function(p)
    return p.xpcall(error, function() end, "plain", 0)
  end,
  ["xpcall handler fails"] = function(p)
    local ok, err = p.xpcall(error, function(e)
      error(e, 0)
    end, "plain", 0)
    return ok, type(err)
  end,
  ["xpcall handler sees the stack"] = function(p)
    local function named()
      error "plain"
    end
    local ok, text = p.xpcall(named, debug.traceback)
    return ok, text:match("in upvalue 'named'") or text:match("in function <[^>]*>")
  end,
  ["xpcall of nil"] = function(p)
    return p.xpcall(nil, function(e)
      return "seen: " .. e
    end)
  end,
  ["xpcall yields"] = function(p)
    local co = coroutine.wrap(function()
      return p.xpcall(function(...)
        error(coroutine.yield(...), 0)
      end, function(e)
        return "h" .. e
      end, "out")
    end)
    return co(), co "in"
  end,
  ["coroutine closed inside"] = function(p)
    local events = {}
    local co = coroutine.create(function()
      p.pcall(function()
        local _ <close> = closing(function()
          events[#events + 1] = "closed"
        end)
        coroutine.yield()
      end)
    end)
    coroutine.resume(co)
    return coroutine.close(co), events[1], #events
  end,
}

local function compare(name, case)
  local want = outcome(lua.pcall(case, lua, lua.pcall))
  local got = outcome(lua.pcall(case, { pcall = pcall, xpcall = xpcall }, lua.pcall))
  assert.same(want, got, name)
end

describe("the global pcall and xpcall", function()
  it("are not Lua's own, or this compares nothing", function()
    assert.is_false(rawequal(lua.pcall, pcall))
    assert.is_false(rawequal(lua.xpcall, xpcall))
  end)

  for name, case in pairs(cases) do
    it("behave as Lua's outside a kernel and in a task: " .. name, function()
      compare(name, case)
      curio.run(compare, name, case)
    end)
    local in_generator = name ~= "stack overflow" and it or pending -- a second each
    in_generator("behave as Lua's in a generator with a deadline: " .. name, function()
      curio.run(function()
        curio.timeout_after(1000, coroutine.wrap(compare), name, case)
      end)
    end)
  end

  it("catch a cancellation, once", function()
    curio.run(function()
      local ok, err = pcall(curio.timeout_after, 0, curio.sleep, 1)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskTimeout))
      local seen
      ok, err = xpcall(curio.timeout_after, function(e)
        seen = e
        return e
      end, 0, curio.sleep, 1)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskTimeout))
      assert.is_true(curio.is(seen, curio.CancelledError))
    end)
  end)

  it("let blocking calls through", function()
    curio.run(function()
      assert.is_true(pcall(curio.sleep, 0))
      assert.is_true(xpcall(curio.sleep, debug.traceback, 0.0001))
    end)
  end)
end)

describe("curio.pcall and curio.xpcall", function()
  local own = { pcall = curio.pcall, xpcall = curio.xpcall }
  for name, case in pairs(cases) do
    if name ~= "xpcall handler sees the stack" and name ~= "stack overflow" then
      it("behave as Lua's where nothing is cancelled: " .. name, function()
        local want = outcome(lua.pcall(case, lua, lua.pcall))
        assert.same(want, outcome(lua.pcall(case, own, lua.pcall)))
        curio.run(function()
          assert.same(want, outcome(lua.pcall(case, own, lua.pcall)))
        end)
      end)
    end
  end

  it("catch errors", function()
    curio.run(function()
      assert.same({ false, "e" }, { curio.pcall(error, "e", 0) })
      assert.same({ false, "he" }, { curio.xpcall(error, function(e)
        return "h" .. e
      end, "e", 0) })
    end)
  end)

  it("let every cancellation through: cancel, timeouts, and those raised by hand", function()
    curio.run(function()
      local events = {}
      local handler = function(e)
        events[#events + 1] = "handler"
        return "changed: " .. tostring(e)
      end
      for _, protect in ipairs {
        function(...)
          return curio.pcall(...)
        end,
        function(f, ...)
          return curio.xpcall(f, handler, ...)
        end,
      } do
        local t = curio.spawn(function()
          protect(curio.sleep, 1000)
          events[#events + 1] = "went on"
        end)
        curio.sleep(0)
        t:cancel()
        assert.is_true(curio.is(t.exception, curio.TaskCancelled))
        local ok, err = pcall(curio.timeout_after, 0, protect, curio.sleep, 1)
        assert.is_false(ok)
        assert.is_true(curio.is(err, curio.TaskTimeout))
        for _, class in ipairs {
          "CancelledError", "TaskCancelled", "TaskTimeout", "TimeoutCancellationError",
        } do
          local mine = curio[class] "by hand"
          ok, err = pcall(protect, error, mine)
          assert.is_false(ok)
          assert.equal(mine, err)
        end
      end
      assert.same({}, events)
    end)
  end)

  it("catch what tells of another task's cancellation", function()
    curio.run(function()
      local t = curio.spawn(curio.sleep, 1000)
      t:cancel()
      local ok, err = curio.pcall(t.join, t)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskError))
    end)
  end)

  it("catch UncaughtTimeoutError, which is a mistake and no cancellation", function()
    curio.run(function()
      local ok, err = curio.pcall(curio.timeout_after, 1000, function()
        curio.timeout_after(0, curio.sleep, 1)
      end)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.UncaughtTimeoutError))
    end)
  end)

  it("let blocking calls and generators' yields through", function()
    curio.run(function()
      local gen = coroutine.wrap(function()
        curio.pcall(function()
          curio.sleep(0)
          coroutine.yield "one"
          curio.sleep(0)
        end)
        curio.xpcall(coroutine.yield, print, "two")
        return "three"
      end)
      assert.same({ "one", "two", "three" }, { gen(), gen(), gen() })
    end)
  end)
end)
