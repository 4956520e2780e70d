-- Cancellation: level-triggered, shielded, accepted, insisting, and what clean-up code may do.

local curio = require "curio"

local LONG = 10 -- seconds that nobody waits for

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

local function forever()
  curio.sleep(LONG)
end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then
    return nil
  end
  return type(err) == "table" and err.name or err
end

-- Lua's own pcall, as a program has it that took it before curio was loaded.
local function own_pcall()
  local open = assert(package.loadlib("", "luaopen_base"))
  local saved = {}
  for name, value in pairs(_G) do
    saved[name] = value
  end
  open()
  local found = rawget(_G, "pcall")
  for name, value in pairs(saved) do
    rawset(_G, name, value)
  end
  return found
end

-- An `it` whose body is a task; it gets a list of what curio.log was told.
local function task_it(name, fn)
  it(name, function()
    local list = {}
    local old = curio.log
    curio.log = function(level, message)
      list[#list + 1] = level .. ": " .. message
    end
    local _ <close> = closing(function()
      curio.log = old
    end)
    curio.run(fn, list)
  end)
end

-- A task that has begun to wait.
local function started(fn, ...)
  local t = curio.spawn(fn, ...)
  curio.sleep(0)
  return t
end

describe("cancel", function()
  task_it("raises TaskCancelled where the task sleeps, waits for its end and gives true", function()
    local events = {}
    local t = started(function()
      local _ <close> = closing(function(_, err)
        events[#events + 1] = err.name
        curio.disable_cancellation(curio.sleep, 0.001)
        events[#events + 1] = "cleaned"
      end)
      forever()
    end)
    assert.is_true(t:cancel())
    events[#events + 1] = "cancel returned"
    assert.same({ "TaskCancelled", "cleaned", "cancel returned" }, events)
    assert.is_true(t.terminated)
    assert.is_true(t.cancelled)
  end)

  task_it("tells by the error who asked and why", function()
    local t = started(forever)
    local asker = curio.spawn(function()
      t:cancel { reason = "no longer needed" }
    end)
    asker:join()
    assert.equal("no longer needed", t.exception.reason)
    assert.is_true(rawequal(asker, t.exception.source))
    assert.matches("no longer needed", tostring(t.exception), 1, true)
    local u = started(forever)
    u:cancel()
    assert.is_nil(u.exception.reason)
    assert.is_true(rawequal(curio.current_task(), u.exception.source))
  end)

  task_it("raises exc: a class, an instance, and things that are no cancellation", function()
    local Stop = curio.errors.class("Stop", curio.TaskCancelled)
    local t = started(forever)
    t:cancel { exc = Stop, reason = "r" }
    assert.is_true(curio.is(t.exception, Stop))
    assert.equal("r", t.exception.reason)
    local mine = Stop "mine"
    t = started(forever)
    t:cancel { exc = mine }
    assert.is_true(rawequal(mine, t.exception))
    local Other = curio.errors.class "Other"
    t = started(forever)
    t:cancel { exc = Other }
    assert.is_true(curio.is(t.exception, Other))
    local other = Other "instance"
    t = started(forever)
    t:cancel { exc = other }
    assert.is_true(rawequal(other, t.exception))
  end)

  task_it("with exc is level-triggered too, whatever the error is", function()
    for _, exc in ipairs { curio.errors.class "Other" "x", curio.TaskTimeout "x" } do
      local n = 0
      local t = started(function()
        while true do
          pcall(forever)
          n = n + 1
        end
      end)
      t:cancel { exc = exc }
      assert.is_true(rawequal(exc, t.exception))
      assert.is_true(n >= 1 and n < 20)
    end
  end)

  task_it("with blocking=false asks only", function()
    local events = {}
    local t = started(function()
      local _ <close> = closing(function()
        events[#events + 1] = "closed"
      end)
      forever()
    end)
    t:cancel { blocking = false }
    events[#events + 1] = "asked"
    assert.is_false(t.terminated)
    t:wait()
    assert.same({ "asked", "closed" }, events)
  end)

  task_it("with timeout gives false if the task has not ended by then", function()
    local go = curio.Event()
    local t = started(curio.disable_cancellation, go.wait, go)
    assert.is_false(t:cancel { timeout = 0.001 })
    assert.is_false(t:cancel { timeout = 0 })
    assert.is_false(t.terminated)
    go:set()
    assert.is_true(t:cancel { timeout = LONG })
    assert.is_true(t.terminated)
    assert.is_true(t:cancel { timeout = 0 })
  end)

  task_it("of a task that has ended changes nothing and gives true", function()
    local t = curio.spawn(function()
      return "result"
    end)
    t:wait()
    assert.is_true(t:cancel())
    assert.is_false(t.cancelled)
    assert.equal("result", t:join())
  end)

  task_it("refuses unknown options and wrong types, and then asks nothing", function()
    local t = started(forever)
    for _, opts in ipairs {
      { block = false }, { blocking = 1 }, { timeout = "x" }, { timeout = 0 / 0 }, { 1 }, 5, "x",
    } do
      local ok, err = pcall(t.cancel, t, opts)
      assert.is_false(ok)
      assert.matches("cancel", tostring(err), 1, true)
    end
    curio.sleep(0)
    assert.is_false(t.cancelled)
    t:cancel()
  end)

  task_it("of a task not started prevents its body", function()
    local begun = false
    local t = curio.spawn(function()
      begun = true
    end)
    assert.is_true(t:cancel { reason = "early" })
    assert.is_false(begun)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    assert.equal("early", t.exception.reason)
    assert.is_false((pcall(t.join, t)))
  end)

  task_it("of a ready task reaches it at its next blocking call", function()
    local events = {}
    local event = curio.Event()
    local t = started(function()
      event:wait()
      events[#events + 1] = "kept what it was given"
      curio.sleep(0)
      events[#events + 1] = "never"
    end)
    event:set()
    t:cancel()
    assert.same({ "kept what it was given" }, events)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("takes nothing that was handed over: a lock, an item", function()
    local lock, q = curio.Lock(), curio.Queue()
    local got
    lock:acquire()
    local t = started(function()
      local _ <close> = lock:acquire()
      got = true
      curio.sleep(0)
    end)
    local u = started(function()
      got = q:get()
      curio.sleep(0)
    end)
    lock:release()
    t:cancel()
    assert.is_true(got)
    assert.is_false(lock:locked())
    q:put "item"
    u:cancel()
    assert.equal("item", got)
  end)

  task_it("of a task that never blocks again leaves it its result", function()
    local t
    t = curio.spawn(function()
      t:cancel { blocking = false }
      return "result"
    end)
    t:wait()
    assert.is_true(t.cancelled)
    assert.equal("result", t.result)
  end)

  task_it("does not touch the tasks that the task has spawned", function()
    local child
    local t = started(function()
      child = curio.spawn(forever)
      forever()
    end)
    curio.sleep(0)
    t:cancel()
    assert.is_false(child.terminated)
    child:cancel()
  end)

  task_it("a second time waits for the end, keeps the first error", function()
    local go = curio.Event()
    local t = started(function()
      local _ <close> = closing(function()
        curio.disable_cancellation(go.wait, go)
      end)
      forever()
    end)
    t:cancel { blocking = false, reason = "first" }
    local second = started(t.cancel, t, { reason = "second", exc = curio.CurioError })
    assert.is_false(second.terminated)
    go:set()
    assert.is_true(second:join())
    assert.equal("first", t.exception.reason)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("of oneself raises at the next blocking call", function()
    local events = {}
    local t = curio.spawn(function()
      curio.current_task():cancel { blocking = false }
      events[#events + 1] = "still here"
      curio.sleep(0)
      events[#events + 1] = "never"
    end)
    t:wait()
    assert.same({ "still here" }, events)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    assert.is_true(rawequal(t, t.exception.source))
    t = curio.spawn(function()
      curio.current_task():cancel()
      events[#events + 1] = "never"
    end)
    t:wait()
    assert.same({ "still here" }, events)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("of a task blocked in cancel leaves the inner one cancelled", function()
    local go = curio.Event()
    local inner = started(function()
      local _ <close> = closing(function()
        curio.disable_cancellation(go.wait, go)
      end)
      forever()
    end)
    local outer = started(inner.cancel, inner)
    outer:cancel()
    assert.is_true(curio.is(outer.exception, curio.TaskCancelled))
    assert.is_false(inner.terminated)
    go:set()
    inner:wait()
    assert.is_true(curio.is(inner.exception, curio.TaskCancelled))
  end)

  task_it("of a task blocked in join or wait harms only that one", function()
    local t = started(function()
      curio.sleep(0.002)
      return "unharmed"
    end)
    local joiner, waiter = started(t.join, t), started(t.wait, t)
    joiner:cancel()
    waiter:cancel()
    assert.equal("unharmed", t:join())
  end)

  task_it("does not pass the errors of the clean-up to the canceller", function()
    local t = started(function()
      local _ <close> = closing(function()
        error("clean-up broke", 0)
      end)
      forever()
    end)
    assert.is_true(t:cancel())
    assert.equal("clean-up broke", t.exception)
  end)

  task_it("of each other, by two tasks at once, ends both", function()
    local a, b
    a = curio.spawn(function()
      curio.sleep(0)
      b:cancel()
    end)
    b = curio.spawn(function()
      curio.sleep(0)
      a:cancel()
    end)
    a:wait()
    b:wait()
    assert.is_true(curio.is(b.exception, curio.TaskCancelled))
  end)

  task_it("from a __close handler of another cancelled task", function()
    local events = {}
    local a = started(function()
      local _ <close> = closing(function()
        events[#events + 1] = "a"
      end)
      forever()
    end)
    local b = started(function()
      local _ <close> = closing(function()
        curio.disable_cancellation(a.cancel, a)
        events[#events + 1] = "b"
      end)
      forever()
    end)
    b:cancel()
    assert.same({ "a", "b" }, events)
  end)

  task_it("reaches into nested generators and runs their handlers", function()
    local events = {}
    local t = started(function()
      local gen = coroutine.wrap(function()
        local inner = coroutine.wrap(function()
          local _ <close> = closing(function(_, err)
            events[#events + 1] = "inner " .. err.name
          end)
          forever()
        end)
        local _ <close> = closing(function(_, err)
          events[#events + 1] = "outer " .. err.name
        end)
        inner()
      end)
      gen()
    end)
    t:cancel()
    assert.same({ "inner TaskCancelled", "outer TaskCancelled" }, events)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)
end)

describe("a cancelled generator", function()
  task_it("runs __close handlers that may block when shielded, as any code of the task", function()
    local events = {}
    local t = started(function()
      coroutine.wrap(function()
        local _ <close> = closing(function(_, err)
          curio.disable_cancellation(curio.sleep, 0)
          events[#events + 1] = err.name
        end)
        forever()
      end)()
    end)
    t:cancel()
    assert.same({ "TaskCancelled" }, events)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled), tostring(t.exception))
  end)

  task_it("that fails runs handlers that may block", function()
    local closed = false
    local ok, err = pcall(coroutine.wrap(function()
      local _ <close> = closing(function()
        curio.sleep(0)
        closed = true
      end)
      error("text", 0)
    end))
    assert.is_false(ok)
    assert.matches("text", err, 1, true)
    assert.is_true(closed)
  end)
end)

describe("a cancelled task", function()
  task_it("gets the same error object at every blocking call", function()
    local seen = {}
    local done = curio.spawn(function() end)
    local t = started(function()
      for i, call in ipairs {
        forever,
        curio.schedule,
        function()
          curio.sleep(0)
        end,
        function()
          done:join()
        end,
        function()
          curio.Event():wait()
        end,
        function()
          curio.Queue():get()
        end,
        function()
          curio.TaskGroup():join()
        end,
      } do
        local ok, err = pcall(call)
        seen[i] = not ok and err
      end
    end)
    t:cancel()
    assert.equal(7, #seen)
    for i = 1, 7 do
      assert.is_true(rawequal(seen[1], seen[i]), "call " .. i)
    end
    assert.is_true(curio.is(seen[1], curio.TaskCancelled))
  end)

  task_it("may spawn, look at itself and leave shields without being hit", function()
    local events = {}
    local t = started(function()
      pcall(forever)
      curio.spawn(function()
        events[#events + 1] = "spawned runs"
      end)
      events[#events + 1] = curio.current_task().state
      events[#events + 1] = tostring(curio.clock() > 0)
      return "result"
    end)
    t:cancel()
    curio.sleep(0)
    assert.same({ "RUNNING", "true", "spawned runs" }, events)
    assert.equal("result", t.result)
  end)

  task_it("gives way to other ready tasks before it is told again", function()
    local events = {}
    local t = started(function()
      for i = 1, 3 do
        pcall(forever)
        events[#events + 1] = "mine" .. i
      end
    end)
    t:cancel { blocking = false }
    local other = curio.spawn(function()
      for i = 1, 3 do
        events[#events + 1] = "other" .. i
        curio.sleep(0)
      end
    end)
    t:wait()
    other:wait()
    assert.same({ "mine1", "other1", "mine2", "other2", "mine3", "other3" }, events)
  end)

  task_it("runs all its handlers, each of which may fail or block", function()
    local events = {}
    local t = started(function()
      local _ <close> = closing(function(_, err)
        events[#events + 1] = "last " .. tostring(err)
      end)
      local _ <close> = closing(function()
        curio.disable_cancellation(curio.sleep, 0.001)
        events[#events + 1] = "blocked"
        error("second", 0)
      end)
      local _ <close> = closing(function(_, err)
        events[#events + 1] = raised(curio.sleep, 0)
        events[#events + 1] = err.name
        error("first", 0)
      end)
      forever()
    end)
    t:cancel()
    assert.same({ "TaskCancelled", "TaskCancelled", "blocked", "last second" }, events)
    assert.equal("second", t.exception)
  end)

  task_it("runs a great many handlers that all try to block unshielded", function()
    local closed = 0
    local handler = closing(function()
      closed = closed + 1
      curio.sleep(0)
    end)
    local function deeper(n)
      local _ <close> = handler
      if n > 1 then
        deeper(n - 1)
      else
        forever()
      end
    end
    local t = started(deeper, 50)
    t:cancel()
    assert.equal(50, closed)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("sees no deadline of its own fire", function()
    local events = {}
    local t = started(function()
      local _ <close> = curio.timeout_after(0.001)
      local _ <close> = closing(function()
        curio.disable_cancellation(curio.sleep, 0.004)
        events[#events + 1] = raised(curio.sleep, 0)
      end)
      curio.timeout_after(LONG, forever)
    end)
    t:cancel()
    assert.same({ "TaskCancelled" }, events)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("sees no deadline fire that it sets while it cleans up, nor one that expired before",
    function()
      local events = {}
      local t = started(function()
        pcall(curio.timeout_after, 0, function()
          curio.current_task():cancel { blocking = false }
          events[#events + 1] = raised(curio.sleep, 0)
        end)
        events[#events + 1] = raised(curio.timeout_after, 0, curio.sleep, 0)
        events[#events + 1] = raised(curio.ignore_after, 0, curio.sleep, 0)
        forever()
      end)
      t:wait()
      assert.same({ "TaskCancelled", "TaskCancelled", "TaskCancelled" }, events)
      assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    end)

  task_it("whose deadline had expired and was being swallowed still ends", function()
    local t = started(function()
      while true do
        pcall(curio.timeout_after, 0.001, function()
          while true do
            pcall(forever)
          end
        end)
      end
    end)
    curio.sleep(0.003)
    t:cancel()
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)
end)

describe("check_cancellation", function()
  task_it("accepts with a class: returns the error, clears it, and the task goes on", function()
    local accepted
    local t = started(function()
      local _, err = pcall(forever)
      accepted = curio.check_cancellation(curio.TaskCancelled)
      assert.is_true(rawequal(err, accepted))
      assert.is_nil(curio.check_cancellation(curio.TaskCancelled))
      curio.sleep(0)
      return "went on"
    end)
    t:cancel { reason = "accept me" }
    assert.equal("accept me", accepted.reason)
    assert.equal("went on", t:join())
    assert.is_true(t.cancelled)
  end)

  task_it("with another class leaves it pending, with a parent class accepts it", function()
    local t = started(function()
      pcall(forever)
      assert.is_nil(curio.check_cancellation(curio.TaskTimeout))
      assert.equal("TaskCancelled", raised(curio.sleep, 0))
      assert.is_table(curio.check_cancellation(curio.CancelledError))
      curio.sleep(0)
      return "went on"
    end)
    t:cancel()
    assert.equal("went on", t:join())
  end)

  task_it("without a class raises it, and returns nil when there is none", function()
    assert.is_nil(curio.check_cancellation())
    assert.is_nil(curio.check_cancellation(curio.TaskCancelled))
    local t = started(function()
      pcall(forever)
      curio.check_cancellation()
      return "never"
    end)
    t:cancel()
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("inside a shield returns it; with a class clears it", function()
    local t = started(function()
      curio.disable_cancellation(function()
        curio.sleep(0.001)
        local err = curio.check_cancellation()
        assert.is_true(curio.is(err, curio.TaskCancelled))
        assert.is_true(rawequal(err, curio.check_cancellation()))
        assert.is_nil(curio.check_cancellation(curio.TaskTimeout))
        assert.is_true(rawequal(err, curio.check_cancellation(curio.TaskCancelled)))
        assert.is_nil(curio.check_cancellation())
      end)
      curio.sleep(0)
      return "went on"
    end)
    t:cancel()
    assert.equal("went on", t:join())
  end)

  task_it("lets the task be cancelled again, as often as it accepts", function()
    local reasons = {}
    local t = started(function()
      for _ = 1, 3 do
        pcall(forever)
        reasons[#reasons + 1] = curio.check_cancellation(curio.TaskCancelled).reason
      end
      forever()
    end)
    for i = 1, 3 do
      assert.is_false(t:cancel { reason = i, timeout = 0.001 })
    end
    t:cancel { reason = "last" }
    assert.same({ 1, 2, 3 }, reasons)
    assert.equal("last", t.exception.reason)
  end)

  task_it("starts the count of swallowed errors anew", function()
    local n = 0
    local t = started(function()
      for _ = 1, 5 do
        for _ = 1, 8 do
          pcall(forever)
          n = n + 1
        end
        curio.check_cancellation(curio.TaskCancelled)
        curio.current_task():cancel { blocking = false }
      end
    end)
    t:cancel()
    assert.equal(40, n)
    assert.is_nil(t.exception)
  end)

  task_it("puts deadlines in force again", function()
    local t = started(function()
      return raised(curio.timeout_after, 0.001, function()
        pcall(forever)
        curio.check_cancellation(curio.TaskCancelled)
        forever()
      end)
    end)
    t:cancel()
    assert.equal("TaskTimeout", t:join())
  end)
end)

describe("set_cancellation", function()
  task_it("sets the pending error, returns the old one; nil clears it", function()
    local mine, other = curio.TaskCancelled "mine", curio.TaskCancelled "other"
    local t = curio.spawn(function()
      assert.is_nil(curio.set_cancellation(mine))
      local _, err = pcall(curio.sleep, 0)
      assert.is_true(rawequal(mine, err))
      assert.is_true(rawequal(mine, curio.set_cancellation(other)))
      _, err = pcall(curio.sleep, 0)
      assert.is_true(rawequal(other, err))
      assert.is_true(rawequal(other, curio.set_cancellation(nil)))
      assert.is_nil(curio.set_cancellation(nil))
      curio.sleep(0)
      return "went on"
    end)
    assert.equal("went on", t:join())
  end)

  task_it("inside a shield shows after it", function()
    local t = curio.spawn(function()
      curio.disable_cancellation(function()
        curio.set_cancellation(curio.TaskCancelled "later")
        curio.sleep(0)
      end)
      return raised(curio.sleep, 0)
    end)
    assert.equal("TaskCancelled", t:join())
  end)
end)

describe("disable_cancellation", function()
  task_it("returns all results, passes arguments and errors", function()
    assert.same({ n = 3, nil, 2, nil }, table.pack(curio.disable_cancellation(function(...)
      curio.sleep(0)
      return ...
    end, nil, 2, nil)))
    local mistake = {}
    local ok, err = pcall(curio.disable_cancellation, error, mistake)
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.is_false(pcall(curio.disable_cancellation, 5))
    assert.equal(3, curio.disable_cancellation { math.max, 1, 3 })
    assert.is_false(pcall(curio.disable_cancellation, { math.max, 1, wrong = 2 }))
  end)

  local forms = {
    ["the function form"] = function(fn)
      curio.disable_cancellation(fn)
    end,
    ["the block form"] = function(fn)
      local _ <close> = curio.disable_cancellation()
      fn()
    end,
    ["the function form in itself"] = function(fn)
      curio.disable_cancellation(curio.disable_cancellation, fn)
    end,
    ["the block form in the function form"] = function(fn)
      curio.disable_cancellation(function()
        do
          local _ <close> = curio.disable_cancellation()
          curio.sleep(0)
        end
        fn()
      end)
    end,
    ["the function form in the block form, in a generator"] = function(fn)
      local _ <close> = curio.disable_cancellation()
      coroutine.wrap(function()
        curio.disable_cancellation(curio.sleep, 0)
        fn()
      end)()
    end,
  }

  for name, shield in pairs(forms) do
    task_it("holds a cancellation back until it is left: " .. name, function()
      local events = {}
      local go = curio.Event()
      local t = started(function()
        shield(function()
          go:wait()
          curio.sleep(0)
          events[#events + 1] = "shielded"
        end)
        events[#events + 1] = "left"
        curio.sleep(0)
        events[#events + 1] = "never"
      end)
      t:cancel { blocking = false }
      curio.sleep(0)
      go:set()
      t:wait()
      assert.same({ "shielded", "left" }, events)
      assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    end)

    task_it("is left by an error: " .. name, function()
      local t = started(function()
        pcall(shield, function()
          curio.sleep(0.001)
          error "left"
        end)
        curio.sleep(0)
      end)
      t:cancel()
      assert.is_true(curio.is(t.exception, curio.TaskCancelled))
    end)
  end

  task_it("nests: leaving an inner one does not end the outer one", function()
    local t = started(function()
      curio.disable_cancellation(function()
        curio.sleep(0.001)
        curio.disable_cancellation(curio.sleep, 0)
        curio.sleep(0)
        curio.disable_cancellation(curio.sleep, 0)
        curio.sleep(0)
      end)
      return "no blocking call after it"
    end)
    t:cancel()
    assert.equal("no blocking call after it", t:join())
  end)

  task_it("closed by a cancelled generator that dies ends with it", function()
    local t = started(function()
      pcall(coroutine.wrap(function()
        curio.disable_cancellation(function()
          curio.sleep(0.001)
          error "dies"
        end)
      end))
      local co = coroutine.create(function()
        local _ <close> = curio.disable_cancellation()
        error "dies"
      end)
      coroutine.resume(co)
      curio.sleep(0)
      return "shield left behind", co
    end)
    t:cancel()
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("lets others be cancelled and joined inside", function()
    local other = started(forever)
    curio.disable_cancellation(function()
      other:cancel()
    end)
    assert.is_true(other.terminated)
  end)
end)

describe("insistence", function()
  local loops = {
    ["pcall"] = function()
      pcall(curio.sleep, 10)
    end,
    ["xpcall"] = function()
      xpcall(curio.sleep, debug.traceback, 10)
    end,
    ["xpcall with a handler that changes the error"] = function()
      xpcall(curio.sleep, function(e)
        return "changed: " .. tostring(e)
      end, 10)
    end,
    ["nested pcalls"] = function()
      pcall(pcall, pcall, curio.sleep, 10)
    end,
    ["pcall that raises something else"] = function()
      pcall(function()
        local _, e = pcall(curio.sleep, 10)
        error(tostring(e), 0)
      end)
    end,
    ["coroutine.resume"] = function()
      coroutine.resume(coroutine.create(curio.sleep), 10)
    end,
    ["pcall of coroutine.wrap"] = function()
      pcall(coroutine.wrap(curio.sleep), 10)
    end,
    ["pcall inside a generator"] = function()
      coroutine.wrap(function()
        pcall(curio.sleep, 10)
      end)()
    end,
    ["ignore_after"] = function()
      curio.ignore_after(LONG, pcall, curio.sleep, 10)
    end,
    ["a __close that changes the error"] = function()
      pcall(function()
        local _ <close> = closing(function()
          error("other", 0)
        end)
        curio.sleep(10)
      end)
    end,
    ["a lock"] = function()
      local lock = curio.Lock()
      pcall(function()
        local _ <close> = lock:acquire()
        lock:acquire()
      end)
    end,
    ["sleep(0)"] = function()
      pcall(curio.sleep, 0)
    end,
  }

  for name, swallow in pairs(loops) do
    task_it("ends a loop that swallows through " .. name, function(reports)
      local n = 0
      local t = started(function()
        while true do
          swallow()
          n = n + 1
        end
      end)
      t:cancel()
      assert.is_true(t.terminated)
      assert.is_true(curio.is(t.exception, curio.TaskCancelled), tostring(t.exception))
      assert.is_true(n >= 1 and n <= 20, "went on " .. n .. " times")
      assert.same({}, reports)
    end)

    it("ends at shutdown a loop that swallows through " .. name, function()
      local t
      curio.run(function()
        t = started(function()
          while true do
            swallow()
          end
        end)
      end)
      assert.is_true(t.terminated)
      assert.is_true(curio.is(t.exception, curio.TaskCancelled), tostring(t.exception))
    end)
  end

  task_it("begins after eight swallowed errors, not before", function()
    local n = 0
    local t = started(function()
      while true do
        pcall(forever)
        n = n + 1
      end
    end)
    t:cancel()
    assert.equal(8, n)
  end)

  task_it("still runs __close handlers, which may block when shielded", function()
    local events = {}
    local t = started(function()
      local _ <close> = closing(function()
        curio.disable_cancellation(curio.sleep, 0.001)
        events[#events + 1] = "cleaned"
      end)
      while true do
        pcall(forever)
      end
    end)
    t:cancel()
    assert.same({ "cleaned" }, events)
  end)

  task_it("does not count an error that pcall passes on: it was not swallowed", function()
    local cleaned = 0
    local function layer(n)
      if n == 0 then
        forever()
      end
      local ok, err = pcall(layer, n - 1)
      cleaned = cleaned + 1
      if not ok then
        error(err, 0)
      end
    end
    local t = started(layer, 20)
    t:cancel()
    assert.equal(20, cleaned)
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("passes errors that are no cancellation to pcall as ever", function()
    local caught = 0
    local t = started(function()
      pcall(forever)
      for _ = 1, 20 do
        local ok, err = pcall(error, "other", 0)
        assert.is_false(ok)
        assert.equal("other", err)
        caught = caught + 1
      end
    end)
    t:cancel()
    assert.equal(20, caught)
    assert.is_nil(t.exception)
  end)

  task_it("closes by force what swallows with a pcall that is not ours, and reports it",
    function(reports)
      local lua_pcall = own_pcall()
      local closed = false
      local t = started(function()
        local _ <close> = closing(function()
          closed = true
        end)
        while true do
          lua_pcall(curio.sleep, 10)
        end
      end)
      t:cancel()
      assert.is_true(t.terminated)
      assert.is_true(closed)
      assert.is_not_nil(t.exception)
      assert.equal(1, #reports)
      assert.matches("force", reports[1], 1, true)
    end)

  task_it("reports a task closed by force when nobody waits for it", function(reports)
    local lua_pcall = own_pcall()
    local t = started(function()
      while true do
        lua_pcall(curio.sleep, 0)
      end
    end)
    t:cancel { blocking = false }
    for _ = 1, 1000 do
      curio.sleep(0)
    end
    assert.is_true(t.terminated)
    assert.equal(1, #reports)
    assert.matches("force", reports[1], 1, true)
  end)

  task_it("closes by force a task that hides it in generators", function()
    local lua_pcall = own_pcall()
    local closed = {}
    local t = started(function()
      local gen = coroutine.wrap(function()
        local _ <close> = closing(function()
          closed[#closed + 1] = "generator"
        end)
        while true do
          lua_pcall(curio.sleep, 10)
        end
      end)
      local _ <close> = closing(function()
        closed[#closed + 1] = "body"
      end)
      gen()
    end)
    t:cancel()
    assert.same({ "generator", "body" }, closed)
  end)

  it("closes by force at shutdown too", function()
    local lua_pcall = own_pcall()
    local old = curio.log
    curio.log = function() end
    local t
    curio.run(function()
      t = started(function()
        while true do
          lua_pcall(curio.sleep, 10)
        end
      end)
    end)
    curio.log = old
    assert.is_true(t.terminated)
  end)

  task_it("leaves other tasks and their scopes alone when one is closed by force", function()
    local lua_pcall = own_pcall()
    local bystander = started(curio.timeout_after, LONG, function()
      curio.sleep(0.002)
      return "unharmed"
    end)
    local t = started(function()
      local _ <close> = curio.timeout_after(LONG)
      local _ <close> = curio.disable_cancellation()
      lua_pcall(curio.timeout_after, LONG, function()
        error "leaves the scopes"
      end)
    end)
    local u = started(function()
      local _ <close> = curio.timeout_after(LONG)
      while true do
        lua_pcall(curio.timeout_after, LONG, forever)
      end
    end)
    u:cancel()
    t:wait()
    assert.equal("unharmed", bystander:join())
  end)
end)

describe("shutdown", function()
  it("cancels all tasks, newest first, with one error each may clean up after", function()
    local events = {}
    curio.run(function()
      for i = 1, 3 do
        started(function()
          local _ <close> = closing(function(_, err)
            events[#events + 1] = i .. err.name
            curio.disable_cancellation(curio.sleep, 0)
          end)
          forever()
        end)
      end
    end)
    assert.same({ "3TaskCancelled", "2TaskCancelled", "1TaskCancelled" }, events)
  end)

  it("waits for tasks that clean-up code spawns", function()
    local events = {}
    curio.run(function()
      started(function()
        local _ <close> = closing(function()
          curio.disable_cancellation(function()
            local t = curio.spawn(function()
              curio.sleep(0.001)
              events[#events + 1] = "spawned in clean-up"
            end)
            t:join()
          end)
        end)
        forever()
      end)
    end)
    assert.same({ "spawned in clean-up" }, events)
  end)

  it("starts no task that has not started", function()
    local begun = false
    local t
    curio.run(function()
      t = curio.spawn(function()
        begun = true
      end)
    end)
    assert.is_false(begun)
    assert.is_true(t.terminated)
  end)
end)
