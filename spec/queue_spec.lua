-- Queue, LifoQueue, PriorityQueue.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

local spawn = helper.spawn
local raises = helper.raises
local can_be_interrupted = helper.can_be_interrupted
local is_cancellation_point = helper.is_cancellation_point

local it = testing.it(it)

local KINDS = { "Queue", "LifoQueue", "PriorityQueue" }

local function each_kind(name, body)
  for _, kind in ipairs(KINDS) do
    it(name .. " (" .. kind .. ")", function()
      body(curio[kind], kind)
    end)
  end
end

local function drain(queue)
  local items = {}
  while not queue:empty() do
    items[#items + 1] = queue:get()
  end
  return items
end

local function filled(class, items, ...)
  local queue = class(...)
  for _, item in ipairs(items) do
    queue:put(item)
  end
  return queue
end

describe("The order of items", function()
  it("is that of the puts in a Queue", function()
    assert.same({ 3, 1, 2 }, drain(filled(curio.Queue, { 3, 1, 2 })))
  end)

  it("is the other way round in a LifoQueue", function()
    assert.same({ 2, 1, 3 }, drain(filled(curio.LifoQueue, { 3, 1, 2 })))
  end)

  it("is by size in a PriorityQueue", function()
    assert.same({ 1, 2, 2.5, 3 }, drain(filled(curio.PriorityQueue, { 3, 1, 2.5, 2 })))
    assert.same({ "a", "b" }, drain(filled(curio.PriorityQueue, { "b", "a" })))
  end)

  it("is by the elements of arrays, the shorter first", function()
    local items = { { 2, "b" }, { 2, "a" }, { 1, "z", 3 }, { 1, "z" }, { 1, { 5 } } }
    items[5] = nil
    local queue = filled(curio.PriorityQueue, items)
    assert.same({ { 1, "z" }, { 1, "z", 3 }, { 2, "a" }, { 2, "b" } }, drain(queue))
  end)

  it("is by __lt for objects", function()
    local meta = {
      __lt = function(a, b)
        return a.at < b.at
      end,
    }
    local function at(n)
      return setmetatable({ at = n }, meta)
    end
    local queue = filled(curio.PriorityQueue, { at(2), at(1), at(3) })
    local got = {}
    for _, item in ipairs(drain(queue)) do
      got[#got + 1] = item.at
    end
    assert.same({ 1, 2, 3 }, got)
  end)

  it("is by the function that is given", function()
    local queue = filled(curio.PriorityQueue, { 1, 3, 2 }, 0, {
      less = function(a, b)
        return a > b
      end,
    })
    assert.same({ 3, 2, 1 }, drain(queue))
  end)

  it("is that of the puts where priorities are equal", function()
    local queue = curio.PriorityQueue(0, {
      less = function(a, b)
        return a[1] < b[1]
      end,
    })
    for i = 1, 50 do
      queue:put { i % 3, i }
    end
    local last = { -1, 0 }
    for _ = 1, 50 do
      local item = queue:get()
      assert.is_true(item[1] > last[1] or (item[1] == last[1] and item[2] > last[2]))
      last = item
    end
  end)

  it("stays true whatever the size, when the ring wraps", function()
    for _, size in ipairs { 1, 2, 3, 100, 127, 128, 129, 1000 } do
      local queue, stack, got = curio.Queue(size), curio.LifoQueue(size), 0
      for round = 1, 5 do
        for i = 1, size do
          queue:put(i + round)
          stack:put(i + round)
        end
        assert.is_true(queue:full() and stack:full())
        for i = 1, size // 2 + 1 do
          assert.equal(i + round, queue:get())
          assert.equal(size + 1 - i + round, stack:get())
        end
        while queue:try_get() and stack:try_get() do
          got = got + 1
        end
      end
      assert.equal(5 * (size - size // 2 - 1), got)
    end
  end)

  it("stays true over many items and a ring that grows", function()
    local queue, put, got = curio.Queue(), 0, 0
    for round = 1, 200 do
      for _ = 1, round % 37 do
        put = put + 1
        queue:put(put)
      end
      for _ = 1, math.min(queue:size(), round % 31) do
        got = got + 1
        assert.equal(got, queue:get())
      end
    end
    assert.equal(put - got, queue:size())
  end)
end)

describe("A queue", function()
  each_kind("counts its items", function(class)
    local queue = class(2)
    assert.is_true(queue:empty())
    assert.is_false(queue:full())
    queue:put(1)
    assert.equal(1, queue:size())
    queue:put(2)
    assert.is_true(queue:full())
    assert.is_false(queue:empty())
    queue:get()
    assert.is_false(queue:full())
  end)

  each_kind("without a size is never full", function(class)
    local queue = class()
    for i = 1, 1000 do
      queue:put(i)
    end
    assert.is_false(queue:full())
    assert.equal(1000, queue:size())
  end)

  each_kind("may hold nil", function(class)
    local queue = class(0, class == curio.PriorityQueue and {
      less = function()
        return false
      end,
    } or nil)
    queue:put(nil)
    queue:put(nil)
    assert.equal(2, queue:size())
    assert.same({ n = 1 }, table.pack(queue:get()))
    assert.same({ n = 2, true }, table.pack(queue:try_get()))
    local task = spawn(queue.get, queue)
    queue:put(nil)
    task:join()
    assert.same({ n = 1 }, task.results)
  end)

  each_kind("gives an item straight to the getter that has waited longest", function(class)
    local queue, seen = class(), {}
    for i = 1, 3 do
      spawn(function()
        seen[i] = queue:get()
      end)
    end
    for i = 1, 3 do
      queue:put("item " .. i)
      assert.equal(0, queue:size())
    end
    assert.same({ false, nil }, { queue:try_get() })
    testing.wait_all_blocked()
    assert.same({ "item 1", "item 2", "item 3" }, seen)
  end)

  each_kind("takes the item of the putter that has waited longest", function(class)
    local queue, order = class(1), {}
    queue:put(0)
    for i = 1, 3 do
      spawn(function()
        queue:put(i)
        order[#order + 1] = i
      end)
    end
    for i = 0, 3 do
      assert.equal(i, queue:get())
    end
    testing.wait_all_blocked()
    assert.same({ 1, 2, 3 }, order)
    assert.is_true(queue:empty())
  end)

  each_kind("tries without waiting", function(class)
    local queue = class(1)
    assert.same({ false }, { queue:try_get() })
    assert.is_true(queue:try_put "x")
    assert.is_false(queue:try_put "y")
    assert.same({ true, "x" }, { queue:try_get() })
    local putter
    queue:put "a"
    putter = spawn(queue.put, queue, "b")
    assert.same({ true, "a" }, { queue:try_get() })
    assert.is_false(queue:try_put "c")
    putter:join()
    assert.equal("b", queue:get())
  end)

  each_kind("can be given up getting from", function(class)
    local queue = class()
    can_be_interrupted("QUEUE_GET", queue.get, queue)
    queue:put "x"
    assert.equal(1, queue:size())
    is_cancellation_point(queue.get, queue)
    assert.equal(1, queue:size())
  end)

  each_kind("can be given up putting into, and the item is not put", function(class)
    local queue = class(1)
    queue:put "a"
    can_be_interrupted("QUEUE_PUT", queue.put, queue, "b")
    assert.equal("a", queue:get())
    assert.is_true(queue:empty())
    is_cancellation_point(queue.put, queue, "c")
    assert.is_true(queue:empty())
  end)

  each_kind("passes over getters that gave up", function(class)
    local queue = class()
    local gone, heir = spawn(queue.get, queue), spawn(queue.get, queue)
    gone:cancel()
    queue:put "x"
    assert.equal("x", heir:join())
  end)

  each_kind("never takes back what a getter has been given", function(class)
    local queue = class()
    local got
    local getter = spawn(function()
      got = queue:get()
      curio.sleep(0)
      got = "never"
    end)
    queue:put "x"
    getter:cancel()
    assert.equal("x", got)
    assert.is_true(queue:empty())
  end)

  each_kind("works through generators", function(class)
    local queue = class(1)
    local items = coroutine.wrap(function()
      while true do
        coroutine.yield(queue:get())
      end
    end)
    local feed = coroutine.wrap(function()
      for i = 1, 10 do
        queue:put(i)
        queue:put(i)
      end
    end)
    local putter = spawn(feed)
    assert.equal("QUEUE_PUT", putter.state)
    local sum = 0
    for _ = 1, 20 do
      sum = sum + items()
    end
    putter:join()
    assert.equal(110, sum)
  end)

  each_kind("lets others run when it never has to wait", function(class)
    local queue, ran = class(), false
    curio.spawn(function()
      ran = true
    end)
    for i = 1, 100 do
      queue:put(i)
    end
    assert.is_true(ran)
    ran = false
    curio.spawn(function()
      ran = true
    end)
    for _ = 1, 100 do
      queue:get()
    end
    assert.is_true(ran)
  end)

  each_kind("shows its state", function(class, kind)
    local queue = class(1)
    queue:put(1)
    local putter = spawn(queue.put, queue, 2)
    assert.equal(kind .. "(1 items, 0 getting, 1 putting)", tostring(queue))
    queue:close()
    assert.equal(kind .. "(1 items, 0 getting, 0 putting, closed)", tostring(queue))
    putter:wait()
  end)

  it("refuses a size that is none", function()
    for _, kind in ipairs(KINDS) do
      assert.is_false(pcall(curio[kind], -1))
      assert.is_false(pcall(curio[kind], "x"))
      assert.is_false(pcall(curio[kind], 1.5))
    end
    assert.error_matches(function()
      curio.PriorityQueue(0, { lest = print })
    end, "unknown option 'lest'")
    assert.is_false(pcall(curio.PriorityQueue, 0, { less = 1 }))
    assert.is_false(pcall(curio.Queue(1).put, curio.Event()))
    assert.is_false(pcall(curio.Queue(1).put, io.stdout))
  end)
end)

describe("Joining a queue", function()
  each_kind("waits until all items have been dealt with", function(class)
    local queue = class(2)
    queue:join()
    local putter = spawn(function()
      for i = 1, 4 do
        queue:put(i)
      end
    end)
    local joiner = spawn(queue.join, queue)
    assert.equal("QUEUE_JOIN", joiner.state)
    for _ = 1, 4 do
      queue:get()
      testing.wait_all_blocked()
      assert.equal("QUEUE_JOIN", joiner.state)
      queue:task_done()
    end
    putter:join()
    joiner:join()
    queue:join()
  end)

  each_kind("counts items that went straight to a getter", function(class)
    local queue = class()
    local getter = spawn(queue.get, queue)
    queue:put(1)
    getter:join()
    local joiner = spawn(queue.join, queue)
    assert.equal("QUEUE_JOIN", joiner.state)
    queue:task_done()
    joiner:join()
  end)

  each_kind("can be given up", function(class)
    local queue = class()
    is_cancellation_point(queue.join, queue)
    queue:put(1)
    can_be_interrupted("QUEUE_JOIN", queue.join, queue)
  end)
end)

describe("A closed queue", function()
  each_kind("gives what is left, then nil and QueueClosed", function(class)
    local queue = filled(class, { 1, 2 })
    queue:close()
    queue:close()
    local got = { queue:get(), queue:get() }
    table.sort(got)
    assert.same({ 1, 2 }, got)
    local item, err = queue:get()
    assert.is_nil(item)
    assert.is_true(curio.is(err, curio.QueueClosed))
    assert.same({ false }, { queue:try_get() })
    is_cancellation_point(queue.get, queue)
  end)

  each_kind("takes nothing more", function(class)
    local queue = class()
    queue:close()
    assert.matches("queue:put: the queue is closed",
      tostring(raises(curio.QueueClosed, queue.put, queue, 1)))
    raises(curio.QueueClosed, queue.try_put, queue, 1)
  end)

  each_kind("wakes getters with nil and QueueClosed", function(class)
    local queue = class()
    local tasks = { spawn(queue.get, queue), spawn(queue.get, queue) }
    queue:close()
    for _, task in ipairs(tasks) do
      local item, err = task:join()
      assert.is_nil(item)
      assert.is_true(curio.is(err, curio.QueueClosed))
    end
  end)

  each_kind("raises in putters asleep, and drops their items", function(class)
    local queue = class(1)
    queue:put(1)
    local putter = spawn(pcall, queue.put, queue, 2)
    queue:close()
    local ok, err = putter:join()
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.QueueClosed))
    assert.equal(1, queue:get())
    assert.is_true(queue:empty())
  end)

  each_kind("can still be joined", function(class)
    local queue = filled(class, { 1 })
    queue:close()
    local joiner = spawn(queue.join, queue)
    queue:get()
    queue:task_done()
    joiner:join()
  end)

  each_kind("ends a loop over its items", function(class)
    local queue, sum = class(1), 0
    curio.spawn(function()
      local _ <close> = queue
      for i = 1, 10 do
        queue:put(i)
      end
    end)
    for item in queue:iter() do
      sum = sum + item
    end
    assert.equal(55, sum)
  end)

  each_kind("ends a loop that is asleep", function(class)
    local queue = class()
    local task = spawn(function()
      for _ in queue:iter() do
        error "no item was put"
      end
    end)
    assert.equal("QUEUE_GET", task.state)
    queue:close()
    task:join()
  end)
end)

describe("A loop over a queue", function()
  each_kind("says so when an item is nil", function(class)
    local queue = class()
    queue:put(nil)
    assert.error_matches(function()
      for _ in queue:iter() do
        error "not reached"
      end
    end, "an item is nil")
  end)

  each_kind("can be given up", function(class)
    local queue = class()
    can_be_interrupted("QUEUE_GET", function()
      for _ in queue:iter() do
        error "not reached"
      end
    end)
  end)
end)

describe("Items that cannot be compared", function()
  it("are the error of who puts them, and change nothing", function()
    local queue = filled(curio.PriorityQueue, { 1, 2, 3 })
    assert.error_matches(function()
      queue:put "x"
    end, "compare")
    assert.error_matches(function()
      queue:put { name = "no order" }
    end, "compare")
    assert.same({ 1, 2, 3 }, drain(queue))
    queue:put { name = "alone" }
    assert.error_matches(function()
      queue:put { name = "no order" }
    end, "no order")
    assert.equal(1, queue:size())
  end)

  it("are the error of a putter asleep, and the next one's item moves up", function()
    local queue = filled(curio.PriorityQueue, { 1, 2 }, 2)
    local bad = spawn(pcall, queue.put, queue, "x")
    local good = spawn(queue.put, queue, 3)
    assert.equal(1, queue:get())
    good:join()
    assert.is_false((bad:join()))
    assert.same({ 2, 3 }, drain(queue))
  end)

  it("leave a get that meets them without effect", function()
    local broken = false
    local queue = filled(curio.PriorityQueue, { 3, 1, 2 }, 0, {
      less = function(a, b)
        return assert(not broken, "broken") and a < b
      end,
    })
    broken = true
    assert.error_matches(function()
      queue:get()
    end, "broken")
    broken = false
    assert.same({ 1, 2, 3 }, drain(queue))
  end)
end)

describe("curio.queue", function()
  it("is written on the public traps, but for what is in C", function()
    local allowed = {
      ["curio.core"] = true,
      ["curio.errors"] = true,
      ["curio.sched"] = true,
      ["curio.traps"] = true,
    }
    local file <close> = assert(io.open "lua/curio/queue.lua")
    local text = file:read "a"
    for module in text:gmatch "require%s*%(?%s*[\"']([^\"']+)" do
      assert.is_true(allowed[module], module)
    end
    for use in text:gmatch "core%.(%w+)" do
      assert.is_true(use == "queue" or use == "universal" or use == "args" or use == "core", use)
    end
  end)
end)
