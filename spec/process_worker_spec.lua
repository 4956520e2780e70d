-- run_in_process: calls in worker processes.

local curio = require "curio"
local helper = require "spec.helper"
local workers = require "curio.workers"

local describe, assert, it = describe, assert, helper.task_it(it)
local raises = helper.raises
_ENV = helper.globals -- see helper.globals: of what goes to a worker

local function pid()
  local stat = io.open "/proc/self/stat"
  return tonumber((stat:read("l"):match "^%d+")), stat:close()
end

-- With n workers at most while the block lasts.
local function at_most(n)
  local before = workers.MAX_WORKER_PROCESSES
  workers.MAX_WORKER_PROCESSES = n
  return helper.closing(function()
    workers.MAX_WORKER_PROCESSES = before
  end)
end

-- Is there such a process, be it a zombie?
local function exists(number)
  local file = io.open(("/proc/%d/stat"):format(number))
  return file ~= nil and file:close()
end

-- And does it still run?
local function runs(number)
  local file = io.open(("/proc/%d/stat"):format(number))
  local state = file and file:read("l"):match "%) (%u)"
  return state and state ~= "Z" and state ~= "X", file and file:close()
end

describe("run_in_process", function()
  it("calls the function in another process and returns all its results", function()
    local own = pid()
    local function compare(me, f, ...)
      return f() == me, ...
    end
    assert.same({ n = 4, false, nil, "x", nil },
      table.pack(curio.run_in_process(compare, own, pid, nil, "x", nil)))
  end)

  it("takes the one-table form", function()
    assert.equal(3, curio.run_in_process { math.tointeger, 3 })
  end)

  it("refuses what cannot be called, and options", function()
    assert.matches("run_in_process", helper.raised(curio.run_in_process, 5))
    assert.matches("unknown option", helper.raised(curio.run_in_process, { print, name = "x" }))
  end)

  it("uses a worker again, which keeps what it has loaded", function()
    local _ <close> = at_most(1)
    local first = curio.run_in_process(pid)
    assert.equal(first, (curio.run_in_process(pid)))
  end)

  it("finds modules where its maker finds them", function()
    assert.equal("table", curio.run_in_process(function()
      return type(require "spec.helper")
    end))
  end)

  it("lets the worker run a kernel", function()
    assert.equal("slept", curio.run_in_process(function()
      return curio.run(function()
        curio.sleep(0)
        return "slept"
      end)
    end))
  end)

  it("runs as many at once as there may be workers, the others in order", function()
    local _ <close> = at_most(2)
    local order = {}
    local group <close> = curio.TaskGroup()
    for i = 1, 6 do
      group:spawn(function()
        local n = curio.run_in_process(math.tointeger, i)
        order[#order + 1] = n
      end)
    end
    group:join()
    table.sort(order)
    assert.same({ 1, 2, 3, 4, 5, 6 }, order)
  end)

  it("carries long messages and sockets", function()
    local long = ("0123456789"):rep(300000)
    assert.equal(long, curio.run_in_process(function(s)
      return s
    end, long))
    local a, b = assert(curio.socket.socketpair())
    local _ <close> = helper.closing(function()
      a:close()
    end)
    local back <close> = curio.run_in_process(function(sock)
      curio.run(function()
        sock:sendall "from another process"
      end)
      return sock
    end, b)
    assert.equal("from another process", a:recv(100))
    assert.is_nil(b:fileno())
    back:sendall "and back"
    assert.equal("and back", a:recv(100))
  end)

  it("is not disturbed by what the worker prints", function()
    assert.equal(1, curio.run_in_process(function()
      io.stdout:setvbuf "no"
      local null = io.open("/dev/null", "w")
      io.output(null)
      io.write "garbage"
      io.output(io.stdout)
      io.stderr:write ""
      return 1
    end))
  end)
end)

describe("run_in_process with a function that fails", function()
  it("raises a string with the traceback of the process", function()
    local err = helper.raised(curio.run_in_process, function()
      error "it broke"
    end)
    assert.matches("process_worker_spec.lua:%d+: it broke\nstack traceback:\n", err)
  end)

  it("raises an object of the same class, which knows the traceback", function()
    local err = raises(curio.errors.OSError, curio.run_in_process, function()
      error(curio.errors.OSError { message = "no", code = "EX" })
    end)
    assert.equal("EX", err.code)
    assert.matches("process_worker_spec.lua:%d+: in function", err.traceback)
  end)

  it("tells in words of an error that cannot be sent, and of results", function()
    local err = raises(curio.errors.CurioError, curio.run_in_process, function()
      error(coroutine.create(print))
    end)
    assert.matches("thread: 0x", err.message)
    err = raises(curio.errors.CurioError, curio.run_in_process, function()
      return 1, coroutine.create(print)
    end)
    assert.matches("results%[2%]: cannot send a coroutine", err.message)
  end)

  it("refuses what cannot be sent, with the path", function()
    local err = raises(curio.errors.CurioError, curio.run_in_process, print, { x = io.stdout })
    assert.matches("args%[1%]%.x: cannot send", err.message)
  end)
end)

describe("a worker that dies", function()
  it("raises WorkerDied with its status, and another takes its place", function()
    local err = raises(curio.errors.WorkerDied, curio.run_in_process, os.exit, 3)
    assert.equal(3, err.status)
    assert.matches("exited with status 3", err.message)
    assert.equal(1, curio.run_in_process(math.tointeger, 1))
  end)

  it("raises WorkerDied with the signal", function()
    local err = raises(curio.errors.WorkerDied, curio.run_in_process, function()
      os.execute "kill -KILL $PPID"
    end)
    assert.equal(9, err.signal)
    assert.matches("killed by signal 9 %(SIGKILL%)", err.message)
  end)

  it("while it is idle is replaced unseen", function()
    local _ <close> = at_most(1)
    local first = curio.run_in_process(pid)
    assert(os.execute(("kill -KILL %d"):format(first)))
    while runs(first) do
      curio.sleep(0.01)
    end
    local second = curio.run_in_process(pid)
    assert.is_true(first ~= second)
  end)

  it("for having sent what is no answer is said to have done so", function()
    local err = raises(curio.errors.WorkerDied, curio.run_in_process, function()
      curio.run(function()
        for fd = 3, 20 do -- one of them is the way back
          local sock = curio.socket.fromfd(fd)
          if sock then
            sock:sendall(("garbage "):rep(100))
          end
        end
        curio.sleep(0.1)
      end)
    end)
    assert.matches("no answer", err.message)
  end)
end)

describe("run_in_process cancelled", function()
  local function spin(source)
    load(source)()
  end

  it("times out, and the worker is ended", function()
    local _ <close> = at_most(1)
    local first = curio.run_in_process(pid)
    raises(curio.errors.TaskTimeout, curio.timeout_after, 0.05, curio.run_in_process, spin,
      "while true do end")
    assert.is_true(curio.run_in_process(pid) ~= first)
  end)

  it("ends a worker that does not care for SIGTERM", function()
    local task = helper.started(curio.run_in_process, function()
      require("curio.signal").ignore(15)
      while true do end
    end)
    curio.sleep(0.05)
    task:cancel()
    assert.equal(1, curio.run_in_process(math.tointeger, 1))
  end)

  it("while it waits for a worker leaves the queue", function()
    local _ <close> = at_most(1)
    local busy = helper.started(curio.run_in_process, spin, "while true do end")
    local waiting = helper.started(curio.run_in_process, pid)
    waiting:cancel()
    local next_one = helper.started(curio.run_in_process, math.tointeger, 1)
    busy:cancel()
    assert.equal(1, next_one:join())
  end)

  it("before it starts moves no socket", function()
    local sock <close> = assert(curio.socket.socket())
    local task = curio.spawn(curio.run_in_process, print, sock)
    task:cancel()
    assert.is_true(sock:fileno() >= 0)
  end)
end)

describe("the end of a kernel", function()
  it("ends its workers, those that idle and those at work", function()
    local idle = curio.run_in_thread(function(pid_of)
      return curio.run(function()
        local first = curio.run_in_process(pid_of)
        curio.spawn(curio.run_in_process, function()
          while true do end
        end)
        curio.sleep(0)
        return first
      end)
    end, pid)
    assert.is_false(exists(idle))
  end)
end)
