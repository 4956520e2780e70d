-- Event, Result, Lock, RLock, semaphores, Condition.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

local spawn = helper.spawn
local can_be_interrupted = helper.can_be_interrupted
local is_cancellation_point = helper.is_cancellation_point

local plain_it = it
local it = testing.it(it)

describe("An event", function()
  it("wakes all who wait, first come first", function()
    local event, seen = curio.Event(), {}
    for i = 1, 5 do
      curio.spawn(function()
        event:wait()
        seen[#seen + 1] = i
      end)
    end
    testing.wait_all_blocked()
    assert.is_false(event:is_set())
    event:set()
    assert.same({}, seen)
    curio.schedule()
    assert.same({ 1, 2, 3, 4, 5 }, seen)
    assert.is_true(event:is_set())
    event:wait()
  end)

  it("can be cleared and waited for again", function()
    local event = curio.Event()
    event:set()
    event:clear()
    assert.is_false(event:is_set())
    local task = spawn(event.wait, event)
    assert.equal("EVENT_WAIT", task.state)
    event:set()
    task:join()
  end)

  it("that is cleared at once has still woken its waiters", function()
    local event = curio.Event()
    local task = spawn(event.wait, event)
    event:set()
    event:clear()
    task:join()
  end)

  it("can be given up waiting for", function()
    local event = curio.Event()
    can_be_interrupted("EVENT_WAIT", event.wait, event)
    assert.equal("Event(not set, 0 waiting)", tostring(event))
    event:set()
    is_cancellation_point(event.wait, event)
  end)
end)

describe("A result", function()
  it("gives the values to all who wait", function()
    local result = curio.Result()
    local tasks = { spawn(result.unwrap, result), spawn(result.unwrap, result) }
    assert.equal("RESULT_WAIT", tasks[1].state)
    result:set_value(1, nil, 3)
    for _, task in ipairs(tasks) do
      assert.same({ n = 3, 1, nil, 3 }, table.pack(task:join()))
    end
    assert.is_true(result:is_set())
    assert.equal(1, (result:unwrap()))
  end)

  it("raises the error itself", function()
    local result, err = curio.Result(), curio.OSError { code = "EPIPE" }
    result:set_exception(err)
    local ok, raised = pcall(result.unwrap, result)
    assert.is_false(ok)
    assert.equal(err, raised)
  end)

  it("keeps the last value, but an error for ever", function()
    local result = curio.Result()
    result:set_value(1)
    result:set_value(2)
    assert.equal(2, result:unwrap())
    result:set_exception "first"
    result:set_value(3)
    assert.same({ false, "first" }, { pcall(result.unwrap, result) })
  end)

  it("may be nil", function()
    local result = curio.Result()
    result:set_value(nil)
    assert.is_true(result:is_set())
    assert.same({ n = 1 }, table.pack(result:unwrap()))
  end)

  it("can be given up waiting for", function()
    local result = curio.Result()
    can_be_interrupted("RESULT_WAIT", result.unwrap, result)
    result:set_value(1)
    is_cancellation_point(result.unwrap, result)
  end)
end)

describe("A lock", function()
  it("is held by one task at a time and handed over in order", function()
    local lock, seen = curio.Lock(), {}
    local function worker(i)
      local _ <close> = lock:acquire()
      seen[#seen + 1] = "in " .. i
      curio.schedule()
      seen[#seen + 1] = "out " .. i
    end
    for i = 1, 3 do
      curio.spawn(worker, i)
    end
    testing.wait_all_blocked()
    assert.same({ "in 1", "out 1", "in 2", "out 2", "in 3", "out 3" }, seen)
    assert.is_false(lock:locked())
  end)

  it("released and taken again at once goes to those who wait first", function()
    local lock, seen = curio.Lock(), {}
    lock:acquire()
    for i = 1, 3 do
      spawn(function()
        lock:acquire()
        seen[#seen + 1] = i
        lock:release()
      end)
    end
    lock:release()
    assert.is_true(lock:locked())
    lock:acquire()
    seen[#seen + 1] = "main"
    lock:release()
    assert.same({ 1, 2, 3, "main" }, seen)
  end)

  it("is released by an error in its block", function()
    local lock = curio.Lock()
    pcall(function()
      local _ <close> = lock:acquire()
      assert.is_true(lock:locked())
      error "x"
    end)
    assert.is_false(lock:locked())
  end)

  it("cannot be released by who does not hold it", function()
    local lock = curio.Lock()
    assert.error_matches(function()
      lock:release()
    end, "does not hold")
    lock:acquire()
    local thief = spawn(pcall, lock.release, lock)
    assert.is_false((thief:join()))
    assert.is_true(lock:locked())
    lock:release()
    assert.is_false(pcall(lock.release, lock))
  end)

  it("can be given up waiting for", function()
    local lock = curio.Lock()
    local _ <close> = lock:acquire()
    can_be_interrupted("LOCK_ACQUIRE", lock.acquire, lock)
    assert.equal("Lock(locked, 0 waiting)", tostring(lock))
  end)

  it("passes those over who gave up", function()
    local lock, seen = curio.Lock(), {}
    local tasks = {}
    lock:acquire()
    for i = 1, 4 do
      tasks[i] = spawn(function()
        local _ <close> = lock:acquire()
        seen[#seen + 1] = i
      end)
    end
    tasks[1]:cancel()
    tasks[3]:cancel()
    lock:release()
    testing.wait_all_blocked()
    assert.same({ 2, 4 }, seen)
    assert.is_false(lock:locked())
  end)

  it("stays with a task that is cancelled after it got it", function()
    local lock, seen = curio.Lock(), {}
    lock:acquire()
    local heir = spawn(function()
      local _ <close> = lock:acquire()
      seen[#seen + 1] = "got"
      curio.sleep(0)
      seen[#seen + 1] = "never"
    end)
    lock:release()
    heir:cancel { blocking = false }
    lock:acquire()
    seen[#seen + 1] = "main"
    lock:release()
    assert.same({ "got", "main" }, seen)
  end)

  it("that is free is not taken by a task told to end", function()
    local lock = curio.Lock()
    is_cancellation_point(lock.acquire, lock)
    assert.is_false(lock:locked())
  end)

  it("goes on to the next when its owner is closed by force", function()
    local lock = curio.Lock()
    local said = {}
    local stubborn = spawn(function()
      local _ <close> = lock:acquire()
      while true do
        pcall(function()
          while true do
            pcall(curio.sleep, 10)
          end
        end)
      end
    end)
    local heir = spawn(function()
      local _ <close> = lock:acquire()
      said[1] = "mine"
    end)
    stubborn:cancel()
    heir:join()
    assert.same({ "mine" }, said)
  end)

  it("does not let others run while it is free", function()
    local lock, ran = curio.Lock(), false
    local other = curio.spawn(function()
      ran = true
    end)
    for _ = 1, 20 do
      lock:acquire()
      lock:release()
    end
    assert.is_false(ran)
    other:join()
  end)

  it("lets others run when it is taken again and again", function()
    local lock, ran = curio.Lock(), false
    curio.spawn(function()
      ran = true
    end)
    for _ = 1, 100 do
      lock:acquire()
      lock:release()
    end
    assert.is_true(ran)
  end)
end)

describe("A reentrant lock", function()
  it("is taken again by its owner and given back as often", function()
    local lock = curio.RLock()
    local other
    do
      local _ <close> = lock:acquire()
      local _ <close> = lock:acquire()
      other = spawn(function()
        local _ <close> = lock:acquire()
      end)
      assert.equal("LOCK_ACQUIRE", other.state)
      lock:acquire()
      lock:release()
      assert.equal("LOCK_ACQUIRE", other.state)
    end
    other:join()
    assert.is_false(lock:locked())
  end)

  it("cannot be released by who does not hold it", function()
    local lock = curio.RLock()
    assert.is_false(pcall(lock.release, lock))
    lock:acquire()
    assert.is_false((spawn(pcall, lock.release, lock):join()))
    lock:release()
    assert.is_false(pcall(lock.release, lock))
  end)

  it("can be given up waiting for", function()
    local lock = curio.RLock()
    local holder = spawn(function()
      local _ <close> = lock:acquire()
      curio.sleep(3600)
    end)
    can_be_interrupted("LOCK_ACQUIRE", lock.acquire, lock)
    holder:cancel()
    assert.is_false(lock:locked())
    is_cancellation_point(lock.acquire, lock)
  end)
end)

describe("A semaphore", function()
  it("lets so many in", function()
    local sema, inside, most = curio.Semaphore(2), 0, 0
    local function worker()
      local _ <close> = sema:acquire()
      inside = inside + 1
      most = math.max(most, inside)
      curio.schedule()
      inside = inside - 1
    end
    for _ = 1, 6 do
      curio.spawn(worker)
    end
    testing.wait_all_blocked()
    assert.equal(2, most)
    assert.equal(2, sema.value)
    assert.is_false(sema:locked())
  end)

  it("has one by default and may have none", function()
    assert.equal(1, curio.Semaphore().value)
    local sema = curio.Semaphore(0)
    assert.is_true(sema:locked())
    local task = spawn(sema.acquire, sema)
    sema:release()
    task:join()
    assert.equal(0, sema.value)
  end)

  it("grows when it is released more often than acquired", function()
    local sema = curio.Semaphore(1)
    sema:release()
    assert.equal(2, sema.value)
  end)

  it("serves first come first, also before those who come when one is given back", function()
    local sema, seen = curio.Semaphore(1), {}
    sema:acquire()
    for i = 1, 3 do
      spawn(function()
        sema:acquire()
        seen[#seen + 1] = i
        sema:release()
      end)
    end
    sema:release()
    assert.equal(0, sema.value)
    sema:acquire()
    assert.same({ 1, 2, 3 }, seen)
    sema:release()
  end)

  it("can be given up waiting for", function()
    local sema = curio.Semaphore(0)
    can_be_interrupted("SEMA_ACQUIRE", sema.acquire, sema)
    sema:release()
    assert.equal(1, sema.value)
    is_cancellation_point(sema.acquire, sema)
    assert.equal(1, sema.value)
  end)

  it("refuses what is no whole number", function()
    for _, value in ipairs { -1, 1.5, "2" } do
      assert.is_false(pcall(curio.Semaphore, value))
    end
  end)
end)

describe("A bounded semaphore", function()
  it("cannot be released more often than acquired", function()
    local sema = curio.BoundedSemaphore(2)
    do
      local _ <close> = sema:acquire()
      assert.equal(1, sema.value)
    end
    assert.equal(2, sema.value)
    assert.error_matches(function()
      sema:release()
    end, "more often")
    assert.equal(2, sema.value)
  end)

  it("can be given up waiting for", function()
    local sema = curio.BoundedSemaphore(1)
    local _ <close> = sema:acquire()
    can_be_interrupted("SEMA_ACQUIRE", sema.acquire, sema)
  end)
end)

describe("A condition", function()
  it("wakes as many as it is told to, first come first", function()
    local cond, seen = curio.Condition(), {}
    for i = 1, 4 do
      spawn(function()
        local _ <close> = cond:acquire()
        cond:wait()
        seen[#seen + 1] = i
      end)
    end
    local function notify(n)
      local _ <close> = cond:acquire()
      cond:notify(n)
    end
    notify()
    testing.wait_all_blocked()
    assert.same({ 1 }, seen)
    notify(2)
    testing.wait_all_blocked()
    assert.same({ 1, 2, 3 }, seen)
    do
      local _ <close> = cond:acquire()
      cond:notify_all()
    end
    testing.wait_all_blocked()
    assert.same({ 1, 2, 3, 4 }, seen)
    assert.is_false(cond:locked())
  end)

  it("holds the lock again after the wait", function()
    local lock = curio.Lock()
    local cond = curio.Condition(lock)
    local task = spawn(function()
      cond:acquire()
      cond:wait()
      assert.is_true(lock:locked())
      cond:release()
    end)
    assert.is_false(lock:locked())
    assert.equal("COND_WAIT", task.state)
    cond:acquire()
    cond:notify()
    curio.schedule()
    assert.equal("LOCK_ACQUIRE", task.state)
    cond:release()
    task:join()
  end)

  it("waits for a predicate and gives its value", function()
    local cond, value = curio.Condition(), nil
    local task = spawn(function()
      local _ <close> = cond:acquire()
      return cond:wait_for(function()
        return value
      end)
    end)
    for _, new in ipairs { false, "ready" } do
      local _ <close> = cond:acquire()
      value = new
      cond:notify()
    end
    assert.equal("ready", task:join())
  end)

  it("does not wait for what is true already", function()
    local cond = curio.Condition()
    local _ <close> = cond:acquire()
    assert.equal(7, cond:wait_for(function()
      return 7
    end))
  end)

  it("cannot be used by who does not hold its lock", function()
    local cond = curio.Condition()
    for _, verb in ipairs { "wait", "wait_for", "notify", "notify_all", "release" } do
      assert.is_false(pcall(cond[verb], cond, print), verb)
    end
    local holder = spawn(function()
      local _ <close> = cond:acquire()
      curio.sleep(3600)
    end)
    for _, verb in ipairs { "wait", "wait_for", "notify", "notify_all", "release" } do
      assert.is_false(pcall(cond[verb], cond, print), verb)
    end
    holder:cancel()
  end)

  it("holds its lock when the wait is cancelled or times out", function()
    local cond, held = curio.Condition(), nil
    local function waiter()
      local _ <close> = cond:acquire()
      local ok, err = pcall(cond.wait, cond)
      held = cond:locked()
      if not ok then
        error(err, 0)
      end
    end
    can_be_interrupted("COND_WAIT", waiter)
    assert.is_true(held)
    assert.is_false(cond:locked())
    assert.equal("Condition(unlocked, 0 waiting)", tostring(cond))
  end)

  it("can be given up taking", function()
    local cond = curio.Condition()
    local _ <close> = cond:acquire()
    can_be_interrupted("LOCK_ACQUIRE", cond.acquire, cond)
  end)

  it("gives a reentrant lock back altogether, and takes it so again", function()
    local lock = curio.RLock()
    local cond = curio.Condition(lock)
    local task = spawn(function()
      lock:acquire()
      lock:acquire()
      cond:wait()
      assert.equal("RLock(held 2 times, 0 waiting)", tostring(lock))
      lock:release()
      lock:release()
    end)
    assert.is_false(lock:locked())
    cond:acquire()
    cond:notify()
    cond:release()
    task:join()
    assert.is_false(lock:locked())
  end)

  it("works with a lock that others have made", function()
    local sema = curio.Semaphore(1)
    local cond = curio.Condition(sema)
    local task = spawn(function()
      local _ <close> = cond:acquire()
      cond:wait()
    end)
    assert.equal(1, sema.value)
    do
      local _ <close> = cond:acquire()
      cond:notify()
    end
    task:join()
  end)
end)

describe("Outside of any kernel", function()
  plain_it("a blocking call says so", function()
    if curio.meta.curio_running() then
      return -- under the curio program a task runs this
    end
    assert.error_matches(function()
      curio.Lock():acquire()
    end, "lock:acquire: no curio kernel is running")
  end)
end)

describe("curio.sync", function()
  it("is written on the public traps, but for the Universal objects", function()
    local allowed = {
      ["curio.core"] = true,
      ["curio.errors"] = true,
      ["curio.sched"] = true,
      ["curio.traps"] = true,
    }
    local file <close> = assert(io.open "lua/curio/sync.lua")
    local text = file:read "a"
    for module in text:gmatch "require%s*%(?%s*[\"']([^\"']+)" do
      assert.is_true(allowed[module], module)
    end
    for use in text:gmatch "core%.(%w+)" do
      assert.equal("universal", use)
    end
  end)
end)
