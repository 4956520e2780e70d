-- UniversalQueue, UniversalEvent, UniversalResult in the tasks of one kernel and in plain code.
-- spec/universal_threads_spec.lua has several threads; spec/c/universal_test.c the C below.

local curio = require "curio"
local testing = require "curio.testing"
local errors = require "curio.errors"

local it_in_task = testing.it(it)

local function put_all(q, ...)
  for _, item in ipairs { ... } do
    q:put(item)
  end
end

local function drain(q)
  local items = {}
  while true do
    local done, item = q:try_get()
    if not done then
      return items
    end
    items[#items + 1] = item
  end
end

describe("A UniversalQueue in plain code", function()
  it("gives the items in order, as copies", function()
    local q = curio.UniversalQueue()
    local item = { 1, { 2 } }
    q:put(item)
    put_all(q, "b", 3.5)
    assert.equal(3, q:size())
    local copy = q:get()
    assert.same(item, copy)
    assert.is_true(copy ~= item)
    assert.same({ "b", 3.5 }, drain(q))
    assert.is_true(q:empty())
    q:put(nil)
    assert.is_nil(q:get())
    assert.same({ true }, { (function() q:put(nil) return q:try_get() end)() })
  end)

  it("knows when it is full", function()
    local q = curio.UniversalQueue { maxsize = 2 }
    assert.is_true(q:try_put(1))
    assert.is_false(q:full())
    assert.is_true(q:try_put(2))
    assert.is_true(q:full())
    assert.is_false(q:try_put(3))
    assert.equal("UniversalQueue(2 items, 0 getting, 0 putting)", tostring(q))
  end)

  it("can be closed, and iterated over", function()
    local q = curio.UniversalQueue()
    put_all(q, 1, 2, 3)
    q:close()
    q:close()
    local ok, err = pcall(q.put, q, 4)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.QueueClosed))
    assert.is_true(curio.is(select(2, pcall(q.try_put, q, 4)), curio.QueueClosed))
    local items = {}
    for item in q:iter() do
      items[#items + 1] = item
    end
    assert.same({ 1, 2, 3 }, items)
    local item, why = q:get()
    assert.is_nil(item)
    assert.is_true(curio.is(why, curio.QueueClosed))
    assert.is_false((q:try_get()))
    do
      local other <close> = curio.UniversalQueue()
      q = other
    end
    assert.matches("closed", tostring(q))
  end)

  it("raises where an item is nil that iter should give", function()
    local q = curio.UniversalQueue()
    q:put(nil)
    assert.error_matches(function()
      for _ in q:iter() do end
    end, "an item is nil")
  end)

  it("counts what has been dealt with", function()
    local q = curio.UniversalQueue()
    q:join()
    put_all(q, 1, 2)
    drain(q)
    q:task_done()
    q:task_done()
    q:join()
    assert.error_matches(function()
      q:task_done()
    end, "called more often")
  end)

  it("refuses options that it does not know, and items that cannot be sent", function()
    assert.error_matches(function()
      curio.UniversalQueue { size = 1 }
    end, "unknown option 'size' %(known: maxsize, withfd%)")
    assert.error_matches(function()
      curio.UniversalQueue { maxsize = -1 }
    end, "negative")
    assert.error_matches(function()
      curio.UniversalQueue { maxsize = "1" }
    end, "maxsize")
    assert.error_matches(function()
      curio.UniversalQueue(5)
    end, "table of options")
    local q = curio.UniversalQueue { maxsize = 1 }
    local ok, err = pcall(q.put, q, { x = { coroutine.create(print) } })
    assert.is_false(ok)
    assert.equal("item.x[1]: cannot send a coroutine", err.message)
    assert.is_true(q:empty())
    q:put(1)
    assert.is_false((pcall(curio.Queue().put, q, 1)))
    assert.is_false((pcall(q.put, curio.UniversalEvent(), 1)))
    assert.is_false((pcall(q.put, {}, 1)))
  end)

  it("carries others, and itself, as the same objects", function()
    local q, e = curio.UniversalQueue(), curio.UniversalEvent()
    q:put { q = q, e = e, r = curio.UniversalResult() }
    local got = q:get()
    assert.is_true(got.q == q and got.e == e)
    got.r:set_value(1)
    assert.equal(1, got.r:unwrap())
  end)

  it("is collected also when it is an item of itself", function()
    local a, b = curio.socket.socketpair()
    local q, r = curio.UniversalQueue(), curio.UniversalResult()
    q:put { q }
    q:put { q }
    assert.is_true(q:get()[1] == q)
    q:put(a)
    r:set_value(r, q)
    assert.is_true(r:unwrap() == r)
    q, r = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    curio.run(function()
      assert.is_nil((b:recv(1)))
    end)
    b:close()
  end)

  it("takes items along when it is collected, in a chain as long as you like", function()
    local first = curio.UniversalQueue()
    local q = first
    for _ = 1, 20000 do
      local inner = curio.UniversalQueue()
      q:put(inner)
      q = inner
    end
    first, q = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)

  it("gives large items back as they were", function()
    local q = curio.UniversalQueue()
    local text = ("x"):rep(1000000)
    q:put { text, text }
    local item = q:get()
    assert.is_true(item[1] == text and item[2] == text)
  end)
end)

describe("A UniversalQueue between tasks", function()
  it_in_task("hands items to those who wait, first come first", function()
    local q, log = curio.UniversalQueue(), {}
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = curio.spawn(function()
        local item = q:get()
        log[#log + 1] = i .. item
      end)
    end
    testing.wait_all_blocked()
    assert.equal("UniversalQueue(0 items, 3 getting, 0 putting)", tostring(q))
    put_all(q, "a", "b", "c")
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.same({ "1a", "2b", "3c" }, log)
  end)

  it_in_task("makes putters wait while it is full, and keeps their order", function()
    local q, tasks = curio.UniversalQueue { maxsize = 1 }, {}
    q:put(0)
    for i = 1, 3 do
      tasks[i] = curio.spawn(q.put, q, i)
    end
    testing.wait_all_blocked()
    assert.equal("UniversalQueue(1 items, 0 getting, 3 putting)", tostring(q))
    for i = 0, 3 do
      assert.equal(i, q:get())
    end
    for _, task in ipairs(tasks) do
      task:join()
    end
  end)

  it_in_task("loses nothing by a timeout or cancellation of a getter", function()
    local q = curio.UniversalQueue()
    local ok, err = pcall(curio.timeout_after, 0.001, q.get, q)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
    local one, two = curio.spawn(q.get, q), curio.spawn(q.get, q)
    testing.wait_all_blocked()
    one:cancel()
    q:put "x"
    assert.equal("x", two:join())
    assert.equal("UniversalQueue(0 items, 0 getting, 0 putting)", tostring(q))
  end)

  it_in_task("gives the item to a getter that is cancelled after it was handed over", function()
    local q = curio.UniversalQueue()
    local got
    local task = curio.spawn(function()
      got = q:get()
      curio.sleep(0)
    end)
    testing.wait_all_blocked()
    q:put "x"
    task:cancel()
    assert.equal("x", got)
    assert.is_true(q:empty())
  end)

  it_in_task("has nothing put by a putter that gave up; its socket is its own again", function()
    local q = curio.UniversalQueue { maxsize = 1 }
    q:put(1)
    local a, b = curio.socket.socketpair()
    local fd = a:fileno()
    assert.is_false((pcall(curio.timeout_after, 0.001, q.put, q, { a })))
    assert.equal(fd, a:fileno())
    local task = curio.spawn(q.put, q, { { x = b } })
    testing.wait_all_blocked()
    assert.is_nil((b:fileno()))
    task:cancel()
    assert.is_number(b:fileno())
    assert.same({ 1 }, drain(q))
    assert(a:sendall "still connected")
    assert.equal("still connected", b:recv(100))
    a:close()
    b:close()
  end)

  it_in_task("gives sockets back also when it is closed", function()
    local q = curio.UniversalQueue { maxsize = 1 }
    q:put(1)
    local a, b = curio.socket.socketpair()
    local putter = curio.spawn(function()
      return pcall(q.put, q, a)
    end)
    testing.wait_all_blocked()
    q:close()
    local ok, err = putter:join()
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.QueueClosed))
    assert.is_number(a:fileno())
    a:close()
    b:close()
  end)

  it_in_task("wakes all when it is closed", function()
    local q = curio.UniversalQueue()
    local getters = {}
    for i = 1, 3 do
      getters[i] = curio.spawn(q.get, q)
    end
    testing.wait_all_blocked()
    q:close()
    for _, task in ipairs(getters) do
      local item, err = task:join()
      assert.is_nil(item)
      assert.is_true(curio.is(err, curio.QueueClosed))
    end
  end)

  it_in_task("can be waited for to be dealt with; that can be cancelled", function()
    local q = curio.UniversalQueue()
    put_all(q, 1, 2)
    assert.is_false((pcall(curio.timeout_after, 0.001, q.join, q)))
    local joiner = curio.spawn(q.join, q)
    testing.wait_all_blocked()
    drain(q)
    q:task_done()
    testing.wait_all_blocked()
    assert.equal("QUEUE_JOIN", joiner.state)
    q:task_done()
    joiner:join()
  end)

  it_in_task("lets others run, however many items there are", function()
    local q, ticks = curio.UniversalQueue(), 0
    local ticker = curio.spawn(function()
      while true do
        ticks = ticks + 1
        curio.schedule()
      end
    end)
    for i = 1, 1000 do
      q:put(i)
    end
    for _ = 1, 1000 do
      q:get()
    end
    assert.is_true(ticks >= 10)
    ticker:cancel()
  end)

  it_in_task("has a descriptor that tells when there are items", function()
    local q = curio.UniversalQueue { withfd = true }
    local fd = q:fileno()
    local function readable()
      return (pcall(curio.timeout_after, 0.001, curio.traps.read_wait, fd))
    end
    assert.is_false(readable())
    put_all(q, 1, 2)
    assert.is_true(readable())
    q:get()
    assert.is_true(readable())
    q:get()
    assert.is_false(readable())
    q:put(3)
    assert.is_true(readable())
    q:get()
    q:close()
    assert.is_true(readable())
    q = nil -- luacheck: ignore
    collectgarbage() -- closes it
    assert.error_matches(function()
      curio.UniversalQueue():fileno()
    end, "withfd")
  end)

  it_in_task("is no deadlock to wait for, and says what one waits for", function()
    local q = curio.UniversalQueue()
    local task = curio.spawn(q.get, q)
    testing.wait_all_blocked()
    assert.equal("QUEUE_GET", task.state)
    task:cancel()
  end)

  it("cannot be waited for where Lua cannot yield", function()
    curio.run(function()
      local q = curio.UniversalQueue()
      local ok, err = pcall(table.sort, { 1, 2, 3 }, function()
        q:get()
      end)
      assert.is_false(ok)
      assert.matches("queue:get: cannot block here", tostring(err))
    end)
  end)

  it("has items put before and got after a kernel", function()
    local q = curio.UniversalQueue()
    q:put "in"
    curio.run(function()
      assert.equal("in", q:get())
      q:put "out"
    end)
    assert.equal("out", q:get())
  end)
end)

describe("A UniversalEvent", function()
  it_in_task("is waited for until it is set", function()
    local e, log = curio.UniversalEvent(), {}
    assert.equal("UniversalEvent(not set)", tostring(e))
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = curio.spawn(function()
        e:wait()
        log[#log + 1] = i
      end)
    end
    testing.wait_all_blocked()
    assert.same({}, log)
    e:set()
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.same({ 1, 2, 3 }, log)
    e:wait()
    assert.is_true(e:is_set())
    e:clear()
    assert.is_false(e:is_set())
    assert.is_false((pcall(curio.timeout_after, 0.001, e.wait, e)))
    local task = curio.spawn(e.wait, e)
    testing.wait_all_blocked()
    task:cancel()
  end)

  it("works without a kernel", function()
    local e = curio.UniversalEvent()
    e:set()
    e:wait()
  end)
end)

describe("A UniversalResult", function()
  it_in_task("gives each who waits a copy of the values", function()
    local r = curio.UniversalResult()
    local tasks = { curio.spawn(r.unwrap, r), curio.spawn(r.unwrap, r) }
    testing.wait_all_blocked()
    assert.is_false(r:is_set())
    assert.is_false((pcall(curio.timeout_after, 0.001, r.unwrap, r)))
    r:set_value({ 1 }, nil, "x")
    assert.is_true(r:is_set())
    for _, task in ipairs(tasks) do
      local values = table.pack(task:join())
      assert.equal(3, values.n)
      assert.same({ 1 }, values[1])
      assert.equal("x", values[3])
    end
    assert.is_true(r:unwrap() ~= r:unwrap())
    assert.same({ 1 }, curio.spawn(r.unwrap, r):join())
  end)

  it_in_task("raises the error that was set, and keeps it", function()
    local r = curio.UniversalResult()
    local Mine = errors.class "Mine"
    local task = curio.spawn(function()
      return pcall(r.unwrap, r)
    end)
    testing.wait_all_blocked()
    r:set_exception(Mine "bad")
    local ok, err = task:join()
    assert.is_false(ok)
    assert.is_true(curio.is(err, Mine))
    r:set_value(5)
    assert.is_false((pcall(r.unwrap, r)))
  end)

  it("works without a kernel; the last value counts", function()
    local r = curio.UniversalResult()
    r:set_value(1)
    r:set_value(2)
    assert.equal(2, r:unwrap())
    assert.equal("UniversalResult(set)", tostring(r))
    local a, b = curio.socket.socketpair()
    local ok, err = pcall(r.set_value, r, a)
    assert.is_false(ok)
    assert.equal("values[1]: cannot send a socket where it may be received more than once",
      err.message)
    assert.equal(2, r:unwrap())
    a:close()
    b:close()
  end)
end)
