-- libuv's loop, run by tasks: waiting for callbacks, running the loop beside other tasks, and that
-- nothing is lost: neither what callbacks raise nor the wheel of the loop.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local testing = require "curio.testing"
local luv = require "curio.interop.luv"

local uv = luv.uv
local run, raises, PATIENCE = sockets.run, helper.raises, helper.LONG * 1000

-- A timer that goes off in so many milliseconds, and what closes it.
local function timer(ms, callback)
  local handle = uv.new_timer()
  handle:start(ms, 0, callback or function() end)
  return handle, helper.closing(function()
    if not handle:is_closing() then
      curio.disable_cancellation(luv.await, handle.close, handle)
    end
  end)
end

-- Waits for the callback of a timer.
local function pass(ms)
  local handle, _ <close> = timer(PATIENCE)
  return luv.await(handle.start, handle, ms, 0)
end

-- A call that answers when it is told to.
local function held()
  local call = {}
  function call.begin(callback)
    call.answer = callback
  end
  return call
end

describe("luv.await", function()
  it("gives what the callback is given", run(function()
    assert.equal("directory", luv.await(uv.fs_stat, "spec").type)
    assert.equal(0, select("#", pass(1)))
    local call = held()
    local task = helper.spawn(luv.await, call.begin)
    assert.equal("LUV_WAIT", task.state)
    call.answer(nil, 1, nil, nil)
    assert.same({ 1, n = 3 }, table.pack(task:join()))
    assert.is_nil(call.answer(nil, 2)) -- once is enough
  end))

  it("gives numbers in front as they are, where a callback has no error", run(function()
    local child
    local code, signal = luv.await(function(exited)
      child = assert(uv.spawn("sh", { args = { "-c", "exit 3" } }, exited))
    end)
    child:close()
    assert.same({ 3, 0 }, { code, signal })
  end))

  it("gives nil and an OSError for the error of a callback, and of the call", run(function()
    local stat, err = luv.await(uv.fs_stat, "/no/such/file")
    assert.is_nil(stat)
    assert.is_true(curio.is(err, curio.OSError))
    assert.same({ "ENOENT", 2 }, { err.code, err.errno })
    assert.equal("OSError: ENOENT: no such file or directory: /no/such/file", tostring(err))
    local _, again = luv.await(function()
      return nil, "EINVAL: invalid argument", "EINVAL"
    end)
    assert.equal("EINVAL", again.code)
    local tcp = uv.new_tcp()
    local _, refused = luv.await(tcp.connect, tcp, "127.0.0.1", 1)
    assert.equal("ECONNREFUSED", refused.code)
    tcp:close()
    luv.run()
  end))

  it("takes an answer that comes before the call has returned", run(function()
    assert.equal("now", luv.await(function(callback)
      callback(nil, "now")
    end))
  end))

  it("is called with an error of the caller's", run(function()
    assert.error_matches(function()
      luv.await { uv.fs_stat, ".", patience = 1 }
    end, "luv.await: unknown option 'patience' %(known: late%)")
    assert.error_matches(function()
      luv.await(uv.fs_statt, ".")
    end, "luv.await: expected a function of luv's, got nil")
    assert.error(function()
      luv.await(uv.fs_stat)
    end)
    assert.is_false(luv.run())
  end))

  it("is raised in by time and by cancellation", run(function()
    local call = held()
    helper.can_be_interrupted("LUV_WAIT", luv.await, call.begin)
    call.answer(nil, "late")
    helper.is_cancellation_point(luv.await, call.begin)
    helper.can_be_interrupted("LUV_WAIT", pass, PATIENCE)
  end))

  it("gives what comes late to whom it was told", run(function()
    local call, got = held(), nil
    local task = helper.spawn(luv.await, {
      call.begin,
      late = function(...)
        got = { ... }
      end,
    })
    task:cancel()
    call.answer("EIO", 5)
    assert.same({ "EIO", 5 }, got)
  end))

  it("of many is each its own", run(function()
    local group = curio.TaskGroup()
    for i = 1, 20 do
      group:spawn(function()
        pass(20 - i)
        return i, assert(luv.await(uv.fs_stat, "spec"))
      end)
    end
    group:join()
    for i = 1, 20 do
      assert.equal(i, group.results[i])
    end
  end))

  it("goes on in the others when the task that drove the loop has gone", run(function()
    local one, two = helper.spawn(pass, PATIENCE), helper.spawn(pass, 20)
    one:cancel()
    two:join()
    local three = helper.spawn(pass, PATIENCE)
    two = helper.spawn(pass, 20)
    raises(curio.TaskTimeout, curio.timeout_after, 0.001, pass, PATIENCE)
    three:cancel()
    two:join()
  end))

  it("blocks, and says so where nothing can", function()
    if not helper.under_program then
      assert.error_matches(function()
        luv.await(uv.fs_stat, ".")
      end, "luv.await: no curio kernel is running")
      assert.error_matches(luv.run, "luv.run: no curio kernel is running")
    end
    curio.run(function()
      assert.error_matches(function()
        table.sort({ 1, 2 }, function()
          return luv.await(uv.fs_stat, ".")
        end)
      end, "luv.await: cannot block here")
    end)
  end)

  it("for what can never come is a deadlock", function()
    local call = held()
    raises(curio.Deadlock, curio.run, luv.await, call.begin)
  end)

  it("is not by the virtual clock", function()
    assert.error_matches(function()
      curio.run { pass, 10, clock = testing.autojump() }
    end, "the kernel's is virtual")
    curio.run(luv.run) -- closes the timer
  end)
end)

describe("luv.run", function()
  it("returns when there is nothing to do", run(function()
    assert.is_false(luv.run())
    local log = {}
    for i = 3, 1, -1 do
      local handle
      handle = timer(i * 5, function()
        log[#log + 1] = i
        handle:close()
      end)
    end
    assert.is_false(luv.run())
    assert.same({ 1, 2, 3 }, log)
  end))

  it("lets other tasks run, however busy libuv is", run(function()
    local idle, turns, log = uv.new_idle(), 0, {}
    local ticker = curio.spawn(function()
      for i = 1, 5 do
        curio.sleep(0.001)
        log[i] = turns
      end
      idle:close()
    end)
    idle:start(function()
      turns = turns + 1
    end)
    assert.is_false(luv.run())
    ticker:join()
    for i = 2, 5 do
      assert.is_true(log[i] > log[i - 1])
    end
  end))

  it("is not starved by tasks that never sleep", run(function()
    local done = false
    local spinner = curio.spawn(function()
      while not done do
        curio.sleep(0)
      end
    end)
    pass(5)
    done = true
    spinner:join()
  end))

  it("raises what a callback raises, and can go on", run(function()
    local log, one, two = {}, nil, nil
    one = timer(1, function()
      one:close()
      error "one"
    end)
    two = timer(1, function()
      two:close()
      error { 2 }
    end)
    local lines = helper.logged(function()
      local done, err
      repeat
        done, err = pcall(luv.run)
        log[#log + 1] = type(err) == "table" and err[1] or err
      until done
    end)
    assert.matches("one\nstack traceback:", log[1])
    -- in the same step the second one found nobody to be raised in
    assert.is_true(log[2] == 2 or lines[1]:find("a callback of luv failed", 1, true) ~= nil)
  end))

  it("raises an error in one of those that run the loop, and keeps the others", run(function()
    local handle <const>, _ <close> = timer(PATIENCE)
    local one, two = helper.spawn(luv.run), helper.spawn(luv.run)
    timer(1, function()
      error { "mine" }
    end)
    one:wait()
    assert.same({ "mine" }, one.exception)
    assert.equal("LUV_WAIT", two.state)
    handle:close()
    assert.is_false(two:join())
  end))

  it("ends by luv.stop, and says that there is more", run(function()
    local handle <const>, _ <close> = timer(PATIENCE)
    local one, two = helper.spawn(luv.run), helper.spawn(luv.run)
    assert.same({ "LUV_WAIT", "LUV_WAIT" }, { one.state, two.state })
    luv.stop()
    assert.is_true(one:join())
    assert.is_true(two:join())
    assert.is_true(handle:is_active())
  end))

  it("is raised in by time and by cancellation, and another takes the wheel", run(function()
    local _, _ <close> = timer(PATIENCE)
    helper.can_be_interrupted("LUV_WAIT", luv.run)
    local one, two = helper.spawn(luv.run), helper.spawn(luv.run)
    one:cancel()
    pass(1)
    luv.stop()
    assert.is_true(two:join())
  end))

  it("hears of what other tasks start, stop and close while it sleeps", run(function()
    local handle <const>, _ <close> = timer(PATIENCE)
    local runner, came = helper.spawn(luv.run), curio.Event()
    timer(1, function()
      came:set()
    end)
    came:wait()
    local server = uv.new_tcp()
    server:bind("127.0.0.1", 0)
    server:listen(8, function()
      local client = uv.new_tcp()
      server:accept(client)
      client:close()
    end)
    testing.wait_all_blocked()
    local sock <close> = assert(curio.open_connection("127.0.0.1", server:getsockname().port))
    assert.is_nil(sock:recv(1))
    server:close()
    handle:close()
    luv.stop()
    runner:join()
  end))

  it("ends when another task closes the last handle", run(function()
    local handle = timer(PATIENCE)
    local runner = helper.spawn(luv.run)
    handle:close()
    assert.is_false(runner:join())
    handle = timer(PATIENCE)
    runner = helper.spawn(luv.run)
    handle:unref()
    assert.is_false(runner:join())
    handle:close()
    luv.run()
  end))

  it("keeps libuv's time up to date for the timers of other tasks", run(function()
    local _, _ <close> = timer(PATIENCE)
    local runner = helper.spawn(luv.run)
    local before = uv.now()
    curio.sleep(0.05)
    assert.is_true(uv.now() - before >= 49)
    luv.stop()
    runner:join()
  end))
end)

describe("a callback", function()
  it("may spawn, set and put, and cannot block", run(function()
    local queue, event, log = curio.Queue(), curio.Event(), {}
    local handle
    handle = timer(1, function()
      curio.spawn(function()
        curio.sleep(0.001)
        log[#log + 1] = queue:get()
        event:set()
      end)
      queue:try_put "item"
      handle:close()
      curio.sleep(1)
    end)
    assert.error_matches(luv.run, "curio.sleep: cannot block here")
    event:wait()
    assert.same({ "item" }, log)
    handle = timer(1, function()
      handle:close()
      assert(coroutine.resume(coroutine.create(function()
        curio.sleep(1)
      end)))
    end)
    assert.error_matches(luv.run, "curio.sleep: cannot block")
    handle = timer(1, function()
      handle:close()
      luv.run()
    end)
    assert.error_matches(luv.run, "luv.run: cannot block here")
    luv.run()
  end))

  it("may run coroutines of the program's own", run(function()
    local log = {}
    local thread = coroutine.wrap(function()
      for i = 1, 3 do
        log[i] = coroutine.yield()
      end
    end)
    thread()
    for i = 1, 3 do
      local handle
      handle = timer(i, function()
        thread(i)
        handle:close()
      end)
    end
    luv.run()
    assert.same({ 1, 2, 3 }, log)
  end))

  it("that fails where nobody runs the loop is told to the log", run(function()
    local lines = helper.logged(function()
      local handle
      handle = timer(1, function()
        handle:close()
        error "lost?"
      end)
      pass(20)
    end)
    assert.equal(1, #lines)
    assert.matches("^error: a callback of luv failed: .*lost%?\nstack traceback:", lines[1])
    luv.run()
  end))
end)

it("docs/reference.md and types/ leave no name of the bridge out", function()
  local reference = (helper.read "docs/reference.md" .. "\n## "):match "\n## luv\n(.-)\n## "
  local types = helper.read "types/interop/luv.lua"
  for name in pairs(luv) do
    assert.matches("`luv%." .. name, reference)
    assert.matches("luv%." .. name .. "[ (]", types)
  end
end)
