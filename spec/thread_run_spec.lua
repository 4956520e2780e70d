-- run_in_thread: calls in the threads of the pool.

local curio = require "curio"
local helper = require "spec.helper"
local workers = require "curio.workers"

local describe, assert, pending, it = describe, assert, pending, helper.task_it(it)
_ENV = helper.globals
local universal = curio.UniversalQueue and it or pending -- that come with the Universal queue
local raises = helper.raises

-- What a thread runs must not refer to a spec's own upvalues: these cannot be sent.
local function add(a, b)
  return a + b
end

-- Blocks its thread until the queue gives something; then gives that back.
local function hold(q)
  return (q:get())
end

describe("run_in_thread", function()
  it("calls the function with the arguments and returns all its results", function()
    assert.equal(3, curio.run_in_thread(add, 1, 2))
    assert.same({ n = 4, 1, nil, "x", nil }, table.pack(curio.run_in_thread(function(...)
      return ...
    end, 1, nil, "x", nil)))
    assert.same({ n = 0 }, table.pack(curio.run_in_thread(function() end)))
  end)

  it("takes the one-table form, and anything that can be called", function()
    assert.equal(3, curio.run_in_thread { add, 1, 2 })
    local callable = setmetatable({ by = 2 }, {
      __call = function(self, x)
        return self.by * x
      end,
    })
    assert.equal(10, curio.run_in_thread(callable, 5))
  end)

  it("refuses what cannot be called, options, and a place without a kernel", function()
    assert.matches("run_in_thread", helper.raised(curio.run_in_thread, 5))
    assert.matches("unknown option 'daemon'",
      helper.raised(curio.run_in_thread, { print, daemon = true }))
  end)

  it("runs in a state of its own: globals and copies are not those of the caller", function()
    local shared = { 1 }
    local changed = curio.run_in_thread(function(t)
      require("string").of_thread = true
      shared[1] = 2
      t[1] = 3
      return t
    end, shared)
    assert.same({ 1 }, shared)
    assert.same({ 3 }, changed)
    assert.is_nil(rawget(string, "of_thread"))
  end)

  it("copies cycles, shared parts and shared upvalues as they are", function()
    local n = 0
    local function count()
      n = n + 1
      return n
    end
    local t = { count = count }
    t.self = t
    local ok = curio.run_in_thread(function(x, f)
      f()
      return x.self == x and x.count == f and x.count() == 2
    end, t, count)
    assert.is_true(ok)
    assert.equal(0, n)
  end)

  it("finds modules where its maker finds them, also when that changes", function()
    assert.equal("table", curio.run_in_thread(function()
      return type(require "spec.helper")
    end))
    local path <const> = package.path
    local _ <close> = helper.closing(function()
      package.path = path
    end)
    package.path = "/nowhere/?.lua"
    assert.equal("/nowhere/?.lua", curio.run_in_thread(function()
      return package.path
    end))
  end)

  it("knows curio in the thread, and its modules by name", function()
    assert.equal("curio.run", curio.run_in_thread(function()
      return curio.run(function()
        curio.sleep(0)
        return "curio.run"
      end)
    end))
  end)

  universal("lets other tasks run meanwhile", function()
    local q = curio.UniversalQueue()
    local task = helper.started(curio.run_in_thread, hold, q)
    assert.is_false(task.terminated)
    q:put "go on"
    assert.equal("go on", task:join())
  end)

  it("uses idle threads again, and keeps what a state has loaded", function()
    for _ = 1, 20 do
      curio.run_in_thread(function()
        local kept = require "string" -- some table of the thread's state
        kept.rounds = (kept.rounds or 0) + 1
      end)
    end
    local rounds = curio.run_in_thread(function()
      return require("string").rounds
    end)
    assert.is_true(rounds > 1)
  end)
end)

describe("run_in_thread with a function that fails", function()
  it("raises a string with the traceback of the thread", function()
    local err = helper.raised(curio.run_in_thread, function()
      error "it broke"
    end)
    assert.matches("^spec/thread_run_spec.lua:%d+: it broke\nstack traceback:\n", err)
    assert.matches("thread_run_spec.lua:%d+: in function", err)
  end)

  it("raises an object of the same class, which knows the traceback", function()
    local err = raises(curio.errors.OSError, curio.run_in_thread, function()
      error(require("curio").errors.OSError { message = "no", code = "EX" })
    end)
    assert.equal("no", err.message)
    assert.equal("EX", err.code)
    assert.matches("thread_run_spec.lua:%d+: in function", err.traceback)
  end)

  it("raises nil and tables as they are", function()
    local ok, err = pcall(curio.run_in_thread, error, { 5 })
    assert.is_false(ok)
    assert.same({ 5 }, err)
    ok, err = pcall(curio.run_in_thread, error)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("tells in words of an error that cannot be sent", function()
    local err = raises(curio.errors.CurioError, curio.run_in_thread, function()
      error(coroutine.create(print))
    end)
    assert.matches("thread: 0x", err.message)
  end)

  it("raises a TaskError for a cancellation that the function raises", function()
    local err = raises(curio.errors.TaskError, curio.run_in_thread, function()
      error(require("curio").errors.TaskCancelled "by itself")
    end)
    assert.equal("TaskCancelled", err.cause.name)
  end)

  -- Sanitizers end the process instead.
  local plain = os.getenv "CURIO_SAN" and pending or it
  plain("raises 'not enough memory' when the thread has none", function()
    local err = helper.raised(curio.run_in_thread, function()
      return io.open("/dev/null"):read(1 << 46)
    end)
    assert.matches("memory", tostring(err))
  end)

  it("goes on with the same threads", function()
    for _ = 1, 10 do
      pcall(curio.run_in_thread, error, "x")
    end
    assert.equal(3, curio.run_in_thread(add, 1, 2))
  end)
end)

describe("run_in_thread refuses to send", function()
  local function refused(...)
    return helper.raised(curio.run_in_thread, ...)
  end

  local function message(...)
    local ok, err = pcall(curio.run_in_thread, ...)
    assert.is_false(ok)
    return tostring(err)
  end

  it("a coroutine, and tells the path to it", function()
    assert.matches("args%[2%]%.callbacks%[1%]: cannot send a coroutine", message(print, 1,
      { callbacks = { coroutine.create(print) } }))
  end)

  it("an open file, a coroutine as upvalue, a C function with upvalues", function()
    assert.matches("cannot send an open file", message(print, io.stdout))
    local co = coroutine.create(print)
    assert.matches("upvalue co", message(function()
      return co
    end))
    assert.matches("cannot send", message(print, ("x"):gmatch("x")))
  end)

  it("results of that kind, and the thread lives on", function()
    assert.matches("results%[2%]: cannot send a coroutine", message(function()
      return 1, coroutine.create(print)
    end))
    assert.equal(3, curio.run_in_thread(add, 1, 2))
  end)

  it("nothing that is only deep or long", function()
    local deep, depth = {}, 10000
    for _ = 1, depth do
      deep = { deep }
    end
    local back = curio.run_in_thread(function(t)
      return t
    end, deep)
    local n = 0
    while back[1] do
      back, n = back[1], n + 1
    end
    assert.equal(depth, n)
    assert.equal(1 << 24, curio.run_in_thread(string.len, ("x"):rep(1 << 24)))
  end)

  it("kernel objects: queues, tasks", function()
    assert.equal("CurioError", refused(print, curio.Queue()))
    assert.equal("CurioError", refused(print, curio.current_task()))
  end)
end)

describe("run_in_thread cancelled", function()
  universal("times out", function()
    local q = curio.UniversalQueue()
    raises(curio.errors.TaskTimeout, curio.timeout_after, 0.01, curio.run_in_thread, hold, q)
  end)

  universal("leaves a computation that never ends, which is interrupted", function()
    local q = curio.UniversalQueue()
    local task = curio.spawn(curio.run_in_thread, function(spin, out)
      local _ <close> = setmetatable({}, {
        __close = function(_, err)
          out:put(err.name)
        end,
      })
      out:put "begun"
      load(spin)()
    end, helper.SPIN, q)
    assert.equal("begun", q:get())
    task:cancel()
    assert.equal("TaskCancelled", q:get())
  end)

  universal("interrupts a coroutine, a sleeping kernel and a thread that is parked", function()
    local q = curio.UniversalQueue()
    local function note(out, fn, ...)
      local _ <close> = setmetatable({}, {
        __close = function(_, err)
          out:put(err.name)
        end,
      })
      fn(...)
    end
    local function cancelled(fn, ...)
      local task = curio.spawn(curio.run_in_thread, note, q, fn, ...)
      assert.equal("begun", q:get())
      task:cancel()
      return q:get()
    end
    assert.equal("TaskCancelled", cancelled(function(out, spin)
      coroutine.wrap(function()
        out:put "begun"
        load(spin)()
      end)()
    end, q, helper.SPIN))
    assert.equal("TaskCancelled", cancelled(function(out)
      curio.run(function()
        out:put "begun"
        curio.sleep(1000)
      end)
    end, q))
    assert.equal("TaskCancelled", cancelled(function(out)
      out:put "begun"
      require("curio").UniversalQueue():get()
    end, q))
  end)

  universal("never runs what had to wait for its turn", function()
    local before = workers.MAX_WORKER_THREADS
    local _ <close> = helper.closing(function()
      workers.MAX_WORKER_THREADS = before
    end)
    workers.MAX_WORKER_THREADS = 1
    local q, log = curio.UniversalQueue(), curio.UniversalQueue()
    local first = helper.started(curio.run_in_thread, hold, q)
    local second = helper.started(curio.run_in_thread, function(out)
      out:put "ran"
    end, log)
    second:cancel()
    q:put(1)
    assert.equal(1, first:join())
    assert.is_true(log:empty())
    assert.equal(3, curio.run_in_thread(add, 1, 2))
  end)

  universal("gives its place to the next at once", function()
    local before = workers.MAX_WORKER_THREADS
    local _ <close> = helper.closing(function()
      workers.MAX_WORKER_THREADS = before
    end)
    workers.MAX_WORKER_THREADS = 1
    local begun, over = curio.UniversalQueue(), curio.UniversalEvent()
    local first = curio.spawn(curio.run_in_thread, function(out, ended)
      out:put "begun"
      while not ended:is_set() do
        pcall(function()
          while not ended:is_set() do
          end
        end)
      end
    end, begun, over)
    begun:get()
    local second = helper.started(curio.run_in_thread, add, 1, 2)
    first:cancel()
    assert.equal(3, second:join())
    over:set()
  end)

  it("before it starts runs nothing and moves no socket", function()
    local sock = assert(curio.socket.socket())
    local task = curio.spawn(function()
      curio.run_in_thread(print, sock)
    end)
    task:cancel()
    assert.is_true(sock:fileno() >= 0)
    sock:close()
  end)
end)

describe("the threads of the pool", function()
  universal("are at most MAX_WORKER_THREADS, and serve in order", function()
    local before = workers.MAX_WORKER_THREADS
    local _ <close> = helper.closing(function()
      workers.MAX_WORKER_THREADS = before
    end)
    workers.MAX_WORKER_THREADS = 3
    local gate, running = curio.UniversalQueue(), curio.UniversalQueue()
    local group <close> = curio.TaskGroup()
    for i = 1, 9 do
      group:spawn(curio.run_in_thread, function(number, out, wait)
        out:put(number)
        wait:get()
      end, i, running, gate)
    end
    local seen = {}
    for _ = 1, 3 do
      seen[#seen + 1] = running:get()
    end
    table.sort(seen)
    assert.same({ 1, 2, 3 }, seen)
    for i = 1, 6 do
      gate:put(true)
      assert.equal(3 + i, running:get())
    end
    for _ = 1, 3 do
      gate:put(true)
    end
  end)

  it("inherit the task-locals that can be copied", function()
    local l = curio.Local()
    l.user, l.co = "me", coroutine.create(print)
    assert.same({ "me", nil }, { curio.run_in_thread(function()
      return l.user, l.co
    end) })
    l.user = nil
    assert.is_nil(curio.run_in_thread(function()
      return l.user
    end))
    local task = curio.spawn(function()
      local mine = curio.Local()
      mine.x = 1
      return curio.run_in_thread(function()
        return curio.run(function()
          return mine.x
        end)
      end)
    end)
    assert.equal(1, task:join())
  end)
end)
