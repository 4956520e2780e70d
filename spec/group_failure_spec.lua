-- What a failing member does to its group.

local curio = require "curio"
local groups = require "spec.groups"
local helper = require "spec.helper"

local closing = helper.closing
local forever = helper.forever
local task_it = helper.task_it(it)
local after = groups.after
local crash = groups.crash
local failure_of = groups.failure_of
local is_cancelled = groups.is_cancelled
local value = groups.value

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
