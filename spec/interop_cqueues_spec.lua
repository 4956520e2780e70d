-- The bridge to cqueues, tried with cqueues' own sockets, conditions and timers: what run, loop,
-- close and await do, how they end, and that nothing is left. (For lua-http there is
-- interop_cqueues_http_spec.lua.)

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local cqsocket = require "cqueues.socket"

local bridge = require "curio.interop.cqueues"
local curio = require "curio"
local testing = require "curio.testing"
local traps = require "curio.traps"
local helper = require "spec.helper"
local sockets = require "spec.sockets"

local raises, run = helper.raises, sockets.run

local function forever()
  cqueues.sleep(helper.LONG)
end

local function on_close(fn)
  return helper.closing(fn)
end

-- What fn raises, a string, begins as that pattern says.
local function fails(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches("^" .. pattern, err)
end

-- A task that lets others run until the second result is closed, and counts how often it ran.
local function ticker()
  local ticks = { n = 0 }
  local task = curio.spawn(function()
    while true do
      curio.schedule()
      ticks.n = ticks.n + 1
    end
  end)
  return ticks, on_close(function()
    task:cancel()
  end)
end

-- An echo server of cqueues, until it is closed: its port, and itself.
local function echo_server(controller)
  local server = assert(cqsocket.listen("127.0.0.1", 0))
  assert(server:listen())
  controller:wrap(function()
    for client in server:clients() do
      controller:wrap(function()
        client:setmode("b", "bn")
        for data in client:lines(-4096) do
          client:write(data)
        end
        client:close()
      end)
    end
  end)
  local _, _, port = server:localname()
  return math.tointeger(port), server
end

describe("run", function()
  it("calls a function in a coroutine of cqueues, and returns its results", run(function()
    local function fn(...)
      local controller, direct = cqueues.running()
      assert.equal("controller", cqueues.type(controller))
      assert.is_true(direct)
      cqueues.sleep(0.001)
      return select("#", ...), ...
    end
    assert.same(table.pack(3, nil, "x", nil), table.pack(bridge.run(fn, nil, "x", nil)))
    assert.same(table.pack(), table.pack(bridge.run(function() end)))
    assert.equal("called", bridge.run(setmetatable({}, { __call = function()
      return "called"
    end })))
    assert.is_nil((cqueues.running()))
  end))

  it("calls it as it is inside a coroutine of cqueues", run(function()
    bridge.run(function()
      local outer = cqueues.running()
      assert.equal(outer, (bridge.run(cqueues.running)))
    end)
  end))

  it("refuses what cannot be called, and to run outside of a kernel", run(function()
    fails("curio.interop.cqueues.run: expected a function, got number",
      bridge.run, 5)
    local out = helper.child [[print(pcall(require("curio.interop.cqueues").await, 5))]]
    assert.matches("expected a function, got number", out)
    if not helper.under_program then
      out = helper.child [[print(pcall(require("curio.interop.cqueues").run, print))]]
      assert.matches("no curio kernel is running", out)
    end
  end))

  it("waits for the coroutines that were started meanwhile", run(function()
    local log = {}
    bridge.run(function()
      local controller, returned = cqueues.running(), false
      controller:wrap(function()
        while not returned do
          cqueues.sleep(0)
        end
        log[#log + 1] = "first"
        controller:wrap(function()
          cqueues.sleep(0.001)
          log[#log + 1] = "second"
        end)
      end)
      log[#log + 1] = "returned"
      returned = true
    end)
    assert.same({ "returned", "first", "second" }, log)
  end))

  it("lets other tasks run while it waits, and while it is busy", run(function()
    local ticks, _ <close> = ticker()
    bridge.run(function()
      local seen = ticks.n
      cqueues.sleep(0.005)
      assert.is_true(ticks.n > seen)
      for _ = 1, 100 do -- always ready
        cqueues.poll(0)
      end
      assert.is_true(ticks.n >= seen + 100)
    end)
  end))

  it("is done by many tasks at once", run(function()
    local controller = cqueues.new()
    local port, server = echo_server(controller)
    local serving = curio.spawn(bridge.loop, controller)
    local group <close> = curio.TaskGroup()
    for i = 1, 20 do
      group:spawn(bridge.run, function()
        local sock = cqsocket.connect("127.0.0.1", port)
        sock:setmode("b", "bn")
        for j = 1, 10 do
          local text = ("%d.%d;"):format(i, j)
          assert(sock:write(text))
          assert.equal(text, sock:read(#text))
        end
        sock:close()
        return i
      end)
    end
    group:join()
    for i, result in ipairs(group.results) do
      assert.equal(i, result)
    end
    bridge.close(controller)
    server:close()
    assert.is_nil((serving:join()))
  end))

  it("raises the error of the function: the same, a string with the traceback", run(function()
    local mine = setmetatable({}, {})
    local ok, err = pcall(bridge.run, error, mine)
    assert.is_false(ok)
    assert.equal(mine, err)
    ok, err = pcall(bridge.run, function()
      cqueues.sleep(0)
      error "mine"
    end)
    assert.is_false(ok)
    assert.matches("^%S*interop_cqueues_spec.lua:%d+: mine\nstack traceback:\n", err)
    err = raises(curio.CurioError, bridge.run, function()
      error(curio.CurioError "mine")
    end)
    assert.matches("interop_cqueues_spec.lua", err.traceback)
    assert.is_false((pcall(bridge.run, error)))
  end))

  it("raises the error of another coroutine, and ends the rest", run(function()
    local ended
    local ok, err = pcall(bridge.run, function()
      local _ <close> = on_close(function(_)
        ended = true
      end)
      cqueues.running():wrap(function()
        cqueues.sleep(0)
        error "another's"
      end)
      forever()
    end)
    assert.is_false(ok)
    assert.matches("another's\nstack traceback:", err)
    assert.is_true(ended)
  end))

  it("closes a coroutine that fails, whose handlers cannot poll any more", run(function()
    local polled, why
    fails("mine", bridge.run, function()
      cqueues.running():wrap(function()
        local _ <close> = on_close(function()
          polled, why = pcall(forever)
        end)
        error("mine", 0)
      end)
      forever()
    end)
    assert.is_false(polled)
    assert.matches("yield", why)
  end))

  it("names who blocks as tasks do, and a yield to nobody", run(function()
    fails("curio.sleep: cannot block in a coroutine that was not resumed by",
      bridge.run, curio.sleep, 1)
    fails("curio.interop.cqueues.run: a coroutine of cqueues has yielded to nobody",
      bridge.run, coroutine.yield, 1)
  end))

  it("does not wait by a virtual clock", function()
    local err = select(2, pcall(curio.run, {
      bridge.run, cqueues.sleep, 1, clock = testing.autojump(),
    }))
    assert.matches("run: the loop's timers go by the real clock, the kernel's is virtual", err)
  end)

  it("that cannot wait leaves nothing either", function()
    local lowest = helper.lowest_fd()
    pcall(curio.run, { bridge.run, function()
      cqsocket.pair()
      local _ <close> = on_close(forever)
      forever()
    end, clock = testing.autojump() })
    assert.equal(lowest, helper.lowest_fd())
  end)

  it("has generators inside, and yields to them", run(function()
    local list = bridge.run(function()
      local list = {}
      for i in coroutine.wrap(function()
        for i = 1, 3 do
          coroutine.yield(i)
        end
      end) do
        cqueues.sleep(0)
        list[i] = i
      end
      return list
    end)
    assert.same({ 1, 2, 3 }, list)
  end))

  it("is stepped from inside a generator", run(function()
    local generate = coroutine.wrap(function()
      coroutine.yield(bridge.run(function()
        cqueues.sleep(0.001)
        return "x"
      end))
    end)
    assert.equal("x", generate())
  end))
end)

describe("run that is ended", function()
  it("by a timeout or a cancellation raises it", run(function()
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, bridge.run, forever)
    local task = helper.spawn(bridge.run, forever)
    assert.equal("READ_WAIT", task.state)
    task:cancel()
    raises(curio.TaskError, task.join, task)
    helper.is_cancellation_point(bridge.run, function() end)
  end))

  it("raises in each coroutine where it sleeps; clean-up may poll", run(function()
    local log = {}
    local function sleeper(name)
      local _ <close> = on_close(function(_)
        local polled = pcall(cqueues.sleep, 0.001)
        log[#log + 1] = ("%s polls in __close: %s"):format(name, polled)
      end)
      local ok, err = pcall(forever)
      cqueues.sleep(0.001)
      log[#log + 1] = ("%s: %s %s"):format(name, ok, err.name)
      error(err, 0)
    end
    local task = helper.spawn(bridge.run, function()
      cqueues.running():wrap(sleeper, "other")
      sleeper "main"
    end)
    task:cancel()
    table.sort(log)
    assert.same({
      "main polls in __close: true", "main: false TaskCancelled",
      "other polls in __close: false", "other: false TaskCancelled",
    }, log)
  end))

  it("never starts what has not started", run(function()
    local started = false
    pcall(bridge.run, function()
      cqueues.running():wrap(function()
        started = true
      end)
      error "at once"
    end)
    assert.is_false(started)
  end))

  it("gives up on coroutines that do not end", run(function()
    local closed
    local task = helper.spawn(bridge.run, function()
      local _ <close> = on_close(function()
        closed = true
      end)
      while true do
        pcall(forever)
      end
    end)
    task:cancel()
    assert.is_true(closed)
  end))

  it("puts back the hook that a coroutine had", run(function()
    local lines, hook = 0, nil
    local task = helper.spawn(bridge.run, function()
      debug.sethook(function()
        lines = lines + 1
      end, "l")
      local _ <close> = on_close(function()
        hook = debug.gethook()
        debug.sethook()
      end)
      forever()
    end)
    task:cancel()
    assert.is_function(hook)
    local before = lines
    hook()
    assert.equal(before + 1, lines)
  end))

  it("closes the sockets and controllers made in it, at once", run(function()
    local before = helper.lowest_fd()
    local listener = cqsocket.listen("127.0.0.1", 0)
    listener:listen()
    local _, _, port = listener:localname()
    local kept = cqsocket.connect("127.0.0.1", math.tointeger(port))
    collectgarbage "stop"
    local _ <close> = on_close(function()
      collectgarbage "restart"
    end)
    local inside = helper.lowest_fd()
    local made = {}
    local task = helper.spawn(bridge.run, function()
      made[1] = cqsocket.connect("127.0.0.1", math.tointeger(port))
      made[2] = listener:accept()
      made[3], made[4] = cqsocket.pair()
      local inner = cqueues.new()
      inner:wrap(forever)
      made[5] = inner
      inner:loop()
    end)
    assert.is_true(helper.lowest_fd() > inside + 5)
    task:cancel()
    assert.equal(inside, helper.lowest_fd())
    for i = 1, 4 do
      assert.equal("closed socket", cqsocket.type(made[i]))
    end
    assert.equal("closed controller", cqueues.type(made[5]))
    assert.equal("socket", cqsocket.type(kept))
    assert.is_true(inside > before)
    kept:close()
    listener:close()
  end))

  it("well leaves open what was made in it", run(function()
    local a, b = bridge.run(cqsocket.pair)
    a:write "x\n"
    a:flush()
    assert.equal("x", bridge.run(b.read, b))
    a:close()
    b:close()
  end))

  it("leaves no descriptor, however it ends", run(function()
    local function each()
      bridge.run(cqueues.sleep, 0.0001)
      pcall(bridge.run, error, "mine")
      curio.ignore_after(0.0001, bridge.run, forever)
    end
    each()
    local lowest = helper.lowest_fd()
    for _ = 1, 20 do
      each()
    end
    assert.equal(lowest, helper.lowest_fd())
  end))

  it("by the end of the kernel is ended well", function()
    local closed
    curio.run(function()
      curio.spawn { bridge.run, function()
        local _ <close> = on_close(function()
          cqueues.sleep(0)
          closed = true
        end)
        forever()
      end, daemon = true }
      curio.sleep(0)
      curio.sleep(0.001)
    end)
    assert.is_true(closed)
  end)
end)

describe("loop", function()
  it("steps a controller until it is empty", run(function()
    local controller = cqueues.new()
    local n = 0
    for i = 1, 3 do
      controller:wrap(function()
        cqueues.sleep(i / 1000)
        n = n + 1
      end)
    end
    assert.is_true(bridge.loop(controller))
    assert.equal(3, n)
    assert.is_true(bridge.loop(controller))
    controller:close()
  end))

  it("goes on after an error, and after a cancellation", run(function()
    local controller = cqueues.new()
    local done
    controller:wrap(function()
      cqueues.sleep(0.005)
      done = true
    end)
    controller:wrap(error, "mine")
    fails("mine\nstack traceback:", bridge.loop, controller)
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, bridge.loop, controller)
    assert.is_nil(done)
    assert.is_true(bridge.loop(controller))
    assert.is_true(done)
    controller:close()
  end))

  it("takes work from tasks while it waits", run(function()
    local controller = cqueues.new()
    local cond, seen = condition.new(), nil
    controller:wrap(function()
      cond:wait()
      seen = "signalled"
    end)
    local task = helper.spawn(bridge.loop, controller)
    assert.equal("READ_WAIT", task.state)
    controller:wrap(cond.signal, cond)
    assert.is_true(task:join())
    assert.equal("signalled", seen)
    controller:close()
  end))

  it("is refused to a second task", run(function()
    local controller = cqueues.new()
    controller:wrap(forever)
    local task = helper.spawn(bridge.loop, controller)
    raises(curio.ReadResourceBusy, bridge.loop, controller)
    task:cancel()
    bridge.close(controller)
  end))

  it("gives nil and a ClosedError when the controller is closed meanwhile", run(function()
    local controller, closed = cqueues.new(), nil
    controller:wrap(function()
      local _ <close> = on_close(function()
        closed = true
      end)
      forever()
    end)
    local task = helper.spawn(bridge.loop, controller)
    bridge.close(controller)
    local value, err = task:join()
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ClosedError))
    assert.is_true(closed)
    assert.equal("closed controller", cqueues.type(controller))
    bridge.close(controller)
  end))

  it("refuses what is no controller", run(function()
    for _, verb in ipairs { "loop", "close" } do
      fails("curio.interop.cqueues." .. verb .. ": expected a controller of cqueues, got number",
        bridge[verb], 5)
    end
    local controller = cqueues.new()
    controller:close()
    fails(".*got closed controller", bridge.loop, controller)
  end))

  it("can be interrupted", run(function()
    local controller = cqueues.new()
    controller:wrap(forever)
    helper.can_be_interrupted("READ_WAIT", bridge.loop, controller)
    bridge.close(controller)
  end))
end)

describe("await", function()
  it("has a task do what blocks, while other coroutines go on", run(function()
    local queue, log = curio.Queue(), {}
    local first, second = bridge.run(function()
      cqueues.running():wrap(function()
        log[#log + 1] = "goes on"
        bridge.await(queue.put, queue, "item")
      end)
      local item = bridge.await(queue.get, queue)
      log[#log + 1] = item
      return bridge.await(function(...)
        curio.sleep(0)
        return ...
      end, nil, "x")
    end)
    assert.same({ "goes on", "item" }, log)
    assert.is_nil(first)
    assert.equal("x", second)
  end))

  it("calls the function as it is in a task", run(function()
    assert.equal(curio.current_task(), bridge.await(curio.current_task))
  end))

  it("raises what the function raises", run(function()
    local mine = {}
    local ok, err = pcall(bridge.run, bridge.await, error, mine)
    assert.is_false(ok)
    assert.equal(mine, err)
    raises(curio.TaskTimeout, bridge.run, bridge.await, curio.timeout_after, 0, curio.sleep, 1)
    err = raises(curio.TaskError, bridge.run, bridge.await, function()
      curio.current_task():cancel { blocking = false }
      curio.sleep(1)
    end)
    assert.is_true(curio.is(err.cause, curio.TaskCancelled))
  end))

  it("cancels its task when the coroutine is ended, and waits for that", run(function()
    local log = {}
    local task = helper.spawn(bridge.run, bridge.await, function()
      local _ <close> = on_close(function()
        curio.disable_cancellation(curio.sleep, 0)
        log[#log + 1] = "job ended"
      end)
      curio.sleep(helper.LONG)
    end)
    task:cancel()
    assert.same({ "job ended" }, log)
  end))

  it("tells that the controller is not run by the bridge", run(function()
    local controller, err = cqueues.new(), nil
    controller:wrap(function()
      err = select(2, pcall(bridge.await, curio.sleep, 0))
    end)
    controller:step(0)
    assert.matches("this controller is not run by curio.interop.cqueues", err)
    controller:close()
  end))
end)

describe("the wait for a foreign loop", function()
  local wait = require("curio.core").interop.wait

  it("ends when the descriptor is ready or the time is up", run(function()
    local a, b, _ <close> = sockets.pair()
    assert.is_true(wait(a:fileno(), 0.001))
    b:send "x"
    assert.is_true(wait(a:fileno(), helper.LONG))
    assert.is_true(wait(a:fileno()))
    traps.io_release(a:fileno())
  end))

  it("heeds its own time where cancellation is held back", run(function()
    local a, _, _ <close> = sockets.pair()
    curio.disable_cancellation(wait, a:fileno(), 0.001)
    traps.io_release(a:fileno())
  end))

  it("is interrupted, and refused for what is no descriptor", run(function()
    local a, _, _ <close> = sockets.pair()
    helper.can_be_interrupted("READ_WAIT", wait, a:fileno())
    traps.io_release(a:fileno())
    local value, err = wait(9999)
    assert.is_nil(value)
    assert.equal("EBADF", err.code)
  end))
end)
