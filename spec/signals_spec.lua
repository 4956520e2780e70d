-- curio.signal: signals that tasks wait for. (SIGINT and SIGQUIT of kernels: spec/signal_spec.lua.)

local curio = require "curio"
local helper = require "spec.helper"
local signal = require "curio.signal"
local sockets = require "spec.sockets"
local testing = require "curio.testing"

local it = testing.it(it)
local USR1, USR2, HUP = signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP
local SignalQueue, SignalEvent = signal.SignalQueue, signal.SignalEvent

-- Sends this process signals, by a shell, in order; they have arrived when it returns.
local function send(...)
  local names = { [USR1] = "USR1", [USR2] = "USR2", [HUP] = "HUP", [signal.SIGINT] = "INT" }
  local lines = {}
  for i, signo in ipairs { ... } do
    lines[i] = ("kill -%s $PPID"):format(names[signo])
  end
  helper.output_of(table.concat(lines, "; "))
end

-- What becomes of a signal: "Cgt" and "Ign" of this process.
local function state(signo)
  local status = helper.read "/proc/self/status"
  local function has(field)
    return tonumber(status:match("Sig" .. field .. ":%s*(%x+)"), 16) >> signo - 1 & 1 == 1
  end
  return has "Cgt" and "caught" or has "Ign" and "ignored" or "default"
end

-- That becomes of each of the signals. Valgrind catches all of them itself.
local function becomes(what, ...)
  for _, signo in ipairs { ... } do
    if not helper.under_valgrind then
      assert.equal(what, state(signo))
    end
  end
end

local function refuses(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(err))
end

describe("a SignalQueue", function()
  it("gives the signal that comes while a task sleeps", function()
    local queue <close> = assert(SignalQueue(USR1))
    local task = curio.spawn(queue.get, queue)
    sockets.until_asleep(task, "SIGNAL_WAIT")
    send(USR1)
    assert.equal(USR1, task:join())
  end)

  it("keeps what comes while nobody waits, in order", function()
    local queue <close> = assert(SignalQueue(USR1, USR2, HUP))
    send(USR2)
    send(HUP)
    send(USR1)
    assert.same({ USR2, HUP, USR1 }, { queue:get(), queue:get(), queue:get() })
  end)

  it("counts a burst", function()
    local queue <close> = assert(SignalQueue(USR1))
    local n = 25
    for _ = 1, n do
      send(USR1)
    end
    for _ = 1, n do
      assert.equal(USR1, queue:get())
    end
    sockets.raises(curio.TaskTimeout, curio.timeout_after, 0.01, queue.get, queue)
  end)

  it("can be iterated over, until it is closed", function()
    local queue <close> = assert(SignalQueue(USR1))
    send(USR1)
    send(USR1)
    local n = 0
    for signo in queue:iter() do
      assert.equal(USR1, signo)
      n = n + 1
      if n == 2 then
        queue:close()
      end
    end
    for _ in queue do
      error "not reached"
    end
    assert.equal(2, n)
  end)

  it("times out", function()
    local queue <close> = assert(SignalQueue(USR1))
    sockets.raises(curio.TaskTimeout, curio.timeout_after, 0.01, queue.get, queue)
    send(USR1)
    assert.equal(USR1, queue:get())
  end)

  it("wakes nobody who was cancelled, and loses nothing by it", function()
    local queue <close> = assert(SignalQueue(USR1))
    sockets.cancelled("SIGNAL_WAIT", queue.get, queue)
    local first = curio.spawn(queue.get, queue)
    local second = curio.spawn(queue.get, queue)
    sockets.until_asleep(first, "SIGNAL_WAIT")
    sockets.until_asleep(second, "SIGNAL_WAIT")
    first:cancel()
    send(USR1)
    assert.equal(USR1, second:join())
  end)

  it("closed under a sleeper wakes it", function()
    local queue = assert(SignalQueue(USR1))
    sockets.closed("SIGNAL_WAIT", queue, "get")
    sockets.is_closed_error(queue:get())
    queue:close()
    assert.equal("curio.SignalQueue(closed)", tostring(queue))
  end)

  it("serves several tasks, first come first", function()
    local queue <close> = assert(SignalQueue(USR1))
    local log, tasks = {}, {}
    for i = 1, 3 do
      tasks[i] = curio.spawn(function()
        queue:get()
        log[#log + 1] = i
      end)
      sockets.until_asleep(tasks[i], "SIGNAL_WAIT")
    end
    for i = 1, 3 do
      send(USR1)
      tasks[i]:join()
    end
    assert.same({ 1, 2, 3 }, log)
  end)

  it("takes a signal named twice once", function()
    local queue <close> = assert(SignalQueue(USR1, USR1))
    send(USR1)
    assert.equal(USR1, queue:get())
    sockets.raises(curio.TaskTimeout, curio.timeout_after, 0.01, queue.get, queue)
    assert.equal("curio.SignalQueue(10)", tostring(queue))
  end)

  it("is no deadlock, but a wait for what is not listened to is", function()
    local queue <close> = assert(SignalQueue(USR1))
    io.popen("sleep 0.1; kill -USR1 $PPID"):close()
    assert.equal(USR1, queue:get())
  end)

  it("may be made outside of a kernel, and gets what comes while none runs", function()
    assert.equal("10\n12\nstatus 0\n", helper.child [[
      local curio = require "curio"
      local signal = require "curio.signal"
      local function send(name)
        io.popen("kill -" .. name .. " $PPID"):close()
      end
      local queue = signal.SignalQueue(signal.SIGUSR1, signal.SIGUSR2)
      send "USR1"
      local function main()
        return queue:get()
      end
      print(curio.run(main))
      send "USR2"
      print(curio.run(main))
    ]])
  end)
end)

describe("a SignalEvent", function()
  it("is set when one of its signals comes", function()
    local event <close> = assert(SignalEvent(USR1, USR2))
    assert.is_false(event:is_set())
    local task, other = curio.spawn(event.wait, event), curio.spawn(event.wait, event)
    sockets.until_asleep(task, "SIGNAL_WAIT")
    sockets.until_asleep(other, "SIGNAL_WAIT")
    send(USR2)
    assert.is_true(task:join())
    assert.is_true(other:join())
    assert.is_true(event:is_set())
    assert.is_true(event:wait())
  end)

  it("can be cleared", function()
    local event <close> = assert(SignalEvent(USR1))
    send(USR1)
    assert.is_true(event:is_set())
    event:clear()
    assert.is_false(event:is_set())
    sockets.raises(curio.TaskTimeout, curio.timeout_after, 0.01, event.wait, event)
    send(USR1)
    assert.is_true(event:wait())
  end)

  it("is cancelled while asleep", function()
    local event <close> = assert(SignalEvent(USR1))
    sockets.cancelled("SIGNAL_WAIT", event.wait, event)
  end)

  it("closed under a sleeper wakes it", function()
    local event = assert(SignalEvent(USR1))
    sockets.closed("SIGNAL_WAIT", event, "wait")
  end)
end)

describe("listeners", function()
  it("of one signal each get it", function()
    local a <close> = assert(SignalQueue(USR1))
    local b <close> = assert(SignalQueue(USR1, USR2))
    local event <close> = assert(SignalEvent(USR1))
    send(USR1, USR2)
    assert.equal(USR1, a:get())
    assert.same({ USR1, USR2 }, { b:get(), b:get() })
    assert.is_true(event:is_set())
  end)

  it("get only what comes while they listen", function()
    local a <close> = assert(SignalQueue(USR1))
    send(USR1)
    local b <close> = assert(SignalQueue(USR1))
    assert.equal(USR1, a:get())
    sockets.raises(curio.TaskTimeout, curio.timeout_after, 0.01, b.get, b)
  end)

  it("put back what was in force, in whatever order they are closed", function()
    becomes("default", USR1)
    local a, b = assert(SignalQueue(USR1)), assert(SignalQueue(USR1))
    becomes("caught", USR1)
    a:close()
    becomes("caught", USR1)
    send(USR1)
    assert.equal(USR1, b:get())
    b:close()
    becomes("default", USR1)
  end)

  it("put it back when they are collected", function()
    assert(SignalQueue(USR1))
    collectgarbage()
    collectgarbage()
    becomes("default", USR1)
  end)

  it("put it back when an error ends their block", function()
    pcall(function()
      local _ <close> = assert(SignalEvent(USR1))
      error "x"
    end)
    becomes("default", USR1)
  end)

  it("refuse what cannot be listened to", function()
    refuses("SIGKILL can be neither caught nor ignored", SignalQueue, signal.SIGKILL)
    refuses("SIGSTOP can be neither caught nor ignored", SignalEvent, signal.SIGSTOP)
    refuses("SIGKILL can be neither", signal.ignore, USR1, signal.SIGKILL)
    refuses("tells of a fault", SignalQueue, signal.SIGSEGV)
    refuses("no such signal: 0", SignalQueue, 0)
    refuses("no such signal: 1000", SignalQueue, 1000)
    refuses("number expected", SignalQueue, "SIGINT")
    refuses("a signal is expected", SignalQueue)
    becomes("default", USR1)
    local queue, err = SignalQueue(USR1, 32) -- the C library's own
    if not queue then
      assert.equal("EINVAL", err.code)
    else
      queue:close()
    end
    becomes("default", USR1)
  end)
end)

describe("ignore", function()
  it("ignores until it is closed", function()
    do
      local ignored <close> = assert(signal.ignore(USR1, USR2))
      becomes("ignored", USR1, USR2)
      send(USR1, USR2)
      assert.is_truthy(ignored)
    end
    becomes("default", USR1, USR2)
  end)

  it("decides when it is newer than a listener, and the other way round", function()
    local queue <close> = assert(SignalQueue(USR1))
    do
      local _ <close> = signal.ignore(USR1)
      send(USR1)
      local newer <close> = assert(SignalQueue(USR1))
      send(USR1)
      assert.equal(USR1, newer:get())
    end
    becomes("caught", USR1)
    assert.equal(USR1, queue:get())
    sockets.raises(curio.TaskTimeout, curio.timeout_after, 0.01, queue.get, queue)
  end)
end)

-- In processes of their own.
local prelude = [[
  local curio = require "curio"
  local signal = require "curio.signal"
  local function kill(name)
    io.popen("kill -" .. name .. " $PPID"):close()
  end
]]

describe("SIGINT", function()
  it("that is listened to does not interrupt the program, and then does again", function()
    assert.equal("got 2\nInterrupted\nstatus 0\n", helper.child(prelude .. [[
      curio.run(function()
        do
          local queue <close> = signal.SignalQueue(signal.SIGINT)
          kill "INT"
          print("got " .. queue:get())
        end
        print(select(2, pcall(function()
          kill "INT"
          curio.sleep(10)
        end)).name)
        curio.check_cancellation(curio.Interrupted)
      end)
    ]]))
  end)

  it("twice does not end a program that listens", function()
    assert.equal("2 2\nstatus 0\n", helper.child(prelude .. [[
      curio.run(function()
        local queue <close> = signal.SignalQueue(signal.SIGINT)
        kill "INT"
        kill "INT"
        print(queue:get() .. " " .. queue:get())
      end)
    ]]))
  end)

  it("has its handler back after a listener that outlives its kernel", function()
    if helper.under_program then
      return
    end
    assert.matches("^true\n.*interrupted!.*status 1\n$", helper.child(prelude .. [[
      local queue
      curio.run(function()
        queue = signal.SignalQueue(signal.SIGINT)
      end)
      kill "INT"
      queue:close()
      print(true)
      kill "INT"
      for _ = 1, 1e7 do end
      print "not reached"
    ]]))
  end)
end)

describe("a handler of somebody else's", function()
  it("put over ours is left alone", function()
    -- Lua has no means to set one; a program that execs with the signal ignored must do.
    assert.equal("ignored\nstatus 0\n", helper.child(prelude .. [[
      curio.run(function()
        local queue = signal.SignalQueue(signal.SIGHUP)
        queue:close()
      end)
      local status = io.open("/proc/self/status"):read "a"
      local ignored = tonumber(status:match "SigIgn:%s*(%x+)", 16) & 1 == 1
      print(ignored and "ignored" or "not ignored")
    ]], "env --ignore-signal=HUP"))
  end)
end)
