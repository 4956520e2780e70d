-- Blocking inside plain coroutines.

local curio = require "curio"
local helper = require "spec.helper"

local closing = helper.closing
local nested = helper.nested
local log_of = helper.log_of

local function sleepy(n)
  for i = 1, n do
    curio.sleep(0)
    coroutine.yield(i)
  end
  return "end"
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
          local _ <close> = closing(function(_, err)
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
          local _ <close> = closing(function(_, err)
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

  it("is neither suspended nor closing while it is asleep", function()
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
