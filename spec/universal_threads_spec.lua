-- Universal objects between several threads, some of which run kernels: every item once, nobody
-- left asleep, whoever is cancelled or interrupted.

local curio = require "curio"
local testing = require "curio.testing"
local errors = require "curio.errors"
local workers = require "curio.workers"

local it_in_task = testing.it(it)
local run_in_thread = workers.run_in_thread

-- Bodies of threads. Universal objects reach them as arguments, or as upvalues.

local function produce(q, first, last)
  for i = first, last do
    q:put(i)
  end
end

local function consume(q)
  local items = {}
  for item in q:iter() do
    items[#items + 1] = item
  end
  return items
end

-- The same in a kernel of the thread's own, with several tasks.
local function in_kernel(f, ...)
  return require("curio").run(f, ...)
end

local function consume_in_tasks(q)
  local face = require "curio"
  local items, tasks = {}, {}
  for i = 1, 3 do
    tasks[i] = face.spawn(function()
      for item in q:iter() do
        items[#items + 1] = item
      end
    end)
  end
  for _, task in ipairs(tasks) do
    task:join()
  end
  return items
end

local function count_each(seen, items)
  for _, item in ipairs(items) do
    seen[item] = (seen[item] or 0) + 1
  end
end

local function assert_once(n, ...)
  local seen = {}
  for _, items in ipairs { ... } do
    count_each(seen, items)
  end
  for i = 1, n do
    if seen[i] ~= 1 then
      error(("item %d was got %d times"):format(i, seen[i] or 0))
    end
    seen[i] = nil
  end
  assert.is_nil(next(seen))
end

local function share(maxsize, n)
  local q = curio.UniversalQueue { maxsize = maxsize }
  local half = n // 2
  local producers = {
    curio.spawn(run_in_thread, produce, q, 1, half),
    curio.spawn(run_in_thread, in_kernel, produce, q, half + 1, n),
  }
  local plain = curio.spawn(run_in_thread, consume, q)
  local kernel = curio.spawn(run_in_thread, in_kernel, consume_in_tasks, q)
  local here = curio.spawn(consume_in_tasks, q)
  for _, task in ipairs(producers) do
    task:join()
  end
  q:close()
  assert_once(n, plain:join(), kernel:join(), here:join())
end

describe("A UniversalQueue between threads", function()
  setup(function() -- with the first thread a sanitizer may start one of its own
    curio.run(run_in_thread, function() end)
  end)

  it_in_task("gives each item once: three kernels and two plain threads", function()
    share(0, 20000)
  end)

  it_in_task("likewise when it is nearly always full", function()
    share(1, 2000)
  end)

  it_in_task("keeps the order of each who puts", function()
    local q = curio.UniversalQueue { maxsize = 10 }
    local producer = curio.spawn(run_in_thread, produce, q, 1, 3000)
    for i = 1, 3000 do
      assert.equal(i, q:get())
    end
    producer:join()
  end)

  it_in_task("loses nothing by timeouts", function()
    local q, items = curio.UniversalQueue(), {}
    local tasks = {}
    for t = 1, 4 do
      tasks[t] = curio.spawn(function()
        while #items < 3000 do
          local ok, item = pcall(curio.timeout_after, 0.0001, q.get, q)
          if ok then
            items[#items + 1] = item
          end
        end
      end)
    end
    run_in_thread(produce, q, 1, 3000)
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert_once(3000, items)
  end)

  it_in_task("loses nothing by tasks that are cancelled", function()
    local q = curio.UniversalQueue()
    local items = {}
    local producer = curio.spawn(run_in_thread, produce, q, 1, 5000)
    while #items < 5000 do
      local getters = {}
      for i = 1, 5 do
        getters[i] = curio.spawn(function()
          local item = q:get()
          items[#items + 1] = item
        end)
      end
      curio.sleep(0)
      curio.sleep(0)
      for _, task in ipairs(getters) do
        if #items == 5000 or #items % 2 == 0 then
          task:cancel()
        else
          task:wait()
        end
      end
    end
    producer:join()
    assert_once(5000, items)
  end)

  it_in_task("is left by a thread job that is cancelled while it waits in it", function()
    local q, ready = curio.UniversalQueue(), curio.UniversalEvent()
    local job = curio.spawn(run_in_thread, function()
      ready:set()
      return q:get()
    end)
    ready:wait()
    while not tostring(q):find("1 getting", 1, true) do
      curio.sleep(0.001)
    end
    job:cancel()
    while not tostring(q):find("0 getting", 1, true) do
      curio.sleep(0.001)
    end
    q:put "still here"
    assert.equal("still here", q:get())
  end)

  it_in_task("wakes all threads and tasks when it is closed", function()
    local q = curio.UniversalQueue()
    local jobs = {}
    for i = 1, 3 do
      jobs[i] = curio.spawn(run_in_thread, function()
        local item, err = q:get()
        return item, err
      end, q)
    end
    jobs[4] = curio.spawn(q.get, q)
    while not tostring(q):find("4 getting", 1, true) do
      curio.sleep(0.001)
    end
    q:close()
    for _, job in ipairs(jobs) do
      local item, err = job:join()
      assert.is_nil(item)
      assert.is_true(curio.is(err, curio.QueueClosed))
    end
  end)

  it_in_task("moves sockets", function()
    local q = curio.UniversalQueue()
    local a, b = curio.socket.socketpair()
    local echo = curio.spawn(run_in_thread, function()
      return require("curio").run(function()
        local sock = q:get()
        local data = sock:recv(100)
        sock:sendall(data:upper())
        sock:close()
      end)
    end)
    q:put(b)
    assert(a:sendall "hello")
    assert.equal("HELLO", a:recv(100))
    assert.is_nil((a:recv(100)))
    echo:join()
    a:close()
  end)

  it_in_task("can be waited for to be dealt with", function()
    local q = curio.UniversalQueue()
    produce(q, 1, 100)
    local job = curio.spawn(run_in_thread, function()
      for _ = 1, 100 do
        q:get()
        q:task_done()
      end
    end)
    q:join()
    assert.is_true(q:empty())
    job:join()
  end)

  it_in_task("goes through another, and back", function()
    local requests = curio.UniversalQueue()
    local server = curio.spawn(run_in_thread, function()
      for request in requests:iter() do
        request.reply:set_value(request.n * 2, request)
      end
    end)
    for n = 1, 20 do
      local reply = curio.UniversalResult()
      requests:put { n = n, reply = reply }
      local double, request = reply:unwrap()
      assert.equal(2 * n, double)
      assert.is_true(request.reply == reply)
    end
    requests:close()
    server:join()
  end)
end)

describe("A UniversalEvent between threads", function()
  it_in_task("wakes tasks of several kernels and threads", function()
    local go, there = curio.UniversalEvent(), curio.UniversalQueue()
    local function wait()
      there:put(true)
      go:wait()
      return "gone"
    end
    local jobs = {
      curio.spawn(run_in_thread, wait),
      curio.spawn(run_in_thread, in_kernel, wait),
      curio.spawn(wait),
    }
    for _ = 1, #jobs do
      there:get()
    end
    curio.spawn(run_in_thread, function()
      go:set()
    end):join()
    for _, job in ipairs(jobs) do
      assert.equal("gone", job:join())
    end
  end)
end)

describe("A UniversalResult between threads", function()
  it_in_task("gives each a copy of what a thread has found", function()
    local r = curio.UniversalResult()
    local function unwrap()
      return r:unwrap()
    end
    local jobs = {
      curio.spawn(run_in_thread, unwrap),
      curio.spawn(run_in_thread, in_kernel, unwrap),
      curio.spawn(unwrap),
    }
    curio.spawn(run_in_thread, function()
      r:set_value({ 1, 2 }, "two")
    end):join()
    for _, job in ipairs(jobs) do
      local list, word = job:join()
      assert.same({ 1, 2 }, list)
      assert.equal("two", word)
    end
  end)

  it_in_task("brings errors of the program's own classes home", function()
    local Mine = errors.class("Mine", curio.OSError)
    local r = curio.UniversalResult()
    curio.spawn(run_in_thread, function()
      r:set_exception(Mine { message = "from afar", code = "EWHERE" })
    end):join()
    local ok, err = pcall(r.unwrap, r)
    assert.is_false(ok)
    assert.is_true(curio.is(err, Mine) and curio.is(err, curio.OSError))
    assert.equal("EWHERE", err.code)
  end)
end)
