-- Lua's own coroutine library beside curio's: for all that does not block they are the same.

local curio = require "curio"
local helper = require "spec.helper"

local log_of = helper.log_of
local closing = helper.closing

-- Lua's own library, where the interpreter exports it.
local open_pristine = package.loadlib("", "luaopen_coroutine")

local pristine = open_pristine and open_pristine()

-- ---- the rest is exactly Lua's ----

local cases = {
  ["values"] = function(co, add)
    local t = co.create(function(...)
      add("args", ...)
      add("resumed", co.yield(1, nil, 3))
      add("resumed", co.yield())
      return nil, "end"
    end)
    for i = 1, 5 do
      add(co.status(t), co.resume(t, i, nil))
    end
    add(co.status(t))
  end,
  ["wrap"] = function(co, add)
    local gen = co.wrap(function(...)
      add("args", ...)
      add(co.yield("a"))
      return "b"
    end)
    add(gen(1, 2))
    add(gen(3))
    add(pcall(gen))
  end,
  ["errors of resume"] = function(co, add)
    local object = setmetatable({}, { __tostring = function()
      return "object"
    end })
    for _, err in ipairs { "text", 42, false, object } do
      local t = co.create(error)
      add(co.resume(t, err))
      add(co.status(t), co.resume(t))
    end
    add(co.resume(co.create(error)))
    add(co.resume(co.create(function()
      local x = nil
      return x.field
    end)))
  end,
  ["errors of wrap"] = function(co, add)
    add(pcall(co.wrap(function()
      error("text")
    end)))
    add(pcall(co.wrap(function()
      error("text", 0)
    end)))
    add(pcall(co.wrap(error), 42))
    add(pcall(co.wrap(error)))
    add(pcall(co.wrap(function()
      co.wrap(function()
        error("deep")
      end)()
    end)))
  end,
  ["wrong arguments"] = function(co, add)
    for _, name in ipairs { "create", "wrap", "resume", "status", "close" } do
      add(name, pcall(co[name]))
      add(name, pcall(co[name], 5))
      add(name, pcall(co[name], "x"))
      add(name, pcall(co[name], {}))
    end
    add(pcall(co.isyieldable, 5))
  end,
  ["running"] = function(co, add)
    local outer, main = co.running()
    add(type(outer), main)
    co.wrap(function()
      local t, is_main = co.running()
      add(t == outer, is_main, co.status(t), co.status(outer), co.isyieldable())
      add(co.resume(t))
      add(co.resume(outer))
      add(pcall(co.close, t))
      add(pcall(co.close, outer))
    end)()
  end,
  ["close"] = function(co, add)
    local function make(err)
      return co.create(function()
        local a <close> = closing(function(_, e)
          add("a", e)
          if err then
            error(err, 0)
          end
        end)
        local b <close> = closing(function(_, e)
          add("b", e)
        end)
        co.yield(a, b)
      end)
    end
    for _, err in ipairs { false, "err", 7 } do
      local t = make(err)
      add(co.close(t))
      add(co.status(t))
      t = make(err)
      add((co.resume(t)))
      add(co.close(t))
      add(co.status(t), co.close(t), co.resume(t))
    end
    local t = co.create(error)
    add(co.resume(t, "x"))
    add(co.close(t))
    add(co.close(t))
  end,
  ["close handlers after an error"] = function(co, add)
    local function body()
      local _ <close> = closing(function(_, e)
        add("closing", e)
      end)
      error("oops", 0)
    end
    local t = co.create(body)
    add(co.resume(t))
    add(co.close(t))
    add(pcall(co.wrap(body)))
  end,
  ["close handlers that fail"] = function(co, add)
    add(pcall(co.wrap(function()
      local _ <close> = closing(function(_, e)
        error("second after " .. tostring(e), 0)
      end)
      error("first", 0)
    end)))
  end,
  ["yield across pcall, metamethods, iterators"] = function(co, add)
    local gen = co.wrap(function()
      add(pcall(function()
        return co.yield("in pcall")
      end))
      add(xpcall(function()
        co.yield("in xpcall")
        error("x", 0)
      end, function(e)
        return "handled " .. e
      end))
      add(setmetatable({}, { __index = function(_, k)
        return co.yield(k)
      end }).key)
      for v in function()
        return co.yield("iterator")
      end do
        add(v)
      end
      local _ <close> = closing(function()
        co.yield("in close")
      end)
    end)
    add(gen())
    for _, v in ipairs { "one", "two", "three", "four" } do
      add(gen(v))
    end
    add(gen(nil))
    add(gen())
    add(pcall(gen))
  end,
  ["yield where it cannot"] = function(co, add)
    local t = co.create(function()
      table.sort({ 3, 2, 1 }, function(a, b)
        co.yield()
        return a < b
      end)
    end)
    add(co.resume(t))
    t = co.create(function()
      string.gsub("a", ".", function()
        add(co.isyieldable())
        co.yield()
      end)
    end)
    add(co.resume(t))
  end,
  ["wrapping oneself"] = function(co, add)
    local gen
    gen = co.wrap(function()
      return pcall(gen)
    end)
    add(gen())
    local t
    t = co.create(function()
      return co.resume(t)
    end)
    add(co.resume(t))
  end,
  ["depth"] = function(co, add)
    local function deep(n)
      if n == 0 then
        return co.yield("bottom")
      end
      local gen = co.wrap(deep)
      co.yield(gen(n - 1))
      return gen("up") .. n
    end
    local gen = co.wrap(deep)
    add(gen(10))
    add(gen())
    local function forever()
      return co.wrap(forever)()
    end
    add((pcall(forever)))
  end,
  ["many values"] = function(co, add)
    local list = {}
    for i = 1, 5000 do
      list[i] = i
    end
    local t = co.create(function(...)
      add(select("#", ...), select(-1, ...))
      add(select("#", co.yield(...)))
      return ...
    end)
    add(select("#", co.resume(t, table.unpack(list))))
    add(select("#", co.resume(t, table.unpack(list))))
  end,
  ["tracebacks"] = function(co, add)
    local t = co.create(function()
      local function inner()
        co.yield()
      end
      inner()
    end)
    co.resume(t)
    local text = debug.traceback(t, "message", 1)
    add((text:gsub("in function 'coroutine.yield'", "in yield")))
    add(debug.getinfo(t, 1, "l").currentline ~= nil)
  end,
}

local protected = {
  ["pcall"] = function(p, _, add)
    add(p(function(...)
      return ...
    end, 1, nil, 3))
    for _, err in ipairs { "text", 42, false } do
      add(p(error, err, 0))
    end
    add(p(error))
    add(p(5))
    add(p(nil))
    add(p(p))
    add(p(p, error, "x"))
    add(pcall(p))
    add(p(setmetatable({}, { __call = function(_, x)
      return x
    end }), "called"))
  end,
  ["xpcall"] = function(p, x, add)
    local function handler(e, ...)
      return "handled " .. tostring(e), ...
    end
    add(x(function(...)
      return ...
    end, handler, 1, nil, 3))
    for _, err in ipairs { "text", 42, false } do
      add(x(error, handler, err, 0))
    end
    add(x(error, handler))
    add(x(5, handler))
    add(x(error, function()
      error("again")
    end, "x"))
    add(p(x))
    add(p(x, print))
    add(p(x, print, 5))
    add(p(x, print, {}))
    add(type(select(2, x(error, debug.traceback, { "x" }))))
    local function overflow()
      return 1 + overflow()
    end
    add((x(overflow, function(e)
      return #tostring(e) > 0
    end)))
    add((p(overflow)))
  end,
}

describe("in all else the functions are Lua's own:", function()
  for name, case in pairs(cases) do
    it(name, function()
      if not pristine then
        return pending("the interpreter does not export luaopen_coroutine")
      end
      -- Both in a coroutine: what is main differs between a script and a task.
      local expected = log_of(function(add)
        pristine.wrap(case)(pristine, add)
      end)
      assert.same(expected, log_of(function(add)
        coroutine.wrap(case)(coroutine, add)
      end))
      assert.same(expected, log_of(function(add)
        curio.run(function()
          coroutine.wrap(case)(coroutine, add)
        end)
      end))
      assert.same(expected, log_of(function(add)
        curio.run(case, coroutine, add)
      end))
    end)
  end

  for name, case in pairs(protected) do
    it(name, function()
      if not pristine then
        return pending("the interpreter does not export luaopen_base")
      end
      local own = helper.own_protected()
      local expected = log_of(function(add)
        case(own.pcall, own.xpcall, add)
      end)
      assert.same(expected, log_of(function(add)
        case(pcall, xpcall, add)
      end))
      assert.same(expected, log_of(function(add)
        curio.run(case, pcall, xpcall, add)
      end))
    end)
  end

  it("the library has the same functions", function()
    if not pristine then
      return pending("the interpreter does not export luaopen_coroutine")
    end
    local function names(t)
      local list = {}
      for key, value in pairs(t) do
        list[#list + 1] = key .. " " .. type(value)
      end
      table.sort(list)
      return list
    end
    assert.same(names(pristine), names(coroutine))
  end)
end)
