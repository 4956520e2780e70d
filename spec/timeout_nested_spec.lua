-- Deadlines inside one another, in generators, through all that blocks; sleep.

local curio = require "curio"
local helper = require "spec.helper"
local testing = require "curio.testing"

local closing = helper.closing
local forever = helper.forever
local task_it = helper.task_it(it)
local timeless_it = helper.task_it(it, testing.autojump())
local raised = helper.raised
local LONG, SOON = helper.LONG, helper.SOON

describe("nested deadlines", function()
  -- Runs two nested scopes; gives what the blocking call, the inner and the outer scope raised.
  local function nest(outer, inner, body)
    local events = {}
    events[3] = raised(curio.timeout_after, outer, function()
      local ok, err = pcall(curio.timeout_after, inner, function()
        local ok, err = pcall(body or forever)
        events[1] = not ok and err.name or "no error"
        if not ok then
          error(err)
        end
      end)
      events[2] = not ok and err.name or "no error"
      if not ok then
        error(err)
      end
    end) or "no error"
    return events
  end

  task_it("the inner one expires first: TaskTimeout, uncaught for the outer one", function()
    assert.same({ "TaskTimeout", "TaskTimeout", "UncaughtTimeoutError" }, nest(LONG, SOON))
    assert.same({ "TaskTimeout", "TaskTimeout", "UncaughtTimeoutError" }, nest(nil, 0))
  end)

  task_it("the outer one expires first: inside, TimeoutCancellationError", function()
    local got = nest(SOON, LONG)
    assert.same({ "TimeoutCancellationError", "TaskTimeout" }, { got[2], got[3] })
    got = nest(0, nil)
    assert.same({ "TimeoutCancellationError", "TaskTimeout" }, { got[2], got[3] })
  end)

  task_it("both have expired: the outermost wins", function()
    local got = nest(0, 0)
    assert.same({ "TimeoutCancellationError", "TaskTimeout" }, { got[2], got[3] })
    got = nest(-1, 0)
    assert.same({ "TimeoutCancellationError", "TaskTimeout" }, { got[2], got[3] })
    got = nest(0, -1)
    assert.same({ "TimeoutCancellationError", "TaskTimeout" }, { got[2], got[3] })
  end)

  task_it("of equal length are told apart by identity", function()
    for _ = 1, 20 do
      local got = nest(SOON, SOON)
      assert.is_true(got[3] == "TaskTimeout" and got[2] == "TimeoutCancellationError"
        or got[3] == "UncaughtTimeoutError" and got[2] == "TaskTimeout", table.concat(got, " "))
    end
  end)

  task_it("of three, the middle one expires: inner sees a cancellation, outer an uncaught one",
    function()
      local inner, middle
      local outer = raised(curio.timeout_after, LONG, function()
        local ok, err = pcall(curio.timeout_after, SOON, function()
          local ok, err = pcall(curio.timeout_after, LONG, forever)
          inner = not ok and err.name
          error(err)
        end)
        middle = not ok and err.name
        error(err)
      end)
      assert.same({ "TimeoutCancellationError", "TaskTimeout", "UncaughtTimeoutError" },
        { inner, middle, outer })
    end)

  task_it("never extend an outer one", function()
    local t = curio.spawn(curio.timeout_after, SOON, curio.timeout_after, LONG, forever)
    t:wait()
    assert.equal("TaskTimeout", t.exception.name)
  end)

  task_it("UncaughtTimeoutError tells its cause, and is no cancellation", function()
    local cause
    local _, err = pcall(curio.timeout_after, LONG, function()
      local _, e = pcall(curio.timeout_after, 0, forever)
      cause = e
      error(e)
    end)
    assert.is_true(curio.is(err, curio.UncaughtTimeoutError))
    assert.is_false(curio.is(err, curio.CancelledError))
    assert.equal(cause, err.cause)
  end)

  task_it("UncaughtTimeoutError passes through further scopes and ignore_after", function()
    assert.equal("UncaughtTimeoutError", raised(curio.ignore_after, LONG, curio.timeout_after, LONG,
      curio.timeout_after, 0, forever))
  end)

  task_it("ignore_after inside does not swallow an outer expiry", function()
    local events = {}
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, function()
      local ok, err = pcall(curio.ignore_after, LONG, forever)
      events[1] = not ok and err.name or "swallowed"
      error(err)
    end))
    assert.same({ "TimeoutCancellationError" }, events)
  end)

  task_it("ignore_after outside swallows its own expiry that came through inner scopes", function()
    assert.equal("outer", curio.ignore_after { SOON, curio.timeout_after, LONG, curio.timeout_after,
      LONG, forever, timeout_result = "outer" })
    curio.sleep(0)
  end)

  task_it("an inner expiry does not end an ignore_after outside", function()
    assert.equal("UncaughtTimeoutError", raised(curio.ignore_after, LONG, curio.timeout_after, 0,
      forever))
  end)

  task_it("an inner expiry handled inside leaves the outer one in force", function()
    local events = {}
    assert.equal("TaskTimeout", raised(curio.timeout_after, 0.02, function()
      events[1] = raised(curio.timeout_after, 0, forever)
      forever()
    end))
    assert.same({ "TaskTimeout" }, events)
  end)

  task_it("an outer deadline that passes while the inner clean-up runs fires afterwards", function()
    local events = {}
    assert.equal("TaskTimeout", raised(curio.timeout_after, 2 * SOON, function()
      pcall(curio.timeout_after, SOON, function()
        local _ <close> = closing(function()
          curio.disable_cancellation(curio.sleep, 4 * SOON)
          events[#events + 1] = "cleaned"
        end)
        forever()
      end)
      events[#events + 1] = "after"
      curio.sleep(0)
      events[#events + 1] = "never"
    end))
    assert.same({ "cleaned", "after" }, events)
  end)

  task_it("a timeout raised by hand meets an unexpired scope: UncaughtTimeoutError", function()
    for _, class in ipairs { curio.TaskTimeout, curio.TimeoutCancellationError } do
      assert.equal("UncaughtTimeoutError", raised(curio.timeout_after, LONG, error, class()))
    end
  end)

  task_it("many deep pair from the outermost expired one inwards", function()
    local seen = {}
    local function deeper(n)
      if n == 0 then
        forever()
      end
      local _ <close> = closing(function(_, err)
        seen[n] = err.name
      end)
      curio.timeout_after(n == 30 and SOON or LONG, deeper, n - 1)
    end
    assert.equal("UncaughtTimeoutError", raised(deeper, 50))
    for n = 1, 50 do
      local want = n < 30 and "TimeoutCancellationError" or n == 30 and "TaskTimeout"
        or "UncaughtTimeoutError"
      assert.equal(want, seen[n])
    end
    curio.sleep(0)
  end)
end)

describe("a deadline reaches through", function()
  local function waits_in(name, fn)
    task_it(name, function()
      assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, fn))
      curio.sleep(0)
    end)
  end

  waits_in("join, which leaves the other task alone", function()
    local t = curio.spawn(forever)
    local _ <close> = closing(function()
      assert.is_false(t.terminated)
      curio.disable_cancellation(t.cancel, t)
    end)
    t:join()
  end)

  waits_in("a cancel that waits", function()
    local go = curio.Event()
    local t = curio.spawn(curio.disable_cancellation, go.wait, go)
    curio.disable_cancellation(curio.sleep, 0)
    local _ <close> = closing(function()
      go:set()
    end)
    t:cancel()
  end)

  waits_in("a lock's queue", function()
    local lock = curio.Lock()
    local _ <close> = lock:acquire()
    lock:acquire()
  end)

  waits_in("an event, a semaphore, a condition", function()
    local condition = curio.Condition()
    local _ <close> = condition:acquire()
    condition:wait()
  end)

  waits_in("a queue", function()
    curio.Queue():get()
  end)

  waits_in("nested generators", function()
    coroutine.wrap(function()
      coroutine.wrap(forever)()
    end)()
  end)

  timeless_it("a group, whose members are cancelled and have ended by then", function()
    local member
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, function()
      local g <close> = curio.TaskGroup()
      member = g:spawn(forever)
    end))
    assert.is_true(member.terminated)
    assert.is_true(curio.is(member.exception, curio.TaskCancelled))
  end)

  timeless_it("curio.group, which raises the timeout and not a member's cancellation", function()
    local member
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, curio.group, function(g)
      member = g:spawn(forever)
      forever()
    end))
    assert.is_true(member.terminated)
  end)

  task_it("nothing that is shielded, and raises at the first blocking call after it", function()
    local events = {}
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, function()
      curio.disable_cancellation(function()
        curio.sleep(3 * SOON)
        curio.sleep(0)
        events[#events + 1] = "shield done"
      end)
      events[#events + 1] = "outside"
      curio.sleep(0)
      events[#events + 1] = "never"
    end))
    assert.same({ "shield done", "outside" }, events)
  end)

  task_it("nothing when it was set inside a shield", function()
    assert.equal("unharmed", curio.disable_cancellation(function()
      return curio.timeout_after(0, function()
        curio.sleep(SOON)
        return "unharmed"
      end)
    end))
    curio.sleep(0)
  end)
end)

describe("a deadline in a generator", function()
  task_it("expires inside it, and the task goes on", function()
    local gen = coroutine.wrap(function()
      coroutine.yield(raised(curio.timeout_after, SOON, forever))
      coroutine.yield(raised(curio.timeout_after, SOON, forever))
    end)
    assert.equal("TaskTimeout", gen())
    curio.sleep(0)
    assert.equal("TaskTimeout", gen())
    curio.sleep(0)
  end)

  task_it("that dies of it under wrap leaves no scope behind", function()
    assert.equal("TaskTimeout", raised(coroutine.wrap(function()
      curio.timeout_after(SOON, forever)
    end)))
    curio.sleep(0)
    assert.equal("TaskTimeout", raised(coroutine.wrap(function()
      local _ <close> = curio.timeout_after(SOON)
      forever()
    end)))
    curio.sleep(0)
  end)

  task_it("that dies of it under resume leaves no scope behind", function()
    for _, body in ipairs {
      function()
        curio.timeout_after(SOON, forever)
      end,
      function()
        local _ <close> = curio.timeout_after(SOON)
        forever()
      end,
    } do
      local co = coroutine.create(body)
      local ok, err = coroutine.resume(co)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskTimeout))
      assert.is_nil(raised(curio.sleep, 0))
    end
  end)

  task_it("that dies of another error under resume leaves no scope behind", function()
    local co = coroutine.create(function()
      curio.timeout_after(SOON, error, "text")
    end)
    assert.is_false(coroutine.resume(co))
    assert.is_nil(raised(curio.sleep, 3 * SOON))
  end)

  task_it("that is closed while it yields inside the scope leaves no scope behind", function()
    for _, body in ipairs {
      function()
        curio.timeout_after(SOON, coroutine.yield)
      end,
      function()
        local _ <close> = curio.timeout_after(SOON)
        coroutine.yield()
      end,
    } do
      local co = coroutine.create(body)
      coroutine.resume(co)
      coroutine.close(co)
      assert.is_nil(raised(curio.sleep, 3 * SOON))
    end
  end)

  task_it("that is dropped inside the scope leaves no scope behind once collected", function()
    for _, body in ipairs {
      function()
        curio.timeout_after(SOON, coroutine.yield)
      end,
      function()
        local _ <close> = curio.timeout_after(SOON)
        coroutine.yield()
      end,
    } do
      coroutine.resume(coroutine.create(body))
      collectgarbage()
      collectgarbage()
      assert.is_nil(raised(curio.sleep, 3 * SOON))
    end
  end)

  task_it("of two generators with a scope each, left in any order, pairs by identity", function()
    local function body(s)
      return raised(curio.timeout_after, s, function()
        coroutine.yield "inside"
        forever()
      end)
    end
    local a, b = coroutine.wrap(body), coroutine.wrap(body)
    assert.equal("inside", a(LONG))
    assert.equal("inside", b(SOON))
    assert.equal("TaskTimeout", b())
    curio.sleep(0)
  end)
end)

describe("deadlines of several tasks", function()
  task_it("due at the same time fire in the order they were set", function()
    local events, tasks = {}, {}
    for i = 1, 5 do
      tasks[i] = curio.spawn(function()
        pcall(curio.timeout_after, SOON, forever)
        events[#events + 1] = i
      end)
    end
    for _, t in ipairs(tasks) do
      t:join()
    end
    assert.same({ 1, 2, 3, 4, 5 }, events)
  end)

  task_it("do not hit a task that was woken in time but has not run yet", function()
    local event = curio.Event()
    local t = curio.spawn(function()
      local _ <close> = curio.timeout_after(0.02)
      event:wait()
      return "woken in time"
    end)
    curio.sleep(0)
    event:set()
    local start = os.clock()
    repeat until os.clock() > start + 0.025
    assert.equal("woken in time", t:join())
  end)

  task_it("do not take an item from a queue for a getter that has run out", function()
    local q = curio.Queue()
    local a = curio.spawn(raised, curio.timeout_after, SOON, q.get, q)
    a:wait()
    q:put "item"
    assert.equal("TaskTimeout", a.result)
    assert.equal("item", q:get())
  end)

  task_it("in a task woken by the one that it wakes up with", function()
    local events = {}
    local other
    local first = curio.spawn(function()
      pcall(curio.timeout_after, SOON, forever)
      events[#events + 1] = "first"
      other:cancel { blocking = false }
    end)
    other = curio.spawn(function()
      local ok, err = pcall(curio.timeout_after, SOON, forever)
      events[#events + 1] = not ok and err.name
      curio.sleep(0)
      events[#events + 1] = "never"
    end)
    first:join()
    other:wait()
    assert.equal("first", events[1])
    assert.equal(2, #events)
    assert.is_true(curio.is(other.exception, curio.TaskCancelled))
  end)
end)

describe("sleep", function()
  task_it("returns the clock, and refuses a negative time and what is no time", function()
    local before = curio.clock()
    local woken = curio.sleep(SOON)
    assert.is_true(woken >= before + SOON)
    assert.is_true(curio.sleep(0) >= woken)
    for _, bad in ipairs { -1, -0.001, "1", {}, 0 / 0 } do
      local ok, err = pcall(curio.sleep, bad)
      assert.is_false(ok)
      assert.matches("sleep", tostring(err), 1, true)
    end
    assert.is_false(pcall(curio.sleep))
  end)

  task_it("of different lengths ends in the order of the ends", function()
    local events, tasks = {}, {}
    for i, s in ipairs { 0.006, 0.002, 0.004, 0 } do
      tasks[i] = curio.spawn(function()
        curio.sleep(s)
        events[#events + 1] = i
      end)
    end
    for _, t in ipairs(tasks) do
      t:join()
    end
    assert.same({ 4, 2, 3, 1 }, events)
  end)
end)
