-- Deadlock: what is raised when nothing can wake the kernel again.

local curio = require "curio"
local helper = require "spec.helper"

local closing = helper.closing
local logged = helper.logged

describe("a deadlock", function()
  local function here()
    return debug.getinfo(2, "l").currentline
  end

  it("of two tasks that wait for each other's end names both and their lines", function()
    local first, second, line1, line2
    local ok, err = pcall(curio.run, function()
      first = curio.spawn { function()
        curio.schedule()
        line1 = here() + 1
        second:join()
      end, name = "the first" }
      second = curio.spawn { function()
        curio.schedule()
        line2 = here() + 1
        first:join()
      end, name = "the second" }
      first:join()
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.Deadlock))
    for name, line in pairs { ["the first"] = line1, ["the second"] = line2 } do
      assert.matches(name .. "[^\n]*state=TASK_JOIN[^\n]*deadlock_spec.lua:" .. line, err.message)
    end
  end)

  it("is raised in the main task, which can go on", function()
    curio.run(function()
      local event = curio.Event()
      local ok, err = pcall(event.wait, event)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.Deadlock))
      curio.sleep(0)
      curio.sleep(0.001)
      assert.equal(1, (curio.spawn(function()
        return 1
      end):join()))
    end)
  end)

  it("is raised also where cancellation is disabled, and inside generators", function()
    curio.run(function()
      local event = curio.Event()
      local ok, err = pcall(curio.disable_cancellation, event.wait, event)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.Deadlock))
      ok, err = pcall(coroutine.wrap(function()
        event:wait()
      end))
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.Deadlock))
    end)
  end)

  it("runs the __close handlers of the main task", function()
    local closed = false
    local ok, err = pcall(curio.run, function()
      local _ <close> = closing(function()
        curio.sleep(0)
        closed = true
      end)
      curio.Event():wait()
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.Deadlock))
    assert.is_true(closed)
  end)

  it("is none while a timer runs", function()
    curio.run(function()
      local event = curio.Event()
      curio.spawn(function()
        curio.sleep(0.005)
        event:set()
      end)
      event:wait()
      assert.is_nil((curio.ignore_after(0.001, curio.Event().wait, curio.Event())))
    end)
  end)

  it("of a queue, a lock and a condition tells each task's state", function()
    local ok, err = pcall(curio.run, function()
      local queue, lock, event = curio.Queue(), curio.Lock(), curio.Event()
      lock:acquire()
      curio.spawn { queue.get, queue, name = "getter" }
      curio.spawn { lock.acquire, lock, name = "locker" }
      event:wait()
    end)
    assert.is_false(ok)
    assert.matches("getter[^\n]*state=QUEUE_GET", err.message)
    assert.matches("locker[^\n]*state=LOCK_ACQUIRE", err.message)
    assert.matches("state=EVENT_WAIT", err.message)
  end)

  it("in the shutdown does not hang", function()
    local lines = logged(function()
      curio.run(function()
        curio.spawn { function()
          curio.disable_cancellation(function()
            curio.Event():wait()
          end)
        end, name = "stubborn" }
        curio.schedule()
      end)
    end)
    assert.matches("stubborn", table.concat(lines, "\n"))
  end)
end)
