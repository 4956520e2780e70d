-- Timeouts: the calls, the block form, and a scope that has expired.

local curio = require "curio"
local helper = require "spec.helper"

local closing = helper.closing
local forever = helper.forever
local task_it = helper.task_it(it)
local raised = helper.raised
local LONG, SOON = helper.LONG, helper.SOON

describe("timeout_after", function()
  task_it("returns all results of the function", function()
    local got = table.pack(curio.timeout_after(LONG, function(...)
      curio.sleep(0)
      return ...
    end, nil, 2, nil))
    assert.same({ n = 3, nil, 2, nil }, got)
    assert.equal(0, select("#", curio.timeout_after(LONG, function() end)))
  end)

  task_it("takes the one-table form and callable tables", function()
    assert.equal(3, curio.timeout_after { LONG, math.max, 1, 3 })
    local callable = setmetatable({}, { __call = function(_, x)
      return x
    end })
    assert.equal("x", curio.timeout_after(LONG, callable, "x"))
    local ok, err = pcall(curio.timeout_after, { LONG, math.max, 1, timeout_result = 5 })
    assert.is_false(ok)
    assert.matches("timeout_result", err, 1, true)
  end)

  task_it("raises TaskTimeout when its time is up, and the task can go on", function()
    local ok, err = pcall(curio.timeout_after, SOON, forever)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
    assert.is_true(curio.is(err, curio.CancelledError))
    assert.is_string(tostring(err))
    curio.sleep(0)
    assert.equal("again", curio.timeout_after(LONG, function()
      curio.sleep(SOON)
      return "again"
    end))
  end)

  task_it("lets other errors through unchanged, also after its deadline", function()
    local mistake = {}
    for _, s in ipairs { LONG, 0 } do
      local ok, err = pcall(curio.timeout_after, s, error, mistake)
      assert.is_false(ok)
      assert.equal(mistake, err)
    end
    assert.same({ false, "text" }, { pcall(curio.timeout_after, 0, error, "text", 0) })
    assert.same({ n = 2, false, nil }, table.pack(pcall(curio.timeout_after, 0, error, nil)))
  end)

  task_it("raises an error of the function raised in answer to the expiry unchanged", function()
    local mistake = {}
    local ok, err = pcall(curio.timeout_after, 0, function()
      pcall(forever)
      error(mistake)
    end)
    assert.is_false(ok)
    assert.equal(mistake, err)
  end)

  task_it("with nil has no limit of its own", function()
    assert.equal("done", curio.timeout_after(nil, function()
      curio.sleep(SOON)
      return "done"
    end))
    assert.is_nil(raised(function()
      local _ <close> = curio.timeout_after(nil)
      curio.sleep(SOON)
    end))
    assert.equal("inner", curio.timeout_after(nil, function()
      assert.equal("TaskTimeout", raised(curio.timeout_after, 0, forever))
      return "inner"
    end))
  end)

  task_it("with nil inside a scope that expires sees TimeoutCancellationError", function()
    local inside
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, function()
      local ok, err = pcall(curio.timeout_after, nil, forever)
      assert.is_false(ok)
      inside = err.name
      error(err)
    end))
    assert.equal("TimeoutCancellationError", inside)
  end)

  task_it("with zero or less has expired on entry: the first blocking call raises", function()
    for _, s in ipairs { 0, -1, -0.0, -1e300, -math.huge } do
      local events = {}
      assert.equal("TaskTimeout", raised(curio.timeout_after, s, function()
        events[#events + 1] = "entered"
        curio.sleep(0)
        events[#events + 1] = "slept"
      end))
      assert.same({ "entered" }, events)
      assert.equal("no block", curio.timeout_after(s, function()
        return "no block"
      end))
    end
  end)

  task_it("raises at every kind of blocking call once expired", function()
    local t = curio.spawn(function() end)
    t:wait()
    local calls = {
      curio.schedule,
      function()
        curio.sleep(0)
      end,
      function()
        t:join()
      end,
      function()
        t:wait()
      end,
      function()
        t:cancel()
      end,
      function()
        curio.Event():wait()
      end,
      function()
        curio.Lock():acquire()
      end,
      function()
        curio.Queue():get()
      end,
      function()
        local g = curio.TaskGroup()
        g:join()
      end,
      function()
        curio.TaskGroup():next_done()
      end,
    }
    for i, call in ipairs(calls) do
      assert.equal("TaskTimeout", raised(curio.timeout_after, 0, call), "call " .. i)
    end
  end)

  task_it("takes a huge or infinite time", function()
    for _, s in ipairs { 1e300, math.huge, math.maxinteger } do
      assert.equal("fine", curio.timeout_after(s, function()
        curio.sleep(0)
        return "fine"
      end))
    end
  end)

  task_it("refuses what is not a time", function()
    for _, bad in ipairs { "5", true, {}, forever, 0 / 0 } do
      assert.is_false(pcall(curio.timeout_after, bad, function() end), tostring(bad))
    end
    assert.is_false(pcall(curio.timeout_after))
    assert.is_false(pcall(curio.timeout_after, 1, 5))
    curio.sleep(0)
  end)

  task_it("does not block on entry", function()
    local events = {}
    curio.spawn(function()
      events[#events + 1] = "other"
    end)
    curio.timeout_after(LONG, function()
      events[#events + 1] = "inside"
    end)
    do
      local _ <close> = curio.timeout_after(LONG)
      events[#events + 1] = "block"
    end
    curio.sleep(0)
    assert.same({ "inside", "block", "other" }, events)
  end)

  task_it("may be entered where a deadline has passed, and left without blocking", function()
    assert.equal("in", curio.timeout_after(0, function()
      return curio.timeout_after(LONG, function()
        local _ <close> = curio.timeout_after(LONG)
        return "in"
      end)
    end))
  end)

  task_it("that ends late without having blocked again returns normally", function()
    assert.equal("late", curio.timeout_after(SOON, function()
      local start = curio.clock()
      repeat until curio.clock() > start + 2 * SOON
      return "late"
    end))
    curio.sleep(0)
  end)

  task_it("raises at a call after its deadline, though it never slept", function()
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, function()
      local start = os.clock()
      repeat until os.clock() > start + 5 * SOON
      curio.sleep(0)
      return "late"
    end))
  end)

  task_it("wins over a longer sleep, not over a shorter one", function()
    assert.is_nil(raised(curio.timeout_after, LONG, curio.sleep, SOON))
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, curio.sleep, LONG))
  end)
end)

describe("an expired scope", function()
  task_it("raises the same error object at every blocking call until it is left", function()
    local seen = {}
    local ok, err = pcall(curio.timeout_after, SOON, function()
      for i = 1, 3 do
        local _, e = pcall(forever)
        seen[i] = e
      end
      curio.sleep(0)
    end)
    assert.is_false(ok)
    assert.equal(3, #seen)
    assert.is_true(rawequal(seen[1], seen[2]) and rawequal(seen[2], seen[3]))
    assert.is_true(rawequal(seen[1], err))
    assert.is_nil(raised(curio.sleep, 0))
  end)

  task_it("that swallowed its errors and returns, returns normally", function()
    assert.equal("swallowed", curio.timeout_after(0, function()
      pcall(forever)
      return "swallowed"
    end))
    curio.sleep(0)
  end)

  task_it("ends a swallowing loop at the scope", function()
    local loops = {
      pcall = function()
        pcall(curio.sleep, 10)
      end,
      xpcall = function()
        xpcall(curio.sleep, debug.traceback, 10)
      end,
      ["xpcall with a handler that changes the error"] = function()
        xpcall(curio.sleep, function(e)
          return "changed: " .. tostring(e)
        end, 10)
      end,
      ["pcall nested in pcall"] = function()
        pcall(pcall, curio.sleep, 10)
      end,
      ["a pcall that raises another error"] = function()
        pcall(function()
          local _, e = pcall(curio.sleep, 10)
          error(tostring(e), 0)
        end)
      end,
      ["coroutine.resume"] = function()
        coroutine.resume(coroutine.create(curio.sleep), 10)
      end,
      ["pcall of wrap"] = function()
        pcall(coroutine.wrap(curio.sleep), 10)
      end,
      ["ignore_after inside"] = function()
        curio.ignore_after(LONG, pcall, curio.sleep, 10)
      end,
      ["a __close that raises another error"] = function()
        pcall(function()
          local _ <close> = closing(function()
            error("other", 0)
          end)
          curio.sleep(10)
        end)
      end,
    }
    for name, swallow in pairs(loops) do
      for _, s in ipairs { 0, SOON } do
        local t = curio.spawn(function()
          local err = raised(curio.timeout_after, s, function()
            while true do
              swallow()
            end
          end)
          curio.sleep(0)
          return err
        end)
        t:wait()
        assert.is_nil(t.exception, name)
        assert.equal("TaskTimeout", t.result, name)
      end
    end
  end)

  task_it("leaves a loop of ignore_after with its result", function()
    assert.equal("given up", curio.ignore_after { SOON, function()
      while true do
        pcall(curio.sleep, 10)
      end
    end, timeout_result = "given up" })
    curio.sleep(0)
  end)

  task_it("gives way to others before it raises again", function()
    local events = {}
    curio.spawn(function()
      for i = 1, 3 do
        events[#events + 1] = "other" .. i
        curio.sleep(0)
      end
    end)
    pcall(curio.timeout_after, 0, function()
      for i = 1, 3 do
        pcall(forever)
        events[#events + 1] = "mine" .. i
      end
    end)
    assert.same({ "mine1", "other1", "mine2", "other2", "mine3" }, events)
  end)

  task_it("does not spoil the count of the next scope", function()
    for _ = 1, 20 do
      assert.equal("ok", curio.timeout_after(0, function()
        for _ = 1, 8 do
          assert.equal("TaskTimeout", raised(forever))
        end
        return "ok"
      end))
    end
  end)

  task_it("raises in the clean-up of the code inside, which shields itself if it must", function()
    local events = {}
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, function()
      local _ <close> = closing(function()
        curio.disable_cancellation(curio.sleep, SOON)
        events[#events + 1] = "shielded"
        events[#events + 1] = raised(curio.sleep, 0)
      end)
      forever()
    end))
    assert.same({ "shielded", "TaskTimeout" }, events)
  end)

  task_it("is accepted with check_cancellation and does not raise again", function()
    assert.equal("went on", curio.timeout_after(SOON, function()
      local _, err = pcall(forever)
      assert.is_nil(curio.check_cancellation(curio.TaskCancelled))
      assert.equal(err, curio.check_cancellation(curio.TaskTimeout))
      curio.sleep(SOON)
      return "went on"
    end))
  end)
end)

describe("ignore_after", function()
  task_it("returns the function's results when in time", function()
    assert.same({ n = 3, 1, nil, nil }, table.pack(curio.ignore_after(LONG, function()
      curio.sleep(0)
      return 1, nil, nil
    end)))
    assert.equal(2, curio.ignore_after { LONG, math.max, 1, 2, timeout_result = "late" })
  end)

  task_it("returns nil, or timeout_result, when its time is up", function()
    assert.is_nil(curio.ignore_after(SOON, forever))
    local result = {}
    assert.equal(result, curio.ignore_after { SOON, forever, timeout_result = result })
    assert.equal(false, curio.ignore_after { 0, forever, timeout_result = false })
    assert.equal(1, select("#", curio.ignore_after { 0, forever, timeout_result = 1 }))
    curio.sleep(0)
  end)

  task_it("with nil has no limit", function()
    assert.equal("x", curio.ignore_after(nil, function()
      curio.sleep(SOON)
      return "x"
    end))
  end)

  task_it("raises other errors unchanged", function()
    local mistake = {}
    local ok, err = pcall(curio.ignore_after, 0, error, mistake)
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.is_false(pcall(curio.ignore_after, LONG, error))
  end)

  task_it("does not swallow a cancellation of the task", function()
    local t = curio.spawn(function()
      curio.ignore_after(LONG, forever)
      return "swallowed"
    end)
    curio.sleep(0)
    t:cancel()
    assert.is_true(curio.is(t.exception, curio.TaskCancelled))
  end)

  task_it("has no block form, names its unknown options", function()
    assert.is_false(pcall(curio.ignore_after, LONG))
    local ok, err = pcall(curio.ignore_after, { LONG, forever, timeout_value = 1 })
    assert.is_false(ok)
    assert.matches("timeout_value", err, 1, true)
    assert.matches("timeout_result", err, 1, true)
  end)

  task_it("runs the __close handlers inside before it returns", function()
    local events = {}
    curio.ignore_after(SOON, function()
      local _ <close> = closing(function()
        curio.disable_cancellation(curio.sleep, 0)
        events[#events + 1] = "closed"
      end)
      forever()
    end)
    events[#events + 1] = "after"
    assert.same({ "closed", "after" }, events)
  end)
end)

describe("the block form", function()
  task_it("raises TaskTimeout out of its block", function()
    local events = {}
    assert.equal("TaskTimeout", raised(function()
      local _ <close> = curio.timeout_after(SOON)
      events[#events + 1] = raised(forever)
      forever()
    end))
    curio.sleep(0)
    assert.same({ "TaskTimeout" }, events)
  end)

  task_it("left by return, break, goto and error has no effect afterwards", function()
    for i = 1, 2 do
      local _ <close> = curio.timeout_after(0)
      if i == 1 then
        break
      end
    end
    do
      local _ <close> = curio.timeout_after(0)
      goto out
    end
    ::out::
    local function early()
      local _ <close> = curio.timeout_after(0)
      return "early"
    end
    assert.equal("early", early())
    assert.equal("text", raised(function()
      local _ <close> = curio.timeout_after(0)
      error("text", 0)
    end))
    curio.sleep(0)
  end)

  task_it("pairs with the function form, in both orders", function()
    local inside
    assert.equal("TaskTimeout", raised(function()
      local _ <close> = curio.timeout_after(SOON)
      inside = raised(curio.timeout_after, LONG, forever)
      forever()
    end))
    assert.equal("TimeoutCancellationError", inside)
    assert.equal("TaskTimeout", raised(curio.timeout_after, SOON, function()
      inside = raised(function()
        local _ <close> = curio.timeout_after(LONG)
        forever()
      end)
      forever()
    end))
    assert.equal("TimeoutCancellationError", inside)
    assert.equal("UncaughtTimeoutError", raised(function()
      local _ <close> = curio.timeout_after(LONG)
      local _ <close> = curio.timeout_after(SOON)
      forever()
    end))
  end)

  task_it("tells by .expired whether it ran out, inside and afterwards", function()
    local kept
    pcall(function()
      local t <close> = curio.timeout_after(SOON)
      kept = t
      assert.is_false(t.expired)
      pcall(forever)
      assert.is_true(t.expired)
      forever()
    end)
    assert.is_true(kept.expired)
    do
      local t <close> = curio.timeout_after(LONG)
      kept = t
      curio.sleep(0)
    end
    assert.is_false(kept.expired)
  end)

  task_it("closed twice, or in the wrong order, harms nothing", function()
    local a, b = curio.timeout_after(0), curio.timeout_after(LONG)
    local close = getmetatable(a).__close
    close(a, nil)
    curio.sleep(0)
    close(a, nil)
    close(b, nil)
    close(b, nil)
    curio.sleep(0)
  end)

  task_it("many in one function are left in the opposite order", function()
    local events = {}
    local function show(name)
      return closing(function(_, err)
        events[#events + 1] = name .. " " .. (err and err.name or "nil")
      end)
    end
    assert.equal("TaskTimeout", raised(function()
      local _ <close> = show "out"
      local _ <close> = curio.timeout_after(SOON)
      local _ <close> = show "between"
      local _ <close> = curio.timeout_after(LONG)
      forever()
    end))
    assert.same({ "between TimeoutCancellationError", "out TaskTimeout" }, events)
  end)
end)
