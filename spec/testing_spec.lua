-- curio.testing: the virtual clock, random order, wait_all_blocked, sockets in memory, what a spec
-- leaves behind.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

local spawn = helper.spawn
local raises = helper.raises

local plain_it = it
local it = testing.it(it)

-- Real seconds that fn takes.
local function real_time(fn)
  local clock = require("curio.core").testing.clock
  local start = clock()
  fn()
  return clock() - start
end

describe("A virtual clock", function()
  local it_now = testing.it(plain_it, { clock = testing.autojump() })

  it_now("jumps to the next timer when all tasks are blocked", function()
    local seen, start = {}, curio.clock()
    local tasks = {}
    for i, seconds in ipairs { 3600, 60, 7200, 60 } do
      tasks[i] = curio.spawn(function()
        curio.sleep(seconds)
        seen[#seen + 1] = { i, curio.clock() - start }
      end)
    end
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.same({ { 2, 60.0 }, { 4, 60.0 }, { 1, 3600.0 }, { 3, 7200.0 } }, seen)
  end)

  plain_it("lets an hour pass in no time", function()
    local seconds = real_time(function()
      testing.run(function()
        for _ = 1, 3600 do
          curio.sleep(1)
        end
      end, { clock = testing.autojump() })
    end)
    assert.is_true(seconds < 10) -- it takes some 3 ms
  end)

  it_now("stands while a task is ready", function()
    local start = curio.clock()
    for _ = 1, 1000 do
      curio.schedule()
    end
    assert.equal(start, curio.clock())
  end)

  it_now("fires timeouts", function()
    local start = curio.clock()
    raises(curio.TaskTimeout, curio.timeout_after, 5, curio.sleep, 10)
    assert.equal(5.0, curio.clock() - start)
    assert.equal("late", curio.ignore_after { 5, curio.sleep, 10, timeout_result = "late" })
    local stubborn = spawn(function()
      curio.disable_cancellation(curio.sleep, 100)
    end)
    assert.is_false(stubborn:cancel { timeout = 20 })
    assert.equal(30.0, curio.clock() - start)
    stubborn:wait()
  end)

  it_now("gets past any sleep, however short", function()
    local start = curio.clock()
    curio.sleep(1e-12)
    assert.is_true(curio.clock() > start)
  end)

  it_now("leaves data that is under way the time to arrive", function()
    local a <close>, b <const> = curio.socket.socketpair()
    local _ <close> = b
    local reader = spawn(curio.timeout_after, 1, a.recv, a, 100)
    b:send "x"
    assert.equal("x", reader:join())
  end)

  it_now("does not hide a deadlock", function()
    local err = raises(curio.Deadlock, function()
      curio.Event():wait()
    end)
    assert.matches("EVENT_WAIT", tostring(err))
  end)

  plain_it("ends with the run it was asked for", function()
    curio.run { curio.sleep, 1000, clock = testing.autojump() }
    local seconds = real_time(function()
      curio.run(curio.sleep, 0.02)
    end)
    assert.is_true(seconds >= 0.02)
  end)

  plain_it("must be one", function()
    for _, clock in ipairs { 1, {}, "autojump" } do
      local ok, err = pcall(curio.run, { print, clock = clock })
      assert.is_false(ok)
      assert.matches("clock", tostring(err))
    end
  end)

  plain_it("can be a kernel's", function()
    if curio.meta.curio_running() then
      return -- only one kernel may run in a thread
    end
    local k <close> = curio.Kernel { clock = testing.autojump() }
    assert.equal(100.0, k:run(function()
      local start = curio.clock()
      return curio.sleep(100) - start
    end))
  end)
end)

describe("A shuffled ready queue", function()
  local function order(seed)
    testing.shuffle(seed)
    local seen, tasks = {}, {}
    for i = 1, 20 do
      tasks[i] = curio.spawn(function()
        seen[#seen + 1] = i
      end)
    end
    for _, task in ipairs(tasks) do
      task:join()
    end
    testing.shuffle()
    return table.concat(seen, " ")
  end

  it("runs tasks in an order that its seed decides", function()
    local first = order(1)
    assert.equal(first, order(1))
    assert.are_not.equal(first, order(2))
    assert.are_not.equal(order(nil), first)
    assert.equal("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", order(nil))
  end)

  it("loses nobody", function()
    for seed = 1, 20 do
      local sum = 0
      for n in order(seed):gmatch "%d+" do
        sum = sum + n
      end
      assert.equal(210, sum)
    end
  end)
end)

describe("wait_all_blocked", function()
  it("waits until no other task can go on", function()
    local steps = 0
    local task = curio.spawn(function()
      for _ = 1, 200 do
        curio.schedule()
        steps = steps + 1
      end
      curio.sleep(3600)
    end)
    testing.wait_all_blocked()
    assert.equal(200, steps)
    assert.equal("TIME_SLEEP", task.state)
    task:cancel()
  end)

  it("sees what has arrived from outside", function()
    local a <close>, b <const> = curio.socket.socketpair()
    local _ <close> = b
    local reader = spawn(a.recv, a, 100)
    assert.equal("READ_WAIT", reader.state)
    b:send "x"
    testing.wait_all_blocked()
    assert.equal("TERMINATED", reader.state)
  end)

  it("may be called by several tasks at once", function()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = curio.spawn(testing.wait_all_blocked)
    end
    testing.wait_all_blocked()
    for _, task in ipairs(tasks) do
      task:join()
    end
  end)

  it("can be given up", function()
    local busy = curio.spawn(function()
      while true do
        curio.schedule()
      end
    end)
    local task = curio.spawn(testing.wait_all_blocked)
    curio.schedule()
    assert.equal("WAIT_ALL_BLOCKED", task.state)
    task:cancel()
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, testing.wait_all_blocked)
    busy:cancel()
  end)
end)

describe("A socket in memory", function()
  it("sends and receives both ways", function()
    local a <close>, b <const> = testing.socketpair()
    local _ <close> = b
    assert.equal(5, a:send "hello")
    assert.equal("hel", b:recv(3))
    assert.equal("lo", b:recv(100))
    assert.equal(2, b:sendall "hi")
    assert.equal("hi", a:recv(100))
    assert.equal(0, a:send "")
  end)

  it("waits for data, and can be given up waiting for", function()
    local a <close>, b <const> = testing.socketpair()
    local _ <close> = b
    local task = spawn(a.recv, a, 10)
    assert.equal("READ_WAIT", task.state)
    raises(curio.ReadResourceBusy, a.recv, a, 10)
    task:cancel()
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, a.recv, a, 10)
    task = spawn(a.recv, a, 10)
    b:send "x"
    assert.equal("x", task:join())
  end)

  it("waits for room, and can be given up waiting for", function()
    local a <close>, b <const> = testing.socketpair()
    local _ <close> = b
    local big = ("x"):rep(100000)
    local sent = a:send(big)
    assert.is_true(sent < #big)
    local task = spawn(a.send, a, "y")
    assert.equal("WRITE_WAIT", task.state)
    raises(curio.WriteResourceBusy, a.send, a, "z")
    task:cancel()
    local err = raises(curio.TaskTimeout, curio.timeout_after, 0.001, a.sendall, a, big)
    assert.equal(0, err.bytes_sent)
    local sender = spawn(a.sendall, a, big)
    local got = 0
    while got < sent + #big do
      got = got + #b:recv(30000)
      testing.wait_all_blocked()
    end
    assert.equal(#big, sender:join())
  end)

  it("ends", function()
    local a, b = testing.socketpair()
    a:send "last"
    assert.is_true(a:shutdown "wr")
    local chunks = {}
    for chunk in b:chunks() do
      chunks[#chunks + 1] = chunk
    end
    assert.same({ "last" }, chunks)
    assert.same({ n = 1 }, table.pack(b:recv(1)))
    assert.equal(4, b:send "back")
    local n, err = a:send "more"
    assert.is_nil(n)
    assert.equal("EPIPE", err.code)
    b:close()
    n, err = a:send "more"
    assert.is_nil(n)
    assert.equal("EPIPE", err.code)
    a:close()
  end)

  it("wakes those who sleep in it when it is closed", function()
    local a, b = testing.socketpair()
    local reader = spawn(a.recv, a, 10)
    local writer = spawn(a.sendall, a, ("x"):rep(200000))
    local peer = spawn(b.chunks(b, 10))
    a:close()
    for _, task in ipairs { reader, writer } do
      local ok, err = task:join()
      assert.is_nil(ok)
      assert.is_true(curio.is(err, curio.ClosedError))
    end
    peer:wait()
    local ok, err = a:recv(1)
    assert.is_nil(ok)
    assert.is_true(curio.is(err, curio.ClosedError))
    assert.is_nil((a:shutdown "rd"))
    a:close()
    b:close()
    assert.equal("MemorySocket(0 bytes to read, closed)", tostring(a))
  end)

  it("needs no descriptor", function()
    local descriptors = require("curio.core").testing.descriptors
    local before = descriptors()
    local a <close>, b <const> = testing.socketpair()
    local _ <close> = b
    assert.same(before, descriptors())
    assert.truthy(a)
  end)
end)

describe("A spec that leaves something behind fails", function()
  local function fails(pattern, body)
    local ok, err = pcall(testing.run, body)
    assert.is_false(ok)
    assert.matches(pattern, tostring(err))
  end

  plain_it("if it is a task", function()
    fails("tasks were left behind:.*TIME_SLEEP", function()
      spawn(curio.sleep, 3600)
    end)
  end)

  plain_it("if it is a descriptor", function()
    local a, b
    fails("descriptors were left open: %d+, %d+", function()
      a, b = curio.socket.socketpair()
    end)
    a:close()
    b:close()
  end)

  plain_it("but not if it is a daemon, or nothing", function()
    testing.run(function()
      curio.spawn { curio.sleep, 3600, daemon = true }
      local a <close> = curio.socket.socketpair()
      assert.truthy(a)
      curio.spawn(curio.sleep, 0):join()
      collectgarbage() -- the other one
    end)
  end)

  plain_it("and its own error goes before", function()
    fails("^mine", function()
      spawn(curio.sleep, 3600)
      error("mine", 0)
    end)
  end)
end)
