-- curio.run and curio.Kernel: results, errors, shutdown.

local curio = require "curio"
local helper = require "spec.helper"

local closing = helper.closing
local logged = helper.logged
local child = helper.child
local under_program = helper.under_program

-- A kernel in a process of its own may be made under the program too.
local function kernel_script(text)
  return child("local curio = require 'curio'\nlocal log = {}\n" .. text)
end

local function with_kernel(name, text, expected)
  it(name, function()
    if under_program then
      return pending("a kernel runs already under the program")
    end
    assert.equal(expected .. "status 0\n", kernel_script(text))
  end)
end

describe("curio.run", function()
  it("gives all results, nil too", function()
    assert.same({ n = 0 }, table.pack(curio.run(function() end)))
    assert.same({ nil, n = 1 }, table.pack(curio.run(function()
      return nil
    end)))
    assert.same({ 1, nil, "x", nil, n = 4 }, table.pack(curio.run(function(...)
      curio.sleep(0)
      return ...
    end, 1, nil, "x", nil)))
    assert.same({ false, n = 1 }, table.pack(curio.run { function(...)
      return ...
    end, false }))
    assert.equal(10000, select("#", curio.run(table.unpack, {}, 1, 10000)))
  end)

  it("gives a table back as itself", function()
    local t = setmetatable({ n = 7 }, {})
    assert.equal(t, (curio.run(function()
      return t
    end)))
  end)

  it("runs anything that can be called", function()
    local callable = setmetatable({}, { __call = function(_, x)
      curio.sleep(0)
      return x
    end })
    assert.equal(5, (curio.run(callable, 5)))
    assert.equal(5, (curio.run { callable, 5 }))
    assert.equal("number", (curio.run(type, 5)))
  end)

  it("raises an error object as the same object", function()
    for _, err in ipairs { { "plain" }, curio.OSError { message = "x" }, print, 42, true } do
      local ok, got = pcall(curio.run, function()
        curio.sleep(0)
        error(err)
      end)
      assert.is_false(ok)
      assert.is_true(rawequal(err, got))
      assert.equal(math.type(err), math.type(got))
    end
  end)

  it("raises nil and false as they are", function()
    assert.same({ false, nil, n = 2 }, table.pack(pcall(curio.run, error)))
    assert.same({ false, nil, n = 2 }, table.pack(pcall(curio.run, function()
      curio.sleep(0)
      error(nil)
    end)))
    assert.same({ false, false, n = 2 }, table.pack(pcall(curio.run, error, false)))
  end)

  it("adds a traceback to a string", function()
    local function thrower()
      error("the message")
    end
    local ok, err = pcall(curio.run, function()
      curio.sleep(0)
      thrower()
      return 1
    end)
    assert.is_false(ok)
    assert.matches("^[^\n]*kernel_spec.lua:%d+: the message\nstack traceback:\n", err)
    assert.matches("thrower", err)
  end)

  it("gives an error object of curio's a traceback, and leaves its line alone", function()
    local ok, err = pcall(curio.run, function()
      error(curio.CurioError "one line")
    end)
    assert.is_false(ok)
    assert.equal("CurioError: one line", tostring(err))
    assert.matches("^stack traceback:", err.traceback)
  end)

  it("returns when the main task ends, and cancels the others newest first", function()
    local log = {}
    curio.run(function()
      for i = 1, 4 do
        curio.spawn { function()
          local ok, err = pcall(curio.sleep, 100)
          log[#log + 1] = i
          assert(not ok and curio.is(err, curio.TaskCancelled))
          error(err)
        end, daemon = i % 2 == 0 }
      end
      curio.schedule()
      log[#log + 1] = "main ends"
    end)
    assert.same({ "main ends", 4, 3, 2, 1 }, log)
  end)

  it("shuts down also after an error, before it raises", function()
    local log = {}
    local ok, err = pcall(curio.run, function()
      curio.spawn(function()
        local _ <close> = closing(function()
          curio.disable_cancellation(curio.sleep, 0.001)
          log[#log + 1] = "closed"
        end)
        curio.sleep(100)
      end)
      curio.schedule()
      error({ "x" })
    end)
    assert.is_false(ok)
    assert.same({ "x" }, err)
    assert.same({ "closed" }, log)
  end)

  it("never starts a task that had not begun", function()
    local log = {}
    curio.run(function()
      curio.spawn(function()
        log[#log + 1] = "started"
      end)
    end)
    assert.same({}, log)
  end)

  it("waits for tasks that clean-up code spawns", function()
    local log = {}
    curio.run(function()
      curio.spawn(function()
        local _ <close> = closing(function()
          curio.disable_cancellation(function()
            curio.spawn(function()
              curio.schedule()
              log[#log + 1] = "helper"
              return 1
            end):join()
          end)
          log[#log + 1] = "closed"
        end)
        curio.sleep(100)
      end)
      curio.schedule()
    end)
    assert.same({ "helper", "closed" }, log)
  end)

  it("ends tasks that clean-up code leaves behind", function()
    local log = {}
    curio.run(function()
      curio.spawn(function()
        local _ <close> = closing(function()
          curio.spawn(function()
            local _ <close> = closing(function()
              log[#log + 1] = "left behind"
            end)
            curio.sleep(100)
          end)
          curio.disable_cancellation(curio.sleep, 0.001)
        end)
        curio.sleep(100)
      end)
      curio.schedule()
    end)
    assert.same({ "left behind" }, log)
  end)

  it("ends tasks that do not listen", function()
    curio.run(function()
      curio.spawn(function()
        while true do
          pcall(curio.sleep, 10)
        end
      end)
      curio.spawn(function()
        while true do
          pcall(function()
            local _ <close> = closing(function()
              error("masks the cancellation")
            end)
            curio.sleep(10)
          end)
        end
      end)
      curio.schedule()
    end)
  end)

  it("raises where a kernel runs, and says so", function()
    curio.run(function()
      curio.spawn(function()
        local ok, message = pcall(curio.run, print)
        assert.is_false(ok)
        assert.matches("curio%.run: .*kernel is running", message)
        ok, message = pcall(coroutine.wrap(curio.run), print)
        assert.is_false(ok)
        assert.matches("curio%.run: .*kernel is running", message)
      end):join()
    end)
  end)

  it("can be called again and again", function()
    for i = 1, 50 do
      assert.equal(i, (curio.run(function()
        curio.spawn(curio.sleep, 100)
        curio.sleep(0)
        return i
      end)))
    end
  end)

  it("can be called in a coroutine that no task runs", function()
    if under_program then
      return pending("everything is a task under the program")
    end
    assert.equal(3, coroutine.wrap(function()
      return curio.run(function()
        curio.sleep(0)
        return 3
      end)
    end)())
  end)

  it("reports the crash of a task that nobody waits for, at once, and goes on", function()
    local lines = logged(function(lines)
      curio.run(function()
        curio.spawn { error, "boom", 0, name = "crasher" }
        curio.schedule()
        assert.equal(1, #lines)
      end)
    end)
    assert.equal(1, #lines)
    assert.matches("^error: .*crasher.*boom", lines[1])
    assert.matches("stack traceback", lines[1])
    assert.matches("kernel_spec.lua:%d+", lines[1])
  end)

  it("reports crashes with odd errors too", function()
    local lines = logged(function()
      curio.run(function()
        for _, err in ipairs { 42, false, {}, setmetatable({}, { __tostring = function()
          error("tostring fails")
        end }) } do
          curio.spawn(error, err)
        end
        curio.spawn(error)
        curio.schedule()
        curio.schedule()
      end)
    end)
    assert.equal(5, #lines)
  end)

  it("survives a curio.log that fails or blocks", function()
    local log = curio.log
    local calls = 0
    curio.log = function()
      calls = calls + 1
      if calls == 1 then
        error({})
      end
      curio.sleep(0)
    end
    local ok, result = pcall(curio.run, function()
      curio.spawn(error, "x")
      curio.spawn(error, "y")
      curio.schedule()
      curio.schedule()
      return "done"
    end)
    curio.log = log
    assert.same({ true, "done" }, { ok, result })
    assert.equal(2, calls)
  end)

  it("takes a log for the time of the run", function()
    local lines = {}
    local before = curio.log
    curio.run { function()
      curio.spawn(error, "boom", 0)
      curio.schedule()
    end, log = function(level, message)
      lines[#lines + 1] = level .. " " .. message
    end }
    assert.equal(before, curio.log)
    assert.equal(1, #lines)
    assert.matches("^error .*boom", lines[1])
  end)
end)

describe("curio.Kernel", function()
  with_kernel("runs one function after the other, while the others live on", [[
    local k <close> = curio.Kernel()
    local n = 0
    local task
    print(k:run(function(a, b)
      task = curio.spawn(function()
        for _ = 1, 3 do
          n = n + 1
          curio.schedule()
        end
        return "slept"
      end)
      return a, b
    end, 1, nil))
    print(n, task.terminated)
    print(k:run { function()
      return task:join()
    end })
    print(n)
  ]], "1\tnil\n0\tfalse\nslept\n3\n")

  with_kernel("goes on after an error", [[
    local k = curio.Kernel()
    local err = {}
    print(select(2, pcall(k.run, k, error, err)) == err)
    print((select(2, pcall(k.run, k, error, "text", 0)):gsub("\n.*", "")))
    print(k:run(function() curio.sleep(0) return "fine" end))
    k:shutdown()
    k:shutdown()
    print((select(2, pcall(k.run, k, print)):match("shut down")))
    print((select(2, pcall(k.run, k)):match("shut down")))
  ]], "true\ntext\nfine\nshut down\nshut down\n")

  with_kernel("run() runs one cycle and returns", [[
    local k <close> = curio.Kernel()
    local n = 0
    k:run(function()
      curio.spawn(function() while true do n = n + 1 curio.schedule() end end)
      curio.spawn(curio.sleep, 100)
    end)
    print(n)
    for _ = 1, 5 do
      local before = n
      k:run()
      print(n > before)
    end
  ]], "0\ntrue\ntrue\ntrue\ntrue\ntrue\n")

  with_kernel("run() of a kernel without tasks returns", [[
    local k <close> = curio.Kernel()
    print(select("#", k:run()))
  ]], "0\n")

  with_kernel("run{shutdown=true} shuts down afterwards", [[
    local k = curio.Kernel()
    print(k:run { function()
      curio.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() print "closed" end })
        curio.sleep(100)
      end)
      curio.schedule()
      return "result"
    end, shutdown = true })
    print((pcall(k.run, k, print)))
    local other = curio.Kernel()
    other:run { shutdown = true }
    print((pcall(other.run, other, print)))
  ]], "closed\nresult\nfalse\nfalse\n")

  with_kernel("shuts down when it is closed, also by an error", [[
    print(pcall(function()
      local k <close> = curio.Kernel()
      k:run(function()
        curio.spawn(function()
          local _ <close> = setmetatable({}, { __close = function() print "closed" end })
          curio.sleep(100)
        end)
        curio.schedule()
      end)
      error("x", 0)
    end))
  ]], "closed\nfalse\tx\n")

  with_kernel("refuses to run inside another one", [[
    local a, b = curio.Kernel(), curio.Kernel()
    a:run(function()
      print((select(2, pcall(b.run, b, print)):match("kernel:run: a kernel is running")))
      print((select(2, pcall(a.run, a, print)):match("kernel:run: a kernel is running")))
      print((select(2, pcall(a.run, a)):match("kernel:run: a kernel is running")))
      print((select(2, pcall(a.shutdown, a)):match("kernel:shutdown: a kernel is running")))
      print((select(2, pcall(curio.run, print)):match("curio.run: a kernel is running")))
      curio.sleep(0)
    end)
    b:run(function() curio.sleep(0) print "b" end)
    a:shutdown()
    b:shutdown()
  ]], ("kernel:run: a kernel is running\n"):rep(3) .. "kernel:shutdown: a kernel is running\n"
    .. "curio.run: a kernel is running\nb\n")

  with_kernel("refuses the tasks of another kernel, and says so", [[
    local k, other = curio.Kernel(), curio.Kernel()
    local task
    k:run(function()
      task = curio.spawn(curio.sleep, 100)
      curio.schedule()
    end)
    other:run(function()
      local group = curio.TaskGroup()
      for name, call in pairs {
        join = task.join, wait = task.wait, cancel = task.cancel,
        add_task = function(t) group:add_task(t) group:join() end,
      } do
        local ok, message = pcall(curio.timeout_after, 0.05, call, task)
        if ok or not tostring(message):match("another kernel") then
          print(name, ok, message)
        end
      end
    end)
    other:shutdown()
    k:shutdown()
  ]], "")

  with_kernel("leaves tasks behind that can be asked, when it is collected", [[
    curio.log = function() end
    local task
    do
      local k = curio.Kernel()
      k:run(function()
        task = curio.spawn(curio.sleep, 100)
        curio.spawn(function()
          local group <close> = curio.TaskGroup()
          group:spawn(curio.sleep, 100)
          curio.timeout_after(50, curio.disable_cancellation, curio.sleep, 10)
        end)
        curio.schedule()
        curio.schedule()
      end)
    end
    for _ = 1, 5 do collectgarbage() end
    for _ = 1, 100 do local _ = ("x"):rep(100) .. _ end
    print(type(task.id), type(task.state), type(tostring(task)), type(task:traceback()))
    task:where()
    pcall(curio.run, function()
      task:cancel { blocking = false }
    end)
  ]], "number\tstring\tstring\tstring\n")

  with_kernel("leaves no sleeper behind in an event, a queue or a lock, when it is collected", [[
    curio.log = function() end
    local event, queue, lock = curio.Event(), curio.Queue(), curio.Lock()
    curio.Kernel():run(function()
      curio.spawn(event.wait, event)
      curio.spawn(queue.get, queue)
      curio.spawn(function() lock:acquire() lock:acquire() end)
      curio.schedule()
      curio.schedule()
    end)
    for _ = 1, 5 do collectgarbage() end
    for i = 1, 1000 do local _ = ("x"):rep(i) end
    curio.run(function()
      event:set()
      queue:put(1)
      print((curio.ignore_after(0.1, queue.get, queue)))
    end)
  ]], "1\n")

  with_kernel("leaves no waiter behind at another kernel's task, when it is collected", [[
    curio.log = function() end
    local k = curio.Kernel()
    local task
    k:run(function()
      task = curio.spawn(curio.sleep, 0.005)
      curio.schedule()
    end)
    curio.Kernel():run(function()
      curio.spawn(task.wait, task)
      curio.schedule()
      curio.schedule()
    end)
    for _ = 1, 5 do collectgarbage() end
    for i = 1, 1000 do local _ = ("x"):rep(i) end
    k:run(function() task:join() end)
    k:shutdown()
    print "joined"
  ]], "joined\n")

  with_kernel("is named in a warning when it is dropped with tasks", [[
    curio.log = function(level, message) print(level, (message:match("never shut down"))) end
    curio.Kernel():run(function()
      curio.spawn(curio.sleep, 100)
    end)
    collectgarbage()
    collectgarbage()
  ]], "warning\tnever shut down\n")

  with_kernel("can be left by os.exit in a task, with the state closed", [[
    curio.log = function() end
    curio.run(function()
      curio.spawn(function()
        local group <close> = curio.TaskGroup()
        group:spawn(curio.sleep, 100)
        curio.sleep(100)
      end)
      curio.spawn(curio.timeout_after, 100, curio.disable_cancellation, curio.sleep, 100)
      curio.schedule()
      curio.schedule()
      local _ <close> = curio.timeout_after(100)
      coroutine.wrap(function() os.exit(0, true) end)()
    end)
  ]], "")

  with_kernel("wakes tasks that sleep in coroutines in later runs", [[
    local k <close> = curio.Kernel()
    local task
    k:run(function()
      task = curio.spawn(coroutine.wrap(function()
        return coroutine.wrap(function()
          curio.sleep(0.001)
          return "woken"
        end)()
      end))
      curio.schedule()
    end)
    coroutine.wrap(function()
      k:run(function() print(task:join()) end)
    end)()
  ]], "woken\n")
end)
