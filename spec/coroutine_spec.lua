-- Blocking inside plain coroutines, and Lua's own coroutine library beside curio's.

local curio = require "curio"

-- Lua's own library, where the interpreter exports it.
local open_pristine = package.loadlib("", "luaopen_coroutine")
local pristine = open_pristine and open_pristine()

local function log_of(fn)
  local log = {}
  local function add(...)
    local parts = table.pack(...)
    for i = 1, parts.n do
      -- what a function is called in a message depends on where it is found
      parts[i] = tostring(parts[i]):gsub("argument #(%d) to '[^']*'", "argument #%1")
    end
    log[#log + 1] = table.concat(parts, " ")
  end
  fn(add, log)
  return log
end

local function closable(fn)
  return setmetatable({}, { __close = fn })
end

local function sleepy(n)
  for i = 1, n do
    curio.sleep(0)
    coroutine.yield(i)
  end
  return "end"
end

-- The value as it comes out of n generators, each inside the other.
local function nested(n, fn)
  if n == 0 then
    return fn()
  end
  return coroutine.wrap(nested)(n - 1, fn)
end

-- Runs a script in a process of its own, for what may end the process: its output and exit status.
local function child(script)
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local pipe = io.popen(("LUA_PATH='%s' LUA_CPATH='%s' timeout 20 '%s' %s 2>&1; echo \"status $?\"")
    :format(package.path, package.cpath, arg[first], path))
  local out = pipe:read("a")
  pipe:close()
  os.remove(path)
  return out
end

describe("blocking inside coroutines", function()
  it("works in a generator, whose own yields stay its own", function()
    local got = {}
    curio.run(function()
      local gen = coroutine.wrap(sleepy)
      got[1] = gen(3)
      for i in gen do
        got[#got + 1] = i
        if i == "end" then
          break
        end
      end
    end)
    assert.same({ 1, 2, 3, "end" }, got)
  end)

  it("works two and three deep", function()
    for depth = 1, 5 do
      local got = table.pack(curio.run(nested, depth, function()
        curio.sleep(0)
        curio.sleep(0.001)
        return depth, nil, "x", nil
      end))
      assert.same({ depth, nil, "x", nil, n = 4 }, got)
    end
  end)

  it("keeps apart the yields of each level", function()
    local log = log_of(function(add)
      curio.run(function()
        local outer = coroutine.wrap(function()
          local inner = coroutine.wrap(function()
            for i = 1, 2 do
              curio.schedule()
              coroutine.yield("inner " .. i)
              curio.schedule()
            end
          end)
          for value in inner do
            curio.schedule()
            coroutine.yield("outer of " .. value)
          end
        end)
        for value in outer do
          add(value)
        end
      end)
    end)
    assert.same({ "outer of inner 1", "outer of inner 2" }, log)
  end)

  it("works in several tasks at once, which take turns", function()
    local log = log_of(function(add)
      curio.run(function()
        local group <close> = curio.TaskGroup()
        for id = 1, 3 do
          group:spawn(function()
            nested(id, function()
              for i = 1, 2 do
                add(id, i)
                curio.schedule()
              end
            end)
          end)
        end
      end)
    end)
    assert.same({ "1 1", "2 1", "3 1", "1 2", "2 2", "3 2" }, log)
  end)

  it("passes values in and out over a sleep", function()
    curio.run(function()
      local co = coroutine.create(function(a, b)
        curio.schedule()
        local c, d = coroutine.yield(a + b, nil)
        curio.sleep(0.001)
        return c, d, nil
      end)
      assert.same({ true, 3, nil, n = 3 }, table.pack(coroutine.resume(co, 1, 2)))
      assert.same({ true, "c", "d", nil, n = 4 }, table.pack(coroutine.resume(co, "c", "d")))
      assert.equal("dead", coroutine.status(co))
    end)
  end)

  it("works with other blocking calls than sleep", function()
    curio.run(function()
      local event, queue = curio.Event(), curio.Queue(1)
      local task = curio.spawn(nested, 2, function()
        event:wait()
        return queue:get(), curio.spawn(tostring, 5):join()
      end)
      event:set()
      queue:put("item")
      assert.same({ "item", "5" }, { task:join() })
    end)
  end)

  it("works in pcall and xpcall, inside and outside of the generator", function()
    curio.run(function()
      local ok, value = pcall(nested, 2, function()
        return select(2, pcall(nested, 1, function()
          curio.sleep(0)
          return select(2, xpcall(function()
            curio.sleep(0)
            error({ code = 7 })
          end, function(err)
            return err.code
          end))
        end))
      end)
      assert.is_true(ok)
      assert.equal(7, value)
    end)
  end)

  it("works in metamethods, iterators and __close of a generator", function()
    local log = log_of(function(add)
      local meta = {
        __index = function(_, key)
          curio.schedule()
          return key .. "!"
        end,
        __add = function(a, b)
          curio.schedule()
          return a.n + b.n
        end,
        __eq = function()
          curio.schedule()
          return true
        end,
        __lt = function()
          curio.schedule()
          return true
        end,
        __concat = function()
          curio.schedule()
          return "joined"
        end,
        __len = function()
          curio.schedule()
          return 42
        end,
        __call = function(_, x)
          curio.schedule()
          return x
        end,
        __newindex = function(t, key, value)
          curio.schedule()
          rawset(t, key, value)
        end,
        __close = function()
          curio.schedule()
          add("closed")
        end,
      }
      curio.run(nested, 2, function()
        local a <close> = setmetatable({}, meta)
        local b = setmetatable({}, meta)
        a.n, b.n = 1, 2
        add(a.key, a + b, a == b, a < b, a .. b, #a, a(5))
        for i in function(_, i)
          curio.schedule()
          return i < 3 and i + 1 or nil
        end, nil, 0 do
          add(i)
        end
      end)
    end)
    assert.same({ "key! 3 true true joined 42 5", "1", "2", "3", "closed" }, log)
  end)

  it("passes on an error of the generator after a sleep", function()
    curio.run(function()
      local err = { "an error" }
      local co = coroutine.create(function()
        curio.sleep(0)
        error(err)
      end)
      local ok, got = coroutine.resume(co)
      assert.is_false(ok)
      assert.equal(err, got)
      assert.equal("dead", coroutine.status(co))
      assert.same({ false, "cannot resume dead coroutine" }, { coroutine.resume(co) })

      ok, got = pcall(nested, 3, function()
        curio.sleep(0)
        error(err)
      end)
      assert.is_false(ok)
      assert.equal(err, got)
    end)
  end)

  it("leaves the task in order after an error in a generator", function()
    curio.run(function()
      for _ = 1, 3 do
        pcall(nested, 2, function()
          curio.sleep(0)
          error("x")
        end)
        curio.sleep(0)
        assert.equal("ok", nested(2, function()
          curio.sleep(0)
          return "ok"
        end))
      end
    end)
  end)

  it("lets a generator be made in one task and used up in another", function()
    curio.run(function()
      local gen = coroutine.wrap(function()
        sleepy(3)
      end)
      local got = { gen() }
      curio.spawn(function()
        got[2] = gen()
      end):join()
      got[3] = gen()
      assert.same({ 1, 2, 3 }, got)
    end)
  end)

  it("lets a generator begun outside of a kernel go on inside one, and back", function()
    local gen = coroutine.wrap(function()
      coroutine.yield("outside")
      curio.sleep(0)
      coroutine.yield("inside")
      coroutine.yield("outside again")
    end)
    assert.equal("outside", gen())
    assert.equal("inside", curio.run(gen))
    assert.equal("outside again", gen())
  end)

  it("collects generators that are dropped, also while their task sleeps in another", function()
    local weak = setmetatable({}, { __mode = "v" })
    curio.run(function()
      for i = 1, 10 do
        local gen = coroutine.create(sleepy)
        coroutine.resume(gen, 3)
        weak[i] = gen
      end
      nested(2, function()
        curio.sleep(0)
        collectgarbage()
        collectgarbage()
        curio.sleep(0)
      end)
      assert.is_nil(next(weak))
    end)
  end)
end)

describe("a task asleep in a generator", function()
  for depth = 1, 3 do
    it("is cancelled there, " .. depth .. " deep", function()
      local log = log_of(function(add)
        curio.run(function()
          local task = curio.spawn(nested, depth, function()
            local ok, err = pcall(curio.sleep, 100)
            add(ok, curio.is(err, curio.TaskCancelled))
            error(err)
          end)
          curio.schedule()
          add(task:cancel())
          add(task.exception.name)
        end)
      end)
      assert.same({ "false true", "true", "TaskCancelled" }, log)
    end)

    it("is timed out there, " .. depth .. " deep", function()
      curio.run(function()
        local ok, err = pcall(curio.timeout_after, 0.001, nested, depth, function()
          curio.sleep(100)
        end)
        assert.is_false(ok)
        assert.is_true(curio.is(err, curio.TaskTimeout))
        assert.equal("v", (curio.ignore_after { 0.001, nested, depth, function()
          curio.sleep(100)
        end, timeout_result = "v" }))
        curio.sleep(0)
      end)
    end)

    it("can have the deadline itself in there, " .. depth .. " deep", function()
      curio.run(function()
        assert.equal("late", nested(depth, function()
          return (curio.ignore_after { 0.001, nested, depth, function()
            curio.sleep(100)
          end, timeout_result = "late" })
        end))
        local ok, err = pcall(nested, depth, function()
          curio.timeout_after(0.001, curio.sleep, 100)
        end)
        assert.is_false(ok)
        assert.is_true(curio.is(err, curio.TaskTimeout))
        curio.sleep(0)
      end)
    end)
  end

  it("is told of its cancellation at every level", function()
    local log = log_of(function(add)
      curio.run(function()
        local function level(n)
          local ok, err
          if n == 0 then
            ok, err = pcall(curio.sleep, 100)
          else
            ok, err = coroutine.resume(coroutine.create(level), n - 1)
          end
          add(n, ok, curio.is(err, curio.TaskCancelled))
          error(err, 0)
        end
        local task = curio.spawn(level, 3)
        curio.schedule()
        task:cancel()
      end)
    end)
    assert.same({ "0 false true", "1 false true", "2 false true", "3 false true" }, log)
  end)

  it("cannot hide from a cancellation in generators", function()
    curio.run(function()
      local tasks = {
        curio.spawn(function()
          while true do
            coroutine.resume(coroutine.create(curio.sleep), 10)
          end
        end),
        curio.spawn(function()
          while true do
            pcall(coroutine.wrap(curio.sleep), 10)
          end
        end),
        curio.spawn(nested, 2, function()
          while true do
            pcall(curio.sleep, 10)
          end
        end),
      }
      curio.schedule()
      for _, task in ipairs(tasks) do
        task:cancel()
        assert.is_true(curio.is(task.exception, curio.TaskCancelled))
      end
    end)
  end)

  it("may block in __close while a cancellation unwinds the generator", function()
    local log = log_of(function(add)
      curio.run(function()
        local task = curio.spawn(nested, 2, function()
          local _ <close> = closable(function(_, err)
            add("closing", curio.is(err, curio.TaskCancelled))
            curio.disable_cancellation(curio.sleep, 0)
            add("closed")
          end)
          curio.sleep(100)
        end)
        curio.schedule()
        task:cancel()
        add(task.exception.name)
      end)
    end)
    assert.same({ "closing true", "closed", "TaskCancelled" }, log)
  end)

  it("may block in __close while an error of its own unwinds the generator", function()
    local log = log_of(function(add)
      curio.run(function()
        add(select(2, pcall(nested, 1, function()
          local _ <close> = closable(function(_, err)
            curio.sleep(0)
            add("closed", err)
          end)
          error("mine", 0)
        end)))
      end)
    end)
    assert.equal("closed mine", log[1])
    assert.matches("mine$", log[2]) -- wrap puts the place before it, as Lua's does
  end)

  it("leaves no member of a group behind that stands in the generator", function()
    local log = log_of(function(add)
      curio.run(function()
        local member
        local task = curio.spawn(nested, 1, function()
          local group <close> = curio.TaskGroup()
          member = group:spawn(curio.sleep, 100)
          curio.sleep(100)
        end)
        curio.schedule()
        task:cancel()
        add(member.terminated)
        add(task.exception.name)
      end)
    end)
    assert.same({ "true", "TaskCancelled" }, log)
  end)

  it("is free of a deadline whose coroutine has died of it", function()
    curio.run(function()
      local ok, err = coroutine.resume(coroutine.create(function()
        curio.timeout_after(0.001, curio.sleep, 100)
      end))
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskTimeout))
      curio.sleep(0)
      curio.sleep(0.002)
    end)
  end)

  it("is free of a deadline whose coroutine has died of something else", function()
    curio.run(function()
      local ok, err = coroutine.resume(coroutine.create(function()
        curio.timeout_after(0.001, error, "x", 0)
      end))
      assert.same({ false, "x" }, { ok, err })
      curio.sleep(0.003)
      curio.sleep(0)
    end)
  end)

  it("can be cancelled after a coroutine has died inside disable_cancellation", function()
    curio.run(function()
      local task = curio.spawn(function()
        coroutine.resume(coroutine.create(function()
          curio.disable_cancellation(error, "x")
        end))
        curio.sleep(100)
      end)
      curio.schedule()
      assert.is_true(task:cancel { timeout = 0.05 })
      assert.equal("TaskCancelled", task.exception.name)
    end)
  end)

  it("is free of the deadline of a generator that was closed", function()
    curio.run(function()
      local co = coroutine.create(function()
        curio.timeout_after(0.001, function()
          coroutine.yield(1)
          curio.sleep(100)
        end)
      end)
      coroutine.resume(co)
      assert.is_true(coroutine.close(co))
      curio.sleep(0.003)
      curio.sleep(0)
    end)
  end)
end)

describe("a generator that two tasks share", function()
  it("cannot be resumed while it is asleep in the other", function()
    curio.run(function()
      local co = coroutine.create(function()
        curio.sleep(0.005)
        return "slept"
      end)
      local first = curio.spawn(coroutine.resume, co)
      curio.schedule()
      local ok, message = coroutine.resume(co)
      assert.is_false(ok)
      assert.matches("resume.*asleep in a task", message)
      assert.same({ true, "slept" }, { first:join() })
      assert.equal("dead", coroutine.status(co))
    end)
  end)

  it("cannot be called while it is asleep in the other", function()
    curio.run(function()
      local gen = coroutine.wrap(function()
        curio.sleep(0.005)
        return "slept"
      end)
      local first = curio.spawn(gen)
      curio.schedule()
      local ok, message = pcall(gen)
      assert.is_false(ok)
      assert.matches("resume.*asleep in a task", message)
      assert.equal("slept", first:join())
    end)
  end)

  it("is neither suspended nor closable while it is asleep", function()
    curio.run(function()
      local co
      co = coroutine.create(function()
        curio.sleep(0.005)
      end)
      local first = curio.spawn(coroutine.resume, co)
      curio.schedule()
      assert.not_equal("suspended", coroutine.status(co))
      assert.not_equal("dead", coroutine.status(co))
      local ok, message = pcall(coroutine.close, co)
      assert.is_false(ok)
      assert.matches("cannot close a normal coroutine", message)
      first:join()
      assert.is_true(coroutine.close(co))
    end)
  end)
end)

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
          local _ <close> = closable(function()
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
        local a <close> = closable(function(_, e)
          add("a", e)
          if err then
            error(err, 0)
          end
        end)
        local b <close> = closable(function(_, e)
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
      local _ <close> = closable(function(_, e)
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
      local _ <close> = closable(function(_, e)
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
      local _ <close> = closable(function()
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

-- Lua's own pcall and xpcall; opening the library anew must not stay.
local function pristine_protected()
  local open = package.loadlib("", "luaopen_base")
  local before = {}
  for key, value in next, _G do
    before[key] = value
  end
  open()
  local own_pcall, own_xpcall = rawget(_G, "pcall"), rawget(_G, "xpcall")
  for key, value in next, before do
    rawset(_G, key, value)
  end
  return own_pcall, own_xpcall
end

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
      local own_pcall, own_xpcall = pristine_protected()
      local expected = log_of(function(add)
        case(own_pcall, own_xpcall, add)
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
