-- The coroutine of a task itself, and where Lua cannot yield.

local curio = require "curio"
local helper = require "spec.helper"

local log_of = helper.log_of
local nested = helper.nested
local closing = helper.closing
local child = helper.child

-- Lua's own library, where the interpreter exports it.
local open_pristine = package.loadlib("", "luaopen_coroutine")

local pristine = open_pristine and open_pristine()

describe("the coroutine of a task itself", function()
  local prelude = [[
    local curio = require "curio"
    curio.run(function()
      local co
      local task = curio.spawn(function()
        co = coroutine.running()
        curio.sleep(0.005)
        return "slept"
      end)
      curio.schedule()
  ]]
  local epilogue = [[
      print(task:join())
    end)
  ]]

  it("cannot be resumed by another task", function()
    local out = child(prelude .. [[
      local ok, message = coroutine.resume(co)
      print(ok, #message > 0)
    ]] .. epilogue)
    assert.equal("false\ttrue\nslept\nstatus 0\n", out)
  end)

  it("cannot be closed by another task", function()
    local out = child(prelude .. [[
      print((pcall(coroutine.close, co)))
    ]] .. epilogue)
    assert.equal("false\nslept\nstatus 0\n", out)
  end)

  it("is not suspended for others while it sleeps", function()
    local out = child(prelude .. [[
      print(coroutine.status(co) ~= "suspended")
    ]] .. epilogue)
    assert.equal("true\nslept\nstatus 0\n", out)
  end)

  it("cannot be resumed by Lua's own functions", function()
    if not pristine then
      return pending("the interpreter does not export luaopen_coroutine")
    end
    local first = "local pristine = package.loadlib('', 'luaopen_coroutine')()\n"
    local out = child(first .. prelude .. [[
      print((pristine.resume(co)))
    ]] .. epilogue)
    assert.matches("status [01]\n$", out) -- the task is lost, the program is not
  end)

  it("is running, in the words of the library", function()
    curio.run(function()
      local co, main = coroutine.running()
      assert.equal("thread", type(co))
      assert.is_false(main)
      assert.equal("running", coroutine.status(co))
      assert.is_true(coroutine.isyieldable())
      nested(1, function()
        assert.equal("normal", coroutine.status(co))
        curio.schedule()
        assert.equal("normal", coroutine.status(co))
        assert.not_equal(co, (coroutine.running()))
      end)
      assert.same({ false, "cannot resume non-suspended coroutine" }, { coroutine.resume(co) })
    end)
  end)

  it("cannot yield as if it were a generator", function()
    curio.run(function()
      local ok, message = pcall(coroutine.yield, 1)
      assert.is_false(ok)
      assert.matches("yield", message)
      curio.sleep(0)
    end)
  end)

  it("fails with a clear message if it yields by Lua's own function", function()
    if not pristine then
      return pending("the interpreter does not export luaopen_coroutine")
    end
    local log = log_of(function(add)
      curio.run(function()
        local task = curio.spawn(function()
          local _ <close> = closing(function()
            add("closed")
          end)
          pristine.yield(1)
        end)
        task:wait()
        add(task.exception.name)
        assert.matches("yielded", task.exception.message)
        assert.is_nil(task.exception.message:find("%d"), "a number that means nothing: "
          .. task.exception.message)
        curio.sleep(0)
      end)
    end)
    assert.same({ "closed", "CurioError" }, log)
  end)

  it("takes no debug hook over to the next task", function()
    curio.run(function()
      local calls = 0
      curio.spawn(function()
        debug.sethook(function()
          calls = calls + 1
        end, "l")
      end):join()
      calls = 0
      for _ = 1, 3 do
        curio.spawn(function()
          local x = 1
          x = x + 1
          return x
        end):join()
      end
      assert.equal(0, calls)
    end)
  end)
end)

describe("where Lua cannot yield", function()
  local function blocks_in(what, fn)
    it("a blocking call says so: " .. what, function()
      curio.run(function()
        local message
        local function block()
          local ok, err = pcall(curio.sleep, 0)
          assert.is_false(ok)
          message = err
        end
        fn(block)
        assert.matches("^curio%.sleep: cannot block", message:gsub("^[^ ]*:%d+: ", ""), nil)
        -- the scheduler has taken no harm
        curio.sleep(0)
        assert.equal(5, curio.spawn(nested, 2, function()
          curio.sleep(0)
          return 5
        end):join())
      end)
    end)
  end

  blocks_in("comparator", function(block)
    table.sort({ 3, 2, 1 }, function(a, b)
      block()
      return a < b
    end)
  end)

  blocks_in("gsub callback", function(block)
    string.gsub("abc", ".", block)
  end)

  blocks_in("tostring", function(block)
    tostring(setmetatable({}, { __tostring = function()
      block()
      return "x"
    end }))
  end)

  blocks_in("load reader", function(block)
    load(block)
  end)

  blocks_in("message handler", function(block)
    xpcall(error, block, "x")
  end)

  blocks_in("finaliser", function(block)
    local ran = false
    setmetatable({}, { __gc = function()
      block()
      ran = true
    end })
    collectgarbage()
    collectgarbage()
    assert.is_true(ran)
  end)

  blocks_in("debug hook", function(block)
    debug.sethook(function()
      debug.sethook()
      block()
    end, "", 1)
    for _ = 1, 10 do
      tostring(1)
    end
    debug.sethook()
  end)

  blocks_in("generator in a gsub callback", function(block)
    string.gsub("a", ".", function()
      coroutine.wrap(block)()
    end)
  end)

  blocks_in("gsub callback in a generator", function(block)
    nested(2, function()
      string.gsub("a", ".", block)
    end)
  end)

  if pristine then
    blocks_in("foreign wrap", function(block)
      pristine.wrap(block)()
    end)

    blocks_in("foreign resume", function(block)
      assert(pristine.resume(coroutine.create(block)))
    end)

    blocks_in("foreign resume of a generator", function(block)
      pristine.wrap(function()
        nested(2, block)
      end)()
    end)
  end

  it("each blocking call is named", function()
    curio.run(function()
      local event, lock, queue = curio.Event(), curio.Lock(), curio.Queue()
      local task = curio.spawn(curio.sleep, 100)
      local calls = {
        ["curio%.sleep"] = function() curio.sleep(1) end,
        ["curio%.schedule"] = function() curio.schedule() end,
        ["event:wait"] = function() event:wait() end,
        ["lock:acquire"] = function() lock:acquire() end,
        ["queue:get"] = function() queue:get() end,
        ["task:join"] = function() task:join() end,
        ["task:wait"] = function() task:wait() end,
        ["task:cancel"] = function() task:cancel() end,
      }
      for name, call in pairs(calls) do
        local ok, message = pcall(string.gsub, "a", ".", call)
        assert.is_false(ok)
        assert.matches(name .. ": cannot block", message)
      end
      task:cancel()
    end)
  end)

  it("a blocking call does not pass through require under stock Lua", function()
    curio.run(function()
      package.preload["curio-spec-blocks"] = function()
        curio.sleep(0)
        return "loaded"
      end
      local ok, message = pcall(require, "curio-spec-blocks")
      package.preload["curio-spec-blocks"] = nil
      package.loaded["curio-spec-blocks"] = nil
      if debug.getinfo(require, "S").what == "C" then
        assert.is_false(ok)
        assert.matches("curio%.sleep: cannot block", message)
      else
        assert.same({ true, "loaded" }, { ok, message })
      end
      curio.sleep(0)
    end)
  end)
end)
