-- TaskGroup and curio.group: policies, failures, members that do not count, clean-up.

local curio = require "curio"

local LONG = 10 -- seconds that nobody waits for

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

local function forever()
  curio.sleep(LONG)
end

local function crash(message)
  error(message or "it broke", 0)
end

local function after(turns, fn, ...)
  for _ = 1, turns do
    curio.sleep(0)
  end
  return fn(...)
end

local function value(...)
  return ...
end

local function is_cancelled(t)
  return t.terminated and curio.is(t.exception, curio.TaskCancelled)
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

local function started(fn, ...)
  local t = curio.spawn(fn, ...)
  curio.sleep(0)
  return t
end

-- What join raises: a TaskError, or the test fails.
local function failure_of(g)
  local ok, err = pcall(g.join, g)
  assert.is_false(ok, "join raised nothing")
  assert.is_true(curio.is(err, curio.TaskError), tostring(err))
  return err
end

describe("a group", function()
  task_it("joins all its members when left normally", function()
    local done = {}
    do
      local g <close> = curio.TaskGroup()
      for i = 1, 3 do
        g:spawn(after, i, function()
          done[#done + 1] = i
        end)
      end
      assert.same({}, done)
    end
    assert.same({ 1, 2, 3 }, done)
  end)

  task_it("cancels what remains and lets the error go on when left by an error", function()
    local mistake, a, b = {}, nil, nil
    local ok, err = pcall(function()
      local g <close> = curio.TaskGroup()
      a = g:spawn(forever)
      b = g:spawn { forever, daemon = true }
      curio.sleep(0)
      error(mistake)
    end)
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.is_true(is_cancelled(a))
    assert.is_true(is_cancelled(b))
  end)

  task_it("takes tasks that exist, running or ended", function()
    local a, b = curio.spawn(value, "a"), curio.spawn(after, 2, value, "b")
    a:wait()
    local g = curio.TaskGroup { a, b }
    local c = curio.spawn(value, "c")
    g:add_task(c)
    g:join()
    assert.same({ n = 3, "a", "b", "c" }, { n = 3, table.unpack(g.results, 1, 3) })
    assert.same({ a, b, c }, g.tasks)
    assert.equal(a, g.completed)
  end)

  task_it("does not take a task of another group, nor twice", function()
    local g, other = curio.TaskGroup(), curio.TaskGroup()
    local t = g:spawn(forever)
    assert.is_false((pcall(other.add_task, other, t)))
    assert.is_false((pcall(g.add_task, g, t)))
    assert.is_false((pcall(curio.TaskGroup, { t })))
    assert.is_false((pcall(g.add_task, g, 5)))
    g:cancel_remaining()
    g:join()
    other:join()
  end)

  task_it("refuses unknown options, wrong policies, wrong limits", function()
    for _, opts in ipairs {
      { wiat = "all" }, { wait = "some" }, { wait = true }, { errors = "silent" },
      { limit = 0 }, { limit = -1 }, { limit = 1.5 }, { limit = "3" },
    } do
      local ok, err = pcall(curio.TaskGroup, opts)
      assert.is_false(ok)
      assert.matches("TaskGroup", tostring(err), 1, true)
    end
  end)

  task_it("when empty joins at once: no result, no error", function()
    for _, wait in ipairs { "all", "any", "object", "none" } do
      local g = curio.TaskGroup { wait = wait }
      g:join()
      assert.is_nil(g.exception)
      assert.is_nil(g.completed)
      assert.equal(0, #g.results)
      assert.equal(0, #g.exceptions)
      assert.same({}, g.tasks)
      assert.is_false((pcall(function()
        return g.result
      end)))
    end
  end)

  task_it("does not tell its results before it was joined", function()
    local g = curio.TaskGroup()
    g:spawn(value, 1)
    curio.sleep(0)
    for _, field in ipairs { "result", "results", "exception", "exceptions", "completed" } do
      local ok, err = pcall(function()
        return g[field]
      end)
      assert.is_false(ok, field)
      assert.matches(field, tostring(err), 1, true)
    end
    g:join()
    assert.equal(1, g.result)
  end)

  task_it("tells its members before and after join, in the order of their creation", function()
    local g = curio.TaskGroup()
    local a, b = g:spawn(after, 3, value), g:spawn(value)
    g:spawn { forever, daemon = true }
    assert.same({ a, b }, g.tasks)
    g:join()
    assert.same({ a, b }, g.tasks)
  end)

  task_it("takes no member after join", function()
    local g = curio.TaskGroup()
    g:join()
    local t = curio.spawn(value)
    assert.is_false((pcall(g.spawn, g, value)))
    assert.is_false((pcall(g.add_task, g, t)))
    assert.is_false((pcall(g.start, g, value)))
    g:join()
  end)

  task_it("takes members that members spawn while it is joined", function()
    local done = {}
    local g <close> = curio.TaskGroup()
    g:spawn(function()
      g:spawn(function()
        g:spawn(function()
          done[1] = "deep"
        end)
      end)
    end)
    g:join()
    assert.same({ "deep" }, done)
  end)

  task_it("is joined again without harm", function()
    local g <close> = curio.TaskGroup()
    g:spawn(value, 5)
    g:join()
    g:join()
    assert.equal(5, g.result)
  end)

  task_it("may be joined by two tasks at once", function()
    local g = curio.TaskGroup()
    local slow = g:spawn(after, 6, value, "slow")
    g:spawn(after, 2, value, "quick")
    local a, b = started(g.join, g), started(g.join, g)
    a:join()
    b:join()
    assert.equal("slow", slow:join())
  end)

  task_it("passes spawn's keywords and arguments", function()
    local g <close> = curio.TaskGroup()
    local t = g:spawn { function(...)
      return select("#", ...)
    end, nil, nil, 3, name = "worker" }
    assert.equal("worker", t.name)
    g:join()
    assert.equal(3, g.result)
    local ok, err = pcall(function()
      local h <close> = curio.TaskGroup()
      h:spawn { value, deamon = true }
    end)
    assert.is_false(ok)
    assert.matches("deamon", tostring(err), 1, true)
  end)

  task_it("tells how it stands", function()
    local g <close> = curio.TaskGroup()
    assert.matches("TaskGroup", tostring(g))
    assert.is_nil(g.nonsense)
  end)
end)

describe('wait="all"', function()
  task_it("waits for all; completed is the first to end; results in order of creation", function()
    local g = curio.TaskGroup { wait = "all" }
    local slow, quick = g:spawn(after, 3, value, "slow"), g:spawn(value, "quick")
    g:join()
    assert.equal(quick, g.completed)
    assert.equal("quick", g.result)
    assert.same({ "slow", "quick" }, { g.results[1], g.results[2] })
    assert.is_true(slow.terminated)
    assert.is_nil(g.exception)
  end)

  task_it("keeps the place of a nil among the results", function()
    local g = curio.TaskGroup()
    g:spawn(value, 1)
    g:spawn(value)
    g:spawn(value, 3)
    g:join()
    assert.same({ 1, nil, 3 }, { g.results[1], g.results[2], g.results[3] })
  end)
end)

describe('wait="any"', function()
  task_it("ends with the first that ends, even with nil; cancels the others", function()
    local g = curio.TaskGroup { wait = "any" }
    local loser = g:spawn(forever)
    local winner = g:spawn(after, 1, value)
    g:join()
    assert.equal(winner, g.completed)
    assert.is_nil(g.result)
    assert.is_true(is_cancelled(loser))
    assert.is_nil(g.exception)
    assert.same({ loser, winner }, g.tasks)
  end)

  task_it("does not raise the losers' cancellations from results", function()
    local g = curio.TaskGroup { wait = "any" }
    g:spawn(forever)
    g:spawn(value, "won")
    g:join()
    assert.same({ "won" }, { table.unpack(g.results) })
  end)

  task_it("raises when a member fails, also one that fails in its clean-up", function()
    local g = curio.TaskGroup { wait = "any" }
    g:spawn(crash)
    g:spawn(forever)
    assert.equal("it broke", failure_of(g).cause)
    g = curio.TaskGroup { wait = "any" }
    g:spawn(function()
      local _ <close> = closing(function()
        crash "in clean-up"
      end)
      forever()
    end)
    g:spawn(after, 1, value, "won")
    assert.equal("in clean-up", failure_of(g).cause)
  end)

  task_it("does not end with a cancelled member", function()
    local g = curio.TaskGroup { wait = "any" }
    local a = g:spawn(forever)
    g:spawn(after, 5, value, "won")
    started(a.cancel, a)
    g:join()
    assert.equal("won", g.result)
  end)
end)

describe('wait="object"', function()
  task_it("ends with the first result that is not nil; false counts", function()
    local g = curio.TaskGroup { wait = "object" }
    local none = g:spawn(value)
    local second = g:spawn(after, 1, value, false)
    local third = g:spawn(forever)
    g:join()
    assert.equal(second, g.completed)
    assert.is_false(g.result)
    assert.is_true(none.terminated)
    assert.is_true(is_cancelled(third))
  end)

  task_it("with nothing but nils has no result", function()
    local g = curio.TaskGroup { wait = "object" }
    g:spawn(value)
    g:spawn(value)
    g:join()
    assert.is_nil(g.completed)
    assert.is_nil(g.exception)
    assert.is_false((pcall(function()
      return g.result
    end)))
  end)
end)

describe('wait="none"', function()
  task_it("cancels all at once", function()
    local g = curio.TaskGroup { wait = "none" }
    local a, begun = g:spawn(forever), false
    curio.sleep(0)
    local b = g:spawn(function()
      begun = true
    end)
    g:join()
    assert.is_true(is_cancelled(a))
    assert.is_true(is_cancelled(b))
    assert.is_false(begun)
  end)

  task_it("raises the failure of one that failed before", function()
    local g = curio.TaskGroup { wait = "none" }
    g:spawn(crash)
    curio.sleep(0)
    failure_of(g)
  end)
end)

describe("a member that fails", function()
  for _, wait in ipairs { "all", "any", "object", "none" } do
    task_it("makes join raise, before, while or after it is joined, wait=" .. wait, function()
      for _, turns in ipairs { 0, 1, 5 } do
        local g = curio.TaskGroup { wait = wait }
        local bad = g:spawn(crash)
        local other = g:spawn(forever)
        for _ = 1, turns do
          curio.sleep(0)
        end
        if turns == 0 and wait == "none" then
          g:join() -- it was not started: prevented
        else
          local err = failure_of(g)
          assert.equal("it broke", err.cause)
          assert.equal(bad, err.task)
          assert.same({}, err.others)
          assert.equal("it broke", g.exception)
        end
        assert.is_true(is_cancelled(other))
      end
    end)
  end

  task_it("cancels the others at once, newest first, while nobody joins", function()
    local events = {}
    local g = curio.TaskGroup()
    for i = 1, 3 do
      g:spawn(function()
        local _ <close> = closing(function()
          events[#events + 1] = i
        end)
        forever()
      end)
    end
    g:spawn(crash)
    curio.sleep(0)
    curio.sleep(0)
    assert.same({ 3, 2, 1 }, events)
    failure_of(g)
  end)

  task_it("cancels the others at once, newest first, while somebody joins", function()
    local events = {}
    local g = curio.TaskGroup()
    for i = 1, 3 do
      g:spawn(function()
        local _ <close> = closing(function()
          events[#events + 1] = i
        end)
        forever()
      end)
    end
    g:spawn(after, 3, crash)
    failure_of(g)
    assert.same({ 3, 2, 1 }, events)
  end)

  task_it("prevents the bodies of members not started, whether or not somebody joins", function()
    for _, joining in ipairs { false, true } do
      local begun = false
      local g = curio.TaskGroup()
      g:spawn(crash)
      local late = g:spawn(function()
        begun = true
      end)
      if not joining then
        curio.sleep(0)
      end
      failure_of(g)
      assert.is_false(begun, joining and "joined" or "not joined")
      assert.is_true(is_cancelled(late))
    end
  end)

  task_it("closes the group to spawn and add_task", function()
    local g = curio.TaskGroup()
    g:spawn(crash)
    curio.sleep(0)
    assert.is_false((pcall(g.spawn, g, value)))
    assert.is_false((pcall(g.add_task, g, curio.spawn(value))))
    assert.is_false((pcall(g.start, g, value)))
    failure_of(g)
  end)

  task_it("closes the group also while it is joined and cleans up", function()
    local spawned, refused
    local g = curio.TaskGroup()
    g:spawn(function()
      local _ <close> = closing(function()
        curio.disable_cancellation(curio.sleep, 0.001)
        local ok, t = pcall(g.spawn, g, curio.sleep, 0.001)
        refused, spawned = not ok, ok and t
      end)
      forever()
    end)
    g:spawn(after, 3, crash)
    failure_of(g)
    assert.is_true(refused)
    assert.is_false(spawned)
  end)

  task_it("lets join wait for all, also when their clean-up takes long", function()
    local go = curio.Event()
    local cleaned = false
    local g = curio.TaskGroup()
    g:spawn(function()
      local _ <close> = closing(function()
        curio.disable_cancellation(go.wait, go)
        cleaned = true
      end)
      forever()
    end)
    g:spawn(after, 2, crash)
    curio.spawn(after, 10, go.set, go)
    failure_of(g)
    assert.is_true(cleaned)
  end)

  task_it("is the first of several; the others stand in .others as TaskErrors", function()
    local g = curio.TaskGroup()
    g:spawn(function()
      local _ <close> = closing(function()
        crash "third"
      end)
      forever()
    end)
    g:spawn(function()
      local _ <close> = closing(function()
        crash "second"
      end)
      forever()
    end)
    g:spawn(after, 2, crash, "first")
    local err = failure_of(g)
    assert.equal("first", err.cause)
    assert.equal(2, #err.others)
    for i, want in ipairs { "second", "third" } do
      assert.is_true(curio.is(err.others[i], curio.TaskError))
      assert.equal(want, err.others[i].cause)
    end
  end)

  task_it("is the first by time, not by age", function()
    local g = curio.TaskGroup { wait = "any" }
    g:spawn(after, 2, crash, "second")
    g:spawn(crash, "first")
    curio.sleep(0)
    assert.equal("first", failure_of(g).cause)
  end)

  task_it("may fail with any value", function()
    for i, mistake in ipairs { { n = 1, nil }, { n = 1, false }, { n = 1, {} }, { n = 1, 5 } } do
      local g = curio.TaskGroup()
      local bad = g:spawn(function()
        error(mistake[1])
      end)
      local other = g:spawn(forever)
      local err = failure_of(g)
      assert.equal(bad, err.task)
      assert.equal(mistake[1], err.cause, "case " .. i)
      assert.is_true(is_cancelled(other))
    end
  end)

  task_it("fails by an escaped timeout, not by a cancellation", function()
    local g = curio.TaskGroup()
    g:spawn(curio.timeout_after, 0, forever)
    assert.is_true(curio.is(failure_of(g).cause, curio.TaskTimeout))
    g = curio.TaskGroup()
    g:spawn(error, curio.TaskCancelled "by hand")
    local good = g:spawn(after, 3, value, "good")
    g:join()
    assert.equal("good", good.result)
  end)

  task_it("is raised by __close, and after join was caught not once more", function()
    local ok, err = pcall(function()
      local g <close> = curio.TaskGroup()
      g:spawn(crash)
    end)
    assert.is_false(ok)
    assert.equal("it broke", err.cause)
    ok = pcall(function()
      local g <close> = curio.TaskGroup()
      g:spawn(crash)
      failure_of(g)
    end)
    assert.is_true(ok)
  end)

  task_it("is not reported when join raises it, is when the body's own error hides it",
    function(reports)
      local g = curio.TaskGroup()
      g:spawn(crash)
      failure_of(g)
      assert.same({}, reports)
      local ok, err = pcall(function()
        local h <close> = curio.TaskGroup()
        h:spawn(crash, "hidden")
        curio.sleep(0)
        error("body", 0)
      end)
      assert.is_false(ok)
      assert.equal("body", err)
      assert.equal(1, #reports)
      assert.matches("hidden", reports[1], 1, true)
    end)

  task_it("given to the group when it has failed already counts the same", function()
    local bad = curio.spawn(crash)
    bad:wait()
    local other = curio.spawn(forever)
    local g = curio.TaskGroup { bad, other }
    curio.sleep(0)
    curio.sleep(0)
    assert.is_true(is_cancelled(other))
    assert.equal("it broke", failure_of(g).cause)
  end)
end)

describe('errors="collect"', function()
  task_it("never raises from join; errors show in result, results, exception", function()
    local g = curio.TaskGroup { errors = "collect" }
    g:spawn(crash)
    curio.sleep(0)
    g:join()
    assert.equal("it broke", g.exception)
    for _, field in ipairs { "result", "results" } do
      local ok, err = pcall(function()
        return g[field]
      end)
      assert.is_false(ok)
      assert.equal("it broke", err)
    end
    assert.equal("it broke", g.exceptions[1])
    do
      local h <close> = curio.TaskGroup { errors = "collect" }
      h:spawn(crash)
    end
  end)

  task_it("a failure during join still ends the others, for every policy", function()
    for _, wait in ipairs { "all", "any", "object" } do
      local g = curio.TaskGroup { errors = "collect", wait = wait }
      local other = g:spawn(forever)
      g:spawn(crash)
      g:join()
      assert.is_true(is_cancelled(other))
      assert.equal("it broke", g.exception)
    end
  end)

  task_it("before join a failure harms nobody, and spawn goes on", function()
    local g = curio.TaskGroup { errors = "collect" }
    local other = g:spawn(forever)
    g:spawn(crash)
    curio.sleep(0)
    curio.sleep(0)
    assert.is_false(other.terminated)
    g:spawn(value)
    g:join()
    assert.is_true(is_cancelled(other))
  end)

  task_it("shows a failure although another member completed first", function()
    local g = curio.TaskGroup { errors = "collect" }
    g:spawn(value, "good")
    g:spawn(after, 2, crash)
    g:join()
    assert.equal("good", g.result)
    assert.equal("it broke", g.exception)
  end)

  task_it("lists errors in the order of creation", function()
    local g = curio.TaskGroup { errors = "collect" }
    g:spawn(value, 1)
    g:spawn(crash, "two")
    g:spawn(value, 3)
    curio.sleep(0)
    g:join()
    assert.is_nil(g.exceptions[1])
    assert.equal("two", g.exceptions[2])
    assert.is_nil(g.exceptions[3])
  end)
end)

describe("a member that does not count", function()
  task_it("was cancelled by the program: its siblings and join go on", function()
    for _, wait in ipairs { "all", "object" } do
      local g = curio.TaskGroup { wait = wait }
      local a = g:spawn(forever)
      local b = g:spawn(after, 8, value, "b")
      started(function()
        a:cancel()
      end)
      g:join()
      assert.equal("b", b:join())
      assert.equal(b, g.completed)
      assert.is_nil(g.exception)
      assert.same({ "b" }, { table.unpack(g.results) })
    end
  end)

  task_it("was cancelled by the program before the join", function()
    local g = curio.TaskGroup()
    local a = g:spawn(forever)
    local b = g:spawn(after, 5, value, "b")
    curio.sleep(0)
    a:cancel()
    g:spawn(value, "c")
    g:join()
    assert.equal("b", b.result)
    assert.is_nil(g.exception)
  end)

  task_it("was cancelled by the program with another error than TaskCancelled", function()
    local g = curio.TaskGroup()
    local a = g:spawn(forever)
    local b = g:spawn(after, 8, value, "b")
    started(function()
      a:cancel { exc = curio.CurioError "stop" }
    end)
    g:join()
    assert.equal("b", b.result)
    assert.is_nil(g.exception)
  end)

  task_it("was cancelled before it joined the group", function()
    local t = curio.spawn(forever)
    t:cancel()
    local g = curio.TaskGroup { t }
    local u = g:spawn(value, "u")
    g:join()
    assert.equal("u", u.result)
    assert.is_nil(g.exception)
  end)

  task_it("was joined by the program, which then has its error", function(reports)
    local g = curio.TaskGroup()
    local a = g:spawn(after, 3, crash)
    local b = g:spawn(after, 8, value, "b")
    started(function()
      local ok, err = pcall(a.join, a)
      assert.is_false(ok)
      assert.equal("it broke", err.cause)
    end)
    g:join()
    assert.equal("b", b.result)
    assert.same({ b }, g.tasks)
    assert.same({}, reports)
  end)

  task_it("was joined by the program after it had ended", function()
    local g = curio.TaskGroup()
    local a, b = g:spawn(value, "a"), g:spawn(value, "b")
    assert.equal("a", a:join())
    g:join()
    assert.same({ b }, g.tasks)
    assert.same({ "b" }, { table.unpack(g.results) })
  end)

  task_it("fails in the clean-up of its own cancellation: reported, since nobody has it",
    function(reports)
      local g = curio.TaskGroup()
      local a = g:spawn(function()
        local _ <close> = closing(function()
          crash "in clean-up"
        end)
        forever()
      end)
      local b = g:spawn(after, 5, value, "b")
      curio.sleep(0)
      a:cancel { blocking = false }
      g:join()
      assert.equal("b", b.result)
      assert.equal(1, #reports)
      assert.matches("in clean-up", reports[1], 1, true)
    end)

  task_it("was waited for with wait counts as before", function()
    local g = curio.TaskGroup()
    local a = g:spawn(after, 2, crash)
    a:wait()
    failure_of(g)
  end)

  task_it("whose joiner gave up counts as before", function()
    local g = curio.TaskGroup()
    local a = g:spawn(after, 10, crash)
    pcall(curio.timeout_after, 0, a.join, a)
    local joiner = started(a.join, a)
    joiner:cancel()
    failure_of(g)
  end)

  task_it("that accepts its cancellation and then fails does not count", function()
    local g = curio.TaskGroup()
    local a = g:spawn(function()
      pcall(forever)
      curio.check_cancellation(curio.TaskCancelled)
      after(2, value)
    end)
    local b = g:spawn(after, 8, value, "b")
    curio.sleep(0)
    a:cancel { blocking = false }
    g:join()
    assert.equal("b", b.result)
  end)
end)

describe("next_done", function()
  task_it("gives members as they end, then nil, and they no longer count", function()
    local g <close> = curio.TaskGroup()
    local slow, quick = g:spawn(after, 3, value, "slow"), g:spawn(value, "quick")
    assert.equal(quick, g:next_done())
    assert.equal(slow, g:next_done())
    assert.is_nil(g:next_done())
    assert.is_nil(g:next_done())
    g:join()
    assert.equal(0, #g.results)
    assert.same({}, g.tasks)
  end)

  task_it("of a failed member does not harm its siblings", function()
    local g <close> = curio.TaskGroup()
    local bad = g:spawn(after, 2, crash)
    local good = g:spawn(after, 6, value, "good")
    assert.equal(bad, g:next_done())
    assert.equal("it broke", bad.exception)
    assert.equal(good, g:next_done())
    assert.equal("good", good.result)
  end)

  task_it("leaves a failure that is not taken to join", function()
    local g = curio.TaskGroup()
    g:spawn(value)
    g:spawn(after, 3, crash)
    g:next_done()
    failure_of(g)
  end)

  task_it("next_result gives results, raises the task's own error, raises when none is left",
    function()
      local mistake = {}
      local g <close> = curio.TaskGroup()
      g:spawn(value, "first")
      g:spawn(after, 1, error, mistake)
      assert.equal("first", g:next_result())
      local ok, err = pcall(g.next_result, g)
      assert.is_false(ok)
      assert.equal(mistake, err)
      ok, err = pcall(g.next_result, g)
      assert.is_false(ok)
      assert.matches("no task", tostring(err):lower(), 1, true)
    end)

  task_it("by iter, with members spawned meanwhile", function()
    local g <close> = curio.TaskGroup()
    local got = {}
    g:spawn(value, 1)
    for t in g:iter() do
      got[#got + 1] = t.result
      if #got < 4 then
        g:spawn(value, #got + 1)
      end
    end
    assert.same({ 1, 2, 3, 4 }, got)
  end)

  task_it("by two tasks at once gives each member once, and none ends early", function()
    local g <close> = curio.TaskGroup()
    for i = 1, 6 do
      g:spawn(after, 3 * i, value, i)
    end
    local got, ends = {}, {}
    local function worker()
      for t in g:iter() do
        got[#got + 1] = t.result
      end
      ends[#ends + 1] = #got
    end
    local a, b = curio.spawn(worker), curio.spawn(worker)
    a:join()
    b:join()
    assert.same({ 1, 2, 3, 4, 5, 6 }, got)
    assert.same({ 6, 6 }, ends)
  end)

  task_it("does not take a member that the program cancels for the last one", function()
    local g <close> = curio.TaskGroup()
    local a = g:spawn(forever)
    local b = g:spawn(after, 8, value, "b")
    started(a.cancel, a)
    local t = g:next_done()
    if t == a then
      t = g:next_done()
    end
    assert.equal(b, t)
  end)

  task_it("can be cancelled and time out without losing a member", function()
    local g <close> = curio.TaskGroup()
    local go = curio.Event()
    local a = g:spawn(go.wait, go)
    assert.is_nil(curio.ignore_after(0.001, g.next_done, g))
    local taker = started(g.next_done, g)
    taker:cancel()
    go:set()
    assert.equal(a, g:next_done())
  end)
end)

describe("cancel_remaining", function()
  task_it("ends those that run, keeps the finished, forgets the cancelled, spares daemons",
    function()
      local g = curio.TaskGroup()
      local done = g:spawn(value, "done")
      local running = g:spawn(forever)
      local daemon = g:spawn { forever, daemon = true }
      curio.sleep(0)
      g:cancel_remaining()
      assert.is_true(is_cancelled(running))
      assert.is_false(daemon.terminated)
      g:join()
      assert.same({ done }, g.tasks)
      assert.same({ "done" }, { table.unpack(g.results) })
      assert.is_true(is_cancelled(daemon))
    end)

  task_it("asks all before it waits for any, newest first", function()
    local events = {}
    local g <close> = curio.TaskGroup()
    for i = 1, 3 do
      g:spawn(function()
        local _ <close> = closing(function()
          events[#events + 1] = "asked " .. i
          curio.disable_cancellation(curio.sleep, 0)
          events[#events + 1] = "ended " .. i
        end)
        forever()
      end)
    end
    curio.sleep(0)
    g:cancel_remaining()
    assert.same({ "asked 3", "asked 2", "asked 1", "ended 3", "ended 2", "ended 1" }, events)
  end)

  task_it("cannot be interrupted by a cancellation of the one who cleans up", function()
    local go, member = curio.Event(), nil
    local owner = started(function()
      local g <close> = curio.TaskGroup()
      member = g:spawn(function()
        local _ <close> = closing(function()
          curio.disable_cancellation(go.wait, go)
        end)
        forever()
      end)
      curio.sleep(0)
      g:cancel_remaining()
    end)
    curio.sleep(0)
    owner:cancel { blocking = false }
    curio.sleep(0)
    assert.is_false(owner.terminated)
    go:set()
    owner:wait()
    assert.is_true(member.terminated)
  end)
end)

describe("daemons of a group", function()
  task_it("are ignored in results and cancelled last", function()
    local events = {}
    local g = curio.TaskGroup()
    g:spawn { function()
      local _ <close> = closing(function()
        events[#events + 1] = "daemon"
      end)
      forever()
    end, daemon = true }
    g:spawn { value, "ignored", daemon = true }
    local member = g:spawn(function()
      local _ <close> = closing(function()
        events[#events + 1] = "member"
      end)
      return after(3, value, "m")
    end)
    g:join()
    assert.same({ "member", "daemon" }, events)
    assert.same({ member }, g.tasks)
    assert.equal("m", g.result)
    assert.same({ "m" }, { table.unpack(g.results) })
  end)

  task_it("are cancelled last when the body fails", function()
    local events = {}
    local function show(name)
      local _ <close> = closing(function()
        curio.disable_cancellation(curio.sleep, 0)
        events[#events + 1] = name
      end)
      forever()
    end
    pcall(function()
      local g <close> = curio.TaskGroup()
      g:spawn(show, "a")
      g:spawn { show, "daemon", daemon = true }
      g:spawn(show, "b")
      curio.sleep(0)
      crash()
    end)
    assert.same({ "b", "a", "daemon" }, events)
  end)

  task_it("that fail harm nobody", function(reports)
    local g = curio.TaskGroup()
    g:spawn { crash, daemon = true }
    local m = g:spawn(after, 3, value, "m")
    g:join()
    assert.equal("m", m.result)
    assert.is_nil(g.exception)
    assert.equal(1, #reports)
  end)

  task_it("do not count for any, object and next_done", function()
    for _, wait in ipairs { "any", "object" } do
      local g = curio.TaskGroup { wait = wait }
      g:spawn { value, "daemon", daemon = true }
      g:spawn(after, 3, value, "member")
      g:join()
      assert.equal("member", g.result)
    end
    local g <close> = curio.TaskGroup()
    g:spawn { forever, daemon = true }
    assert.is_nil(g:next_done())
  end)

  task_it("that had ended when they were added are ignored too", function()
    local d = curio.spawn { value, "daemon", daemon = true }
    d:wait()
    local g = curio.TaskGroup { d }
    g:join()
    assert.same({}, g.tasks)
    assert.equal(0, #g.results)
    assert.is_nil(g.completed)
  end)
end)

describe("limit", function()
  task_it("lets no more members run at once; spawn blocks", function()
    local running, most, order = 0, 0, {}
    do
      local g <close> = curio.TaskGroup { limit = 3 }
      for i = 1, 20 do
        g:spawn(function()
          running = running + 1
          most = math.max(most, running)
          after(i % 4, value)
          running = running - 1
        end)
        order[#order + 1] = i
      end
    end
    assert.equal(3, most)
    assert.equal(20, #order)
    assert.equal(0, running)
  end)

  task_it("serves those that wait to spawn first come first", function()
    local begun = {}
    local g <close> = curio.TaskGroup { limit = 1 }
    g:spawn(after, 3, value)
    local spawners = {}
    for i = 1, 4 do
      spawners[i] = started(g.spawn, g, function()
        begun[#begun + 1] = i
        curio.sleep(0)
      end)
    end
    for _, s in ipairs(spawners) do
      s:join()
    end
    g:join()
    assert.same({ 1, 2, 3, 4 }, begun)
  end)

  task_it("with a failing member wakes who waits to spawn, with an error", function()
    local g = curio.TaskGroup { limit = 1 }
    g:spawn(after, 2, crash)
    local began = false
    local ok = pcall(g.spawn, g, function()
      began = true
    end)
    assert.is_false(ok)
    failure_of(g)
    assert.is_false(began)
  end)

  task_it("spawn that waits can be cancelled and times out, and has started nothing", function()
    local g <close> = curio.TaskGroup { limit = 1 }
    g:spawn(forever)
    local began = false
    assert.is_false((pcall(curio.timeout_after, 0.001, g.spawn, g, function()
      began = true
    end)))
    local spawner = started(g.spawn, g, value)
    spawner:cancel()
    g:cancel_remaining()
    assert.is_false(began)
    assert.equal("free", g:spawn(value, "free"):join())
  end)
end)

describe("start", function()
  task_it("waits for curio.started and gives its values; the member goes on", function()
    local events = {}
    local g <close> = curio.TaskGroup()
    local got = table.pack(g:start(function(a, b)
      curio.sleep(0)
      events[#events + 1] = "ready"
      curio.started(a, nil, b, nil)
      events[#events + 1] = "same turn"
      curio.sleep(0)
      events[#events + 1] = "goes on"
      return "result"
    end, 1, 2))
    assert.same({ n = 4, 1, nil, 2, nil }, got)
    events[#events + 1] = "started"
    g:join()
    assert.same({ "ready", "same turn", "started", "goes on" }, events)
    assert.equal("result", g.result)
  end)

  task_it("takes keywords", function()
    local g <close> = curio.TaskGroup()
    local name = g:start { function(x)
      curio.started(curio.current_task().name .. x)
    end, "!", name = "server" }
    assert.equal("server!", name)
  end)

  task_it("raises if the function ends first, well or badly, and harms nobody", function()
    local g = curio.TaskGroup()
    local other = g:spawn(after, 8, value, "other")
    assert.is_false((pcall(g.start, g, value)))
    local ok, err = pcall(g.start, g, after, 2, crash)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskError))
    assert.equal("it broke", err.cause)
    g:join()
    assert.equal("other", other.result)
  end)

  task_it("after started the member's failure counts", function()
    local g = curio.TaskGroup()
    local other = g:spawn(forever)
    g:start(function()
      curio.started()
      crash()
    end)
    assert.equal("it broke", failure_of(g).cause)
    assert.is_true(is_cancelled(other))
  end)

  task_it("cancelled or timed out ends the member that has not started", function()
    local member
    local g <close> = curio.TaskGroup()
    local ok, err = pcall(curio.timeout_after, 0.001, g.start, g, function()
      member = curio.current_task()
      forever()
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
    assert.is_true(is_cancelled(member))
    g:spawn(value)
  end)

  task_it("raises when its member is cancelled before it began", function()
    local g = curio.TaskGroup()
    g:spawn(crash)
    local ok, err = pcall(g.start, g, curio.started)
    assert.is_false(ok)
    assert.is_false(curio.is(err, curio.Deadlock))
    failure_of(g)
    g = curio.TaskGroup()
    local starter = curio.spawn(g.start, g, curio.started)
    curio.spawn(function()
      for _, t in ipairs(g.tasks) do
        t:cancel { blocking = false }
      end
    end)
    curio.sleep(0)
    curio.sleep(0)
    assert.is_not_nil(curio.ignore_after { 2, function()
      starter:wait()
      return true
    end }, "start waits for a member that never begins")
    g:join()
  end)

  task_it("started called again, or elsewhere, does nothing", function()
    local g <close> = curio.TaskGroup()
    assert.equal(1, (g:start(function()
      curio.started(1)
      curio.started(2)
    end)))
    curio.started "here"
    g:spawn(curio.started, "in an ordinary member")
    curio.spawn(curio.started):join()
  end)

  task_it("of a server in a server", function()
    local g <close> = curio.TaskGroup()
    assert.equal("inner outer", g:start(function()
      local h <close> = curio.TaskGroup()
      local inner = h:start(function()
        curio.started "inner"
      end)
      curio.started(inner .. " outer")
    end))
  end)
end)

describe("curio.group", function()
  task_it("runs the body, joins, returns its results", function()
    local done = false
    local got = table.pack(curio.group(function(g)
      g:spawn(after, 3, function()
        done = true
      end)
      return 1, nil, 3, nil
    end))
    assert.same({ n = 4, 1, nil, 3, nil }, got)
    assert.is_true(done)
  end)

  task_it("interrupts its body when a member fails, and raises the member's failure", function()
    local seen = {}
    local ok, err = pcall(curio.group, function(g)
      g:spawn(crash)
      for i = 1, 3 do
        local _, e = pcall(forever)
        seen[i] = e
      end
      forever()
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskError))
    assert.equal("it broke", err.cause)
    assert.is_true(curio.is(seen[1], curio.TaskCancelled))
    assert.is_true(rawequal(seen[1], seen[2]) and rawequal(seen[2], seen[3]))
    curio.sleep(0)
  end)

  task_it("ends a body that swallows", function()
    local ok, err = pcall(curio.group, function(g)
      g:spawn(crash)
      while true do
        pcall(forever)
      end
    end)
    assert.is_false(ok)
    assert.equal("it broke", err.cause)
    curio.sleep(0)
  end)

  task_it("raises the failure when the body returns after it", function()
    local ok, err = pcall(curio.group, function(g)
      g:spawn(crash)
      pcall(forever)
      return "body done"
    end)
    assert.is_false(ok)
    assert.equal("it broke", err.cause)
  end)

  task_it("lets the body's own error go on, cancels the members, reports their failures",
    function(reports)
      local member
      local ok, err = pcall(curio.group, function(g)
        member = g:spawn(forever)
        g:spawn(crash, "hidden")
        pcall(forever)
        error("body", 0)
      end)
      assert.is_false(ok)
      assert.equal("body", err)
      assert.is_true(is_cancelled(member))
      assert.equal(1, #reports)
      assert.matches("hidden", reports[1], 1, true)
    end)

  task_it("interrupts the body in a nested generator, in locks, in timeouts", function()
    for _, body in ipairs {
      coroutine.wrap(forever),
      function()
        curio.Event():wait()
      end,
      function()
        curio.timeout_after(LONG, forever)
      end,
      function()
        curio.ignore_after(LONG, forever)
      end,
      function()
        local g <close> = curio.TaskGroup()
        g:spawn(forever)
      end,
    } do
      local ok, err = pcall(curio.group, function(g)
        g:spawn(after, 2, crash)
        body()
      end)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskError))
      assert.equal("it broke", err.cause)
      curio.sleep(0)
    end
  end)

  task_it("does not interrupt a body that is shielded", function()
    local events = {}
    pcall(curio.group, function(g)
      g:spawn(crash)
      curio.disable_cancellation(function()
        curio.sleep(0.001)
        events[#events + 1] = "shielded"
      end)
      curio.sleep(0)
      events[#events + 1] = "never"
    end)
    assert.same({ "shielded" }, events)
  end)

  task_it("nested: an outer member's failure ends the inner body and its members", function()
    local inner
    local ok, err = pcall(curio.group, function(g)
      g:spawn(after, 2, crash)
      curio.group(function(h)
        inner = h:spawn(forever)
        forever()
      end)
    end)
    assert.is_false(ok)
    assert.equal("it broke", err.cause)
    assert.is_true(is_cancelled(inner))
  end)

  task_it("nested: an inner member's failure is the outer body's error", function()
    local outer
    local ok, err = pcall(curio.group, function(g)
      outer = g:spawn(forever)
      curio.group(function(h)
        h:spawn(crash)
        forever()
      end)
    end)
    assert.is_false(ok)
    assert.equal("it broke", err.cause)
    assert.is_true(is_cancelled(outer))
  end)

  task_it("nested: a failing group inside a member counts as that member's failure", function()
    local ok, err = pcall(curio.group, function(g)
      g:spawn(curio.group, function(h)
        h:spawn(crash)
      end)
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err.cause, curio.TaskError))
    assert.equal("it broke", err.cause.cause)
  end)

  task_it("takes TaskGroup's options; collect does not interrupt the body", function()
    assert.equal("body", curio.group(function(g)
      g:spawn(crash)
      curio.sleep(0)
      curio.sleep(0)
      return "body"
    end, { errors = "collect" }))
    assert.is_false((pcall(curio.group, value, { wiat = "all" })))
    assert.is_false((pcall(curio.group, 5)))
    assert.is_false((pcall(curio.group)))
  end)

  task_it("a timeout of the body that meets a member's failure is no phantom timeout", function()
    local go = curio.Event()
    local ok, err = pcall(curio.group, function(g)
      g:spawn(function()
        go:wait()
        crash()
      end)
      curio.timeout_after(0.001, function()
        local _ <close> = closing(function()
          go:set()
          curio.disable_cancellation(curio.sleep, 0.001)
        end)
        forever()
      end)
    end)
    assert.is_false(ok)
    assert.is_false(curio.is(err, curio.TimeoutCancellationError), tostring(err))
  end)

  task_it("cancelled from outside raises the cancellation; the members have ended", function()
    local member
    local t = started(curio.group, function(g)
      member = g:spawn(forever)
      forever()
    end)
    t:cancel()
    assert.is_true(is_cancelled(t))
    assert.is_true(member.terminated)
  end)
end)

describe("a group in a generator", function()
  task_it("waits for its members when cancelled, timed out or failing", function()
    for _, how in ipairs { "cancel", "timeout", "error" } do
      local member
      local t = started(function()
        local function body()
          coroutine.wrap(function()
            local g <close> = curio.TaskGroup()
            member = g:spawn(forever)
            if how == "error" then
              curio.sleep(0)
              error("body", 0)
            end
            forever()
          end)()
        end
        if how == "timeout" then
          curio.timeout_after(0.001, body)
        else
          body()
        end
      end)
      curio.sleep(0)
      if how == "cancel" then
        t:cancel()
      end
      t:wait()
      assert.is_true(member.terminated, how)
    end
  end)
end)

describe("the owner of a group", function()
  task_it("cancelled while it joins: members end first, then the cancellation goes on", function()
    local events, member = {}, nil
    local owner = started(function()
      local g <close> = curio.TaskGroup()
      member = g:spawn(function()
        local _ <close> = closing(function(_, err)
          events[#events + 1] = err.name
          curio.disable_cancellation(curio.sleep, 0.001)
          events[#events + 1] = "member ended"
        end)
        forever()
      end)
      g:join()
    end)
    curio.sleep(0)
    owner:cancel()
    events[#events + 1] = "owner ended"
    assert.same({ "TaskCancelled", "member ended", "owner ended" }, events)
    assert.is_true(is_cancelled(owner))
    assert.is_true(is_cancelled(member))
  end)

  task_it("timed out while it joins: members see TaskCancelled, the owner TaskTimeout", function()
    local member
    local ok, err = pcall(curio.timeout_after, 0.001, function()
      local g <close> = curio.TaskGroup()
      member = g:spawn(forever)
      g:join()
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
    assert.is_true(is_cancelled(member))
  end)

  task_it("cancelled a second time during the clean-up still waits for all", function()
    local go, member = curio.Event(), nil
    local owner = started(function()
      local g <close> = curio.TaskGroup()
      member = g:spawn(function()
        local _ <close> = closing(function()
          curio.disable_cancellation(go.wait, go)
        end)
        forever()
      end)
      forever()
    end)
    curio.sleep(0)
    owner:cancel { blocking = false }
    curio.sleep(0)
    owner:cancel { blocking = false }
    curio.sleep(0)
    assert.is_false(owner.terminated)
    assert.is_false(member.terminated)
    go:set()
    owner:wait()
    assert.is_true(member.terminated)
  end)

  task_it("cancelled while it cleans up after its own error still waits for all", function()
    local go, member = curio.Event(), nil
    local owner = started(function()
      local g <close> = curio.TaskGroup()
      member = g:spawn(function()
        local _ <close> = closing(function()
          curio.disable_cancellation(go.wait, go)
        end)
        forever()
      end)
      curio.sleep(0)
      error("body", 0)
    end)
    curio.sleep(0)
    curio.sleep(0)
    owner:cancel { blocking = false }
    curio.sleep(0)
    assert.is_false(owner.terminated)
    go:set()
    owner:wait()
    assert.equal("body", owner.exception)
    assert.is_true(member.terminated)
  end)

  task_it("whose deadline passes during the clean-up still waits for all", function()
    local member
    local ok, err = pcall(curio.timeout_after, 0.001, function()
      local g <close> = curio.TaskGroup()
      member = g:spawn(function()
        local _ <close> = closing(function()
          curio.disable_cancellation(curio.sleep, 0.004)
        end)
        forever()
      end)
      curio.sleep(0)
      error("body", 0)
    end)
    assert.is_false(ok)
    assert.equal("body", err)
    assert.is_true(member.terminated)
  end)

  task_it("cancelled in nested groups ends them from the inside out", function()
    local events = {}
    local function show(name)
      return function()
        local _ <close> = closing(function()
          events[#events + 1] = name
        end)
        forever()
      end
    end
    local owner = started(function()
      local _ <close> = closing(function()
        events[#events + 1] = "owner"
      end)
      local g <close> = curio.TaskGroup()
      g:spawn(show "outer")
      local h <close> = curio.TaskGroup()
      h:spawn(show "inner")
      forever()
    end)
    curio.sleep(0)
    owner:cancel()
    assert.same({ "inner", "outer", "owner" }, events)
  end)

  task_it("outlives no member that a member spawns while it is being cancelled", function()
    local late
    local owner = started(function()
      local g <close> = curio.TaskGroup()
      g:spawn(function()
        local _ <close> = closing(function()
          local ok, t = pcall(g.spawn, g, forever)
          late = ok and t
        end)
        forever()
      end)
      forever()
    end)
    curio.sleep(0)
    assert.is_true(owner:cancel { timeout = 2 }, "the group waits for a member it never cancelled")
    assert.is_true(not late or late.terminated)
  end)

  task_it("outlives no member that is spawned while the others end after join", function()
    for _, wait in ipairs { "any", "object" } do
      local late
      local owner = started(function()
        local g <close> = curio.TaskGroup { wait = wait }
        g:spawn(function()
          local _ <close> = closing(function()
            local ok, t = pcall(g.spawn, g, forever)
            late = ok and t
          end)
          forever()
        end)
        g:spawn(after, 2, value, "won")
      end)
      local _ <close> = closing(function()
        if late then
          late:cancel()
        end
      end)
      assert.is_not_nil(curio.ignore_after { 2, function()
        owner:wait()
        return true
      end }, "the group waits for a member it never cancelled")
      assert.is_true(not late or late.terminated)
    end
  end)
end)

describe("ten thousand members", function()
  task_it("are joined, in order", function()
    local g = curio.TaskGroup()
    for i = 1, 10000 do
      g:spawn(value, i)
    end
    g:join()
    assert.equal(10000, #g.tasks)
    local results = g.results
    for i = 1, 10000 do
      assert(results[i] == i)
    end
  end)

  task_it("are all cancelled when one fails", function()
    local g = curio.TaskGroup()
    local closed = 0
    for _ = 1, 10000 do
      g:spawn(function()
        local _ <close> = closing(function()
          closed = closed + 1
        end)
        forever()
      end)
    end
    g:spawn(crash)
    assert.same({}, failure_of(g).others)
    assert.equal(10000, closed)
  end)
end)

describe("a group that is dropped", function()
  task_it("leaves its members running; they end in their own time", function()
    local got = {}
    local function drop()
      local g = curio.TaskGroup()
      for i = 1, 3 do
        g:spawn(after, i, function()
          got[#got + 1] = i
        end)
      end
    end
    drop()
    collectgarbage()
    collectgarbage()
    after(8, value)
    assert.same({ 1, 2, 3 }, got)
  end)

  task_it("holds no crash back: it is reported", function(reports)
    local function drop()
      local g = curio.TaskGroup()
      g:spawn(after, 4, crash)
    end
    drop()
    collectgarbage()
    collectgarbage()
    after(8, value)
    assert.equal(1, #reports)
  end)

  task_it("lets a member join another group", function()
    local t
    local function drop()
      local g = curio.TaskGroup()
      t = g:spawn(after, 4, value, "t")
    end
    drop()
    collectgarbage()
    collectgarbage()
    local g = curio.TaskGroup { t }
    g:join()
    assert.equal("t", g.result)
  end)
end)

describe("a group's body", function()
  task_it("left open by the task that entered its body harms nobody else", function()
    local gen
    local function enter()
      gen = coroutine.wrap(function()
        curio.group(function(g)
          g:spawn(after, 3, crash)
          coroutine.yield()
        end)
      end)
      gen()
    end
    curio.spawn(enter):join()
    after(6, value)
    local ok, err = pcall(gen)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskError), tostring(err))
  end)
end)
