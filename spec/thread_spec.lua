-- curio.Thread, kernels in threads, and what becomes of threads in the end.

local curio = require "curio"
local helper = require "spec.helper"

local describe, assert, it, plain_it = describe, assert, helper.task_it(it), it
local raises = helper.raises
_ENV = helper.globals -- see helper.globals: of what goes to a thread

local function get(q)
  return (q:get())
end

describe("curio.Thread", function()
  it("runs a function, and gives its results to those who join", function()
    local t = curio.Thread(function(a, b)
      return a + b, "x"
    end, 1, 2)
    assert.same({ 3, "x" }, { t:join() })
    assert.same({ 3, "x" }, { t:join() })
    assert.equal(3, t.result)
    assert.is_true(t.terminated)
  end)

  plain_it("can be started and joined outside any kernel", function()
    local t = curio.Thread(math.tointeger, 4)
    assert.equal(4, t:join())
  end)

  it("lets several tasks join", function()
    local q = curio.UniversalQueue()
    local t = curio.Thread(get, q)
    local a, b = helper.started(t.join, t), helper.started(t.join, t)
    q:put(5)
    assert.equal(5, a:join())
    assert.equal(5, b:join())
  end)

  it("raises a TaskError for a crash", function()
    local t = curio.Thread(error, "it broke")
    local err = raises(curio.errors.TaskError, t.join, t)
    assert.equal("it broke", err.cause)
    assert.matches("stack traceback", err.traceback)
    assert.equal("it broke", t.exception)
  end)

  it("tells nothing while it runs", function()
    local q = curio.UniversalQueue()
    local t = curio.Thread(get, q)
    assert.is_false(t.terminated)
    assert.matches("has not ended", helper.raised(function()
      return t.result
    end))
    q:put(1)
    t:join()
  end)

  it("that crashed is reported when it is dropped unjoined", function()
    local lines = helper.logged(function()
      local t = curio.Thread(error, "nobody heard")
      t:wait()
      t = nil -- luacheck: no unused
      collectgarbage()
      collectgarbage()
    end)
    assert.equal(1, #lines)
    assert.matches("nobody heard", lines[1])
  end)

  it("join times out, and is cancelled while asleep, and leaves the thread alone", function()
    local q = curio.UniversalQueue()
    local t = curio.Thread(get, q)
    raises(curio.errors.TaskTimeout, curio.timeout_after, 0.001, t.join, t)
    local task = helper.started(t.join, t)
    task:cancel()
    q:put "still there"
    assert.equal("still there", t:join())
  end)

  it("cancel interrupts it and waits", function()
    local t = curio.Thread(load(helper.SPIN))
    assert.is_true(t:cancel())
    assert.is_true(t.terminated)
    assert.is_true(t.cancelled)
    assert.equal("TaskCancelled", t.exception.name)
  end)

  it("refuses what cannot be called or sent", function()
    assert.matches("curio.Thread", helper.raised(curio.Thread, 5))
    local err = raises(curio.errors.CurioError, curio.Thread, print, io.stdout)
    assert.matches("args%[1%]: cannot send", err.message)
  end)
end)

describe("a thread that fails", function()
  it("leaves those alone that wait on the same queue", function()
    local q = curio.UniversalQueue()
    local waiting = { curio.Thread(get, q), curio.Thread(get, q), helper.started(get, q) }
    local failing = curio.Thread(function(queue)
      queue:put "first"
      error "it broke"
    end, q)
    raises(curio.errors.TaskError, failing.join, failing)
    q:put "second"
    q:put "third"
    local got = {}
    for i, one in ipairs(waiting) do
      got[i] = one:join()
    end
    table.sort(got)
    assert.same({ "first", "second", "third" }, got)
  end)
end)

describe("kernels in threads", function()
  it("run beside each other", function()
    local group <close> = curio.TaskGroup()
    local q = curio.UniversalQueue()
    for i = 1, 3 do
      group:spawn(curio.run_in_thread, curio.run, function(n, out)
        local g <close> = curio.TaskGroup()
        for j = 1, 10 do
          g:spawn(function()
            curio.sleep(0)
            out:put(n * 10 + j)
          end)
        end
        g:join()
      end, i, q)
    end
    group:join()
    local sum = 0
    for _ = 1, 30 do
      sum = sum + q:get()
    end
    assert.equal(3 * 55 + 600, sum)
  end)

  it("serve sockets that were moved there", function()
    local a, b = assert(curio.socket.socketpair())
    local t = curio.Thread(curio.run, function(sock)
      sock:sendall(sock:recv(100):upper())
      sock:close()
    end, b)
    a:sendall "hello"
    assert.equal("HELLO", a:recv(100))
    assert.is_nil(b:fileno())
    t:join()
    a:close()
  end)
end)

describe("the end", function()
  it("of a kernel with jobs in flight is clean, and the threads are told", function()
    local q = curio.UniversalQueue()
    curio.run_in_thread(function(out, source)
      curio.run(function()
        for _ = 1, 5 do
          curio.spawn(curio.run_in_thread, function(o, text)
            local _ <close> = setmetatable({}, {
              __close = function()
                o:put "told"
              end,
            })
            o:put "begun"
            load(text)()
          end, out, source)
        end
        for _ = 1, 5 do
          out:get()
        end
      end)
    end, q, helper.SPIN)
    for _ = 1, 5 do
      assert.equal("told", q:get())
    end
  end)

  it("of a process does not wait for threads that never return", function()
    assert.equal("done\nstatus 0\n", helper.child [[
      local curio = require "curio"
      curio.Thread(function() while true do pcall(function() while true do end end) end end)
      curio.run(function()
        curio.spawn(curio.run_in_thread, function() os.execute "sleep 2 >/dev/null 2>&1" end)
        curio.sleep(0.05)
      end)
      print "done"
    ]])
  end)

  it("of a process by os.exit in a thread is at once", function()
    assert.equal("flushedstatus 7\n", helper.child [[
      local curio = require "curio"
      curio.run(function()
        io.write "flushed"
        curio.run_in_thread(os.exit, 7)
        print "not reached"
      end)
    ]])
  end)
end)
