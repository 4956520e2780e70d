-- curio.sched, curio.traps and curio.meta: what library writers build on.

local curio = require "curio"
local sched = require "curio.sched"
local testing = require "curio.testing"
local traps = require "curio.traps"
local helper = require "spec.helper"

local spawn = helper.spawn
local raises = helper.raises

local plain_it = it
local it = testing.it(it)

-- n tasks asleep in the list, which add their numbers to `seen` when they wake.
local function sleepers(list, n, seen)
  local tasks = {}
  for i = 1, n do
    tasks[i] = spawn(function()
      list:suspend("WAIT", i)
      seen[#seen + 1] = i
    end)
  end
  return tasks
end

describe("A wait list", function()
  it("wakes one by default if it is a SchedFIFO, all if it is a SchedBarrier", function()
    local seen = {}
    local fifo, barrier = sched.SchedFIFO(), sched.SchedBarrier()
    sleepers(fifo, 3, seen)
    assert.equal(3, #fifo)
    assert.equal(1, (fifo:wake()))
    testing.wait_all_blocked()
    assert.same({ 1 }, seen)
    assert.equal(2, (fifo:wake(5)))
    sleepers(barrier, 3, seen)
    assert.equal(3, (barrier:wake()))
    testing.wait_all_blocked()
    assert.same({ 1, 2, 3, 1, 2, 3 }, seen)
    assert.equal(0, (fifo:wake()))
    assert.equal(0, (barrier:wake(0)))
    assert.equal(0, #fifo)
  end)

  it("hands values over", function()
    local list = sched.SchedBarrier()
    local tasks = { spawn(list.suspend, list), spawn(list.suspend, list) }
    assert.equal("SUSPEND", tasks[1].state)
    list:wake(nil, 1, nil, "x", nil)
    for _, task in ipairs(tasks) do
      task:join()
      assert.same({ n = 4, 1, nil, "x" }, task.results)
    end
  end)

  it("gives the waker what the first sleeper has brought", function()
    local list = sched.SchedFIFO()
    sleepers(list, 3, {})
    assert.same({ 1, 1 }, { list:wake() })
    assert.same({ 2, 2 }, { list:wake(2) })
    assert.same({ 0 }, { list:wake() })
    testing.wait_all_blocked()
  end)

  it("does so through generators too", function()
    local list = sched.SchedFIFO()
    local task = spawn(function()
      return coroutine.wrap(function()
        return coroutine.wrap(function()
          return list:suspend("DEEP", "brought")
        end)()
      end)()
    end)
    assert.equal("DEEP", task.state)
    assert.same({ 1, "brought" }, { list:wake(1, "given", 2) })
    assert.same({ "given", 2 }, { task:join() })
  end)

  it("shows any state", function()
    local list = sched.SchedFIFO()
    local state = ("PHASE_%d"):format(7)
    local task = spawn(list.suspend, list, state)
    state = nil -- luacheck: no unused
    collectgarbage()
    assert.equal("PHASE_7", task.state)
    list:wake()
    task:join()
  end)

  it("forgets a sleeper that is cancelled or whose time is up", function()
    local list, seen = sched.SchedFIFO(), {}
    local tasks = sleepers(list, 3, seen)
    tasks[2]:cancel()
    assert.equal(2, #list)
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, list.suspend, list)
    assert.equal(2, #list)
    assert.equal(2, (list:wake(9)))
    testing.wait_all_blocked()
    assert.same({ 1, 3 }, seen)
  end)

  it("has given its values to a sleeper that is cancelled before it runs", function()
    local list = sched.SchedFIFO()
    local got
    local task = spawn(function()
      got = list:suspend()
    end)
    list:wake(1, "mine")
    task:cancel()
    assert.equal("mine", got)
    assert.is_nil(task.exception)
  end)

  it("refuses what makes no sense", function()
    local list = sched.SchedFIFO()
    assert.is_false(pcall(list.wake, list, -1))
    assert.is_false(pcall(list.wake, list, "x"))
    assert.is_false(pcall(list.wake, curio.Event()))
    assert.is_false(pcall(list.suspend, list, {}))
  end)
end)

describe("A trap", function()
  it("sleeps in a list and wakes those in it", function()
    local list = sched.SchedFIFO()
    local task = spawn(traps.scheduler_wait, list, "HERE", "brought")
    assert.equal("HERE", task.state)
    assert.same({ 1, "brought" }, { traps.scheduler_wake(list, 1, "given") })
    assert.equal("given", task:join())
  end)

  it("sleeps and tells the time", function()
    local before = traps.clock()
    assert.is_true(traps.sleep(0.001) >= before + 0.001)
    raises(curio.TaskTimeout, curio.timeout_after, 0, traps.sleep, 1)
  end)

  it("spawns, and cancels without waiting", function()
    local task = traps.spawn(curio.sleep, 3600)
    testing.wait_all_blocked()
    traps.cancel_task(task)
    assert.is_false(task.terminated)
    task:wait()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    local own = spawn(curio.sleep, 3600)
    local err = curio.CancelledError "why"
    traps.cancel_task(own, err)
    own:wait()
    assert.equal(err, own.exception)
  end)

  it("tells who runs", function()
    assert.equal(curio.current_task(), traps.get_current())
    assert.equal(curio.current_task().id, traps.get_id())
    assert.equal(traps.get_id(), traps.checkpoint())
    assert.matches("^Kernel", tostring(traps.get_kernel()))
  end)

  it("is a cancellation point that need not sleep", function()
    local ran = false
    local other = curio.spawn(function()
      ran = true
    end)
    traps.checkpoint()
    assert.is_false(ran)
    raises(curio.TaskTimeout, curio.timeout_after, 0, traps.checkpoint)
    for _ = 1, 100 do
      traps.checkpoint()
    end
    assert.is_true(ran)
    other:join()
  end)

  it("sets a deadline and takes it back", function()
    local previous = traps.set_timeout(traps.clock() + 0.001)
    raises(curio.TaskTimeout, curio.sleep, 3600)
    assert.is_true(previous.expired)
    assert.is_number(traps.unset_timeout(previous))
    curio.sleep(0)
    previous = traps.set_timeout(traps.clock() + 3600)
    local none = traps.set_timeout(nil)
    curio.sleep(0)
    traps.unset_timeout(none)
    traps.unset_timeout(previous)
    assert.is_false(previous.expired)
  end)

  it("does not extend a deadline that is sooner", function()
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, function()
      local previous = traps.set_timeout(traps.clock() + 3600)
      local _ <close> = setmetatable({}, {
        __close = function()
          traps.unset_timeout(previous)
        end,
      })
      curio.sleep(1800)
    end)
  end)

  it("waits on a descriptor, and tells who does", function()
    local a <close>, b <const> = curio.socket.socketpair()
    local _ <close> = b
    local fd = a:fileno()
    local task = spawn(traps.read_wait, fd)
    assert.equal("READ_WAIT", task.state)
    assert.same({ task }, { traps.io_waiting(fd) })
    raises(curio.ReadResourceBusy, traps.read_wait, fd)
    assert.is_true(traps.write_wait(fd))
    b:send "x"
    assert.is_true(task:join())
    assert.same({}, { traps.io_waiting(a) })
    assert.is_true(traps.read_wait(a)) -- it has a fileno
    local file <close> = assert(io.open("/dev/null"))
    assert.is_true(traps.read_wait(file))
    file:close()
    assert.error_matches(function()
      traps.read_wait(file)
    end, "its fileno is not a descriptor %(closed%?%)")
    assert.error_matches(function()
      traps.read_wait("stdin")
    end, "descriptor or object with fileno expected, got string")
  end)

  it("can be given up waiting on a descriptor", function()
    local a <close>, b <const> = curio.socket.socketpair()
    local _ <close> = b
    local task = spawn(traps.read_wait, a:fileno())
    task:cancel()
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, traps.read_wait, a:fileno())
    assert.same({}, { traps.io_waiting(a:fileno()) })
  end)

  it("wakes who waits on a descriptor that is released", function()
    local a <close>, b <const> = curio.socket.socketpair()
    local _ <close> = b
    local task = spawn(traps.read_wait, a:fileno())
    traps.io_release(a:fileno())
    task:join()
    assert.is_false(pcall(traps.read_wait, "x"))
    assert.is_false(pcall(traps.read_wait, -1))
  end)
end)

describe("Waiting for a future", function()
  local function future()
    local fut = { cancelled = 0 }
    function fut:add_done_callback(fn)
      self.done = fn
    end
    function fut:cancel()
      self.cancelled = self.cancelled + 1
    end
    return fut
  end

  it("ends when it is done", function()
    local fut, event = future(), curio.Event()
    local task = spawn(traps.future_wait, fut, event)
    assert.equal("FUTURE_WAIT", task.state)
    assert.is_true(event:is_set())
    fut.done()
    task:join()
    assert.equal(0, fut.cancelled)
  end)

  it("need not begin when it is done already", function()
    local fut = future()
    function fut.add_done_callback(_, fn)
      fn()
    end
    traps.future_wait(fut)
    assert.equal(0, fut.cancelled)
  end)

  it("cancels it when it is given up; that it is done later disturbs nobody", function()
    local fut = future()
    local task = spawn(traps.future_wait, fut)
    task:cancel()
    assert.equal(1, fut.cancelled)
    fut.done()
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, traps.future_wait, fut)
    assert.equal(2, fut.cancelled)
  end)
end)

describe("curio.meta", function()
  local where = curio.meta.awaitable(function(...)
    return "outside", ...
  end, function(...)
    return "in a task", ...
  end)

  it("knows that a task runs", function()
    assert.is_true(curio.meta.curio_running())
    assert.same({ "in a task", 1 }, { where(1) })
  end)

  plain_it("knows that none runs", function()
    local running = curio.meta.curio_running()
    assert.equal(traps.get_current() ~= nil, running)
    assert.same({ running and "in a task" or "outside", 1 }, { where(1) })
  end)

  it("refuses what is no function", function()
    assert.is_false(pcall(curio.meta.awaitable, print))
  end)
end)
