-- A cancellation that is swallowed insists, up to the closing by force; and what shutdown cancels.

local curio = require "curio"
local helper = require "spec.helper"

local own_protected = helper.own_protected
local closing = helper.closing
local forever = helper.forever
local started = helper.started
local task_it = helper.task_it(it)
local LONG = helper.LONG

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
      local lua_pcall = own_protected().pcall
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
    local lua_pcall = own_protected().pcall
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
    local lua_pcall = own_protected().pcall
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
    local lua_pcall = own_protected().pcall
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
    local lua_pcall = own_protected().pcall
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
