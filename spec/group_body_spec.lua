-- curio.group, and the owner of a group: what its body and its end are worth.

local curio = require "curio"
local groups = require "spec.groups"
local helper = require "spec.helper"
local testing = require "curio.testing"

local closing = helper.closing
local forever = helper.forever
local started = helper.started
local task_it = helper.task_it(it)
local timeless_it = helper.task_it(it, testing.autojump())
local LONG = helper.LONG
local after = groups.after
local crash = groups.crash
local is_cancelled = groups.is_cancelled
local value = groups.value

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

  timeless_it("whose deadline passes during the clean-up still waits for all", function()
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
