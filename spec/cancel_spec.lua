-- Cancellation: level-triggered, in generators, and what clean-up code may do.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

local closing = helper.closing
local forever = helper.forever
local started = helper.started
local task_it = helper.task_it(it)
local timeless_it = helper.task_it(it, testing.autojump())
local raised = helper.raised
local LONG = helper.LONG

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

  timeless_it("sees no deadline of its own fire", function()
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
