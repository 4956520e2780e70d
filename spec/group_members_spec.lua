-- Members that do not count, are taken, cancelled, or are daemons.

local curio = require "curio"
local groups = require "spec.groups"
local helper = require "spec.helper"

local closing = helper.closing
local forever = helper.forever
local started = helper.started
local task_it = helper.task_it(it)
local after = groups.after
local crash = groups.crash
local failure_of = groups.failure_of
local is_cancelled = groups.is_cancelled
local value = groups.value

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
