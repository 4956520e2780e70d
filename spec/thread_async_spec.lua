-- spawn_thread: threads that can ask their kernel; AWAIT, proxies.

local curio = require "curio"
local helper = require "spec.helper"
local thread = require "curio.thread"

local describe, assert, it = describe, assert, helper.task_it(it)
local raises, logged = helper.raises, helper.logged
_ENV = helper.globals -- see helper.globals: of what goes to a thread
local AWAIT = curio.AWAIT

local function nothing() end

describe("spawn_thread", function()
  it("gives a task, whose results are those of the function", function()
    local t = curio.spawn_thread(function(a, b)
      return a + b, "x"
    end, 1, 2)
    assert.same({ 3, "x" }, { t:join() })
    assert.equal(3, t.result)
    assert.is_true(t.terminated)
    assert.is_false(t.cancelled)
    assert.is_nil(t.exception)
    assert.equal("number", math.type(t.id) and type(t.id))
  end)

  it("takes name and daemon, and is named after its function", function()
    local t = curio.spawn_thread { nothing, name = "counter", daemon = true }
    assert.equal("counter", t.name)
    assert.is_true(t.daemon)
    t:join()
    t = curio.spawn_thread(nothing)
    assert.matches("thread_async_spec.lua:%d+$", t.name)
    t:join()
  end)

  it("refuses what cannot be called or sent, at once", function()
    assert.matches("spawn_thread", helper.raised(curio.spawn_thread, 5))
    local co = coroutine.create(print)
    local err = raises(curio.errors.CurioError, curio.spawn_thread, print, 1, co)
    assert.matches("args%[2%]: cannot send a coroutine", err.message)
  end)

  it("raises a TaskError from join, with the thread's error and traceback", function()
    local lines = logged(function()
      local t = curio.spawn_thread(function()
        error(curio.errors.OSError "no")
      end)
      local err = raises(curio.errors.TaskError, t.join, t)
      assert.equal("OSError", err.cause.name)
      assert.matches("thread_async_spec.lua:%d+: in function", err.cause.traceback)
      assert.equal("OSError", t.exception.name)
    end)
    assert.same({}, lines)
  end)

  it("reports a crash when nobody waits", function()
    local lines = logged(function()
      local t = curio.spawn_thread(error, "it broke")
      while not t.terminated do
        curio.sleep(0.001)
      end
    end)
    assert.equal(1, #lines)
    assert.matches("it broke", lines[1])
  end)

  it("is a member of a group by group:spawn_thread", function()
    local results = curio.group(function(g)
      g:spawn_thread(math.tointeger, 1)
      g:spawn_thread(math.tointeger, 2)
      g:join()
      return g.results
    end)
    assert.same({ n = 2, 1, 2 }, results)
    local q = curio.Queue()
    local err = raises(curio.errors.TaskError, curio.group, function(g)
      g:spawn_thread(function(queue)
        queue:get()
      end, q)
      g:spawn_thread(error, "it broke")
    end)
    assert.matches("it broke", tostring(err.cause))
  end)
end)

describe("AWAIT", function()
  it("runs a function in the thread's task, with copies of arguments and results", function()
    local t = curio.spawn_thread(function()
      local function ask(x)
        return curio.current_task().id, x, curio.sleep(0) > 0
      end
      return AWAIT(ask, { 5 })
    end)
    local id, x, slept = t:join()
    assert.same({ t.id, { 5 }, true }, { id, x, slept })
  end)

  it("runs functions of curio by themselves", function()
    local t = curio.spawn_thread(function()
      return AWAIT(curio.sleep, 0) > 0, thread.is_async_thread()
    end)
    assert.same({ true, true }, { t:join() })
    assert.is_false(thread.is_async_thread())
  end)

  it("raises the function's error in the thread", function()
    local t = curio.spawn_thread(function()
      local ok, err = pcall(AWAIT, error, curio.errors.OSError "no")
      return ok, err.name
    end)
    assert.same({ false, "OSError" }, { t:join() })
  end)

  it("tells of results that cannot be sent, and goes on", function()
    local t = curio.spawn_thread(function()
      local ok, err = pcall(AWAIT, coroutine.create, print)
      return ok, err.message, AWAIT(math.tointeger, 1)
    end)
    local ok, message, one = t:join()
    assert.is_false(ok)
    assert.matches("results%[1%]: cannot send a coroutine", message)
    assert.equal(1, one)
  end)

  it("is refused in a task, in plain threads, in those of the pool, in a kernel of the thread",
    function()
      raises(curio.errors.AsyncOnlyError, AWAIT, nothing)
      local function try()
        local ok, err = pcall(AWAIT, print)
        return ok, err.name
      end
      assert.same({ false, "AsyncOnlyError" }, { curio.run_in_thread(try) })
      assert.same({ false, "AsyncOnlyError" }, { curio.Thread(try):join() })
      assert.same({ false, "AsyncOnlyError" }, { curio.spawn_thread(curio.run, try):join() })
      assert.matches("AWAIT: a function is expected", helper.raised(AWAIT, 5))
    end)

  it("is bounded by timeouts that it runs", function()
    local t = curio.spawn_thread(function()
      local ok, err = pcall(AWAIT, curio.timeout_after, 0.001, curio.sleep, 1000)
      return ok, err.name
    end)
    assert.same({ false, "TaskTimeout" }, { t:join() })
  end)
end)

describe("a proxy", function()
  it("does what its object does: queues", function()
    local q = curio.Queue(1)
    local t = curio.spawn_thread(function(queue)
      for i = 1, 3 do
        queue:put(i)
      end
      queue:close()
      return tostring(queue):match "^Queue"
    end, q)
    local items = {}
    for item in q:iter() do
      items[#items + 1] = item
    end
    assert.same({ 1, 2, 3 }, items)
    assert.equal("Queue", t:join())
  end)

  it("iterates", function()
    local q = curio.Queue()
    local t = curio.spawn_thread(function(queue)
      local sum = 0
      for item in queue:iter() do
        sum = sum + item
      end
      return sum
    end, q)
    for i = 1, 4 do
      q:put(i)
    end
    q:close()
    assert.equal(10, t:join())
  end)

  it("does what its object does: locks, events, semaphores, with <close>", function()
    local lock, event, sem = curio.Lock(), curio.Event(), curio.Semaphore(3)
    local t = curio.spawn_thread(function(l, e, s)
      do
        local _ <close> = l:acquire()
        e:set()
        assert(l:locked())
      end
      return s.value
    end, lock, event, sem)
    event:wait()
    lock:acquire()
    lock:release()
    assert.equal(3, t:join())
    assert.is_false(lock:locked())
  end)

  it("is the object again when it comes back, and one proxy for one object", function()
    local q = curio.Queue()
    local t = curio.spawn_thread(function(a, b)
      return a, a == b.same
    end, q, { same = q })
    local back, same = t:join()
    assert.equal(q, back)
    assert.is_true(same)
  end)

  it("stands for what AWAIT gives, too", function()
    local t = curio.spawn_thread(function()
      local task = AWAIT(curio.spawn, math.tointeger, 7)
      return task:join()
    end)
    assert.equal(7, t:join())
  end)

  it("raises the errors of its object", function()
    local q = curio.Queue()
    q:close()
    local t = curio.spawn_thread(function(queue)
      local ok, err = pcall(queue.put, queue, 1)
      return ok, err.name
    end, q)
    assert.same({ false, "QueueClosed" }, { t:join() })
  end)

  it("of a thread that ended is of no use in another", function()
    local q = curio.Queue()
    curio.spawn_thread(function(queue)
      require("string").kept = queue
    end, q):join()
    local t = curio.spawn_thread(function()
      return pcall(function()
        return require("string").kept:size()
      end)
    end)
    assert.is_false((t:join()))
  end)
end)

describe("an async thread that is cancelled", function()
  -- Notes the name of the error by which the block is left.
  local function noting(q)
    return setmetatable({}, {
      __close = function(_, err)
        q:try_put(err and err.name or "none") -- put would raise the cancellation again
      end,
    })
  end

  it("while it computes is interrupted, and waited for", function()
    local q = curio.UniversalQueue()
    local t = curio.spawn_thread(function(out, source)
      local _ <close> = noting(out)
      out:put "begun"
      load(source)()
    end, q, helper.SPIN)
    assert.equal("begun", q:get())
    assert.is_true(t:cancel())
    assert.is_true(t.terminated)
    assert.is_true(t.cancelled)
    assert.same({ true, "TaskCancelled" }, { q:try_get() })
  end)

  it("while it waits for its kernel raises there, and again at each further call", function()
    local q, never = curio.UniversalQueue(), curio.Event()
    local t = curio.spawn_thread(function(out, event)
      for _ = 1, 3 do
        local ok, err = pcall(event.wait, event)
        out:put(ok and "woken" or err.name)
      end
    end, q, never)
    while t.state ~= "EVENT_WAIT" do
      curio.sleep(0.001)
    end
    t:cancel()
    local seen = {}
    for i = 1, 3 do
      seen[i] = q:get()
    end
    assert.same({ "TaskCancelled", "TaskCancelled", "TaskCancelled" }, seen)
  end)

  it("still gives back what it holds", function()
    local lock, begun = curio.Lock(), curio.Event()
    local t = curio.spawn_thread(function(l, e, source)
      local _ <close> = l:acquire()
      e:set()
      load(source)()
    end, lock, begun, helper.SPIN)
    begun:wait()
    t:cancel()
    assert.is_false(lock:locked())
  end)

  it("before it has begun never runs", function()
    local q = curio.UniversalQueue()
    local t = curio.spawn_thread(function(out)
      out:put(1)
    end, q)
    t:cancel()
    assert.is_true(t.terminated)
    assert.is_true(q:empty())
  end)

  it("with a kernel of its own has that kernel's main task cancelled", function()
    local q = curio.UniversalQueue()
    local t = curio.spawn_thread(function(out)
      curio.run(function()
        local _ <close> = noting(out)
        out:put "begun"
        curio.sleep(1000)
      end)
    end, q)
    assert.equal("begun", q:get())
    t:cancel()
    assert.equal("TaskCancelled", q:get())
  end)
end)
