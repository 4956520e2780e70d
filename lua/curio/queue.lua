--- Queues between the tasks of one kernel.
--
-- An item goes straight to the getter that has waited longest, and the item of the putter that has
-- waited longest takes the place of one that was got. So the order of puts is that of gets, and a
-- putter that is cancelled takes its item with it.

local errors = require "curio.errors"
local sched = require "curio.sched"
local traps = require "curio.traps"

local checkpoint = traps.checkpoint

local queue = {}

-- ---- what all queues have in common; each kind says how items are kept: _push and _pop ----

local Queue = {}

local function closed_error(verb)
  return errors.QueueClosed(verb .. ": the queue is closed")
end

local function check_maxsize(maxsize, kind)
  if maxsize == nil then
    return 0
  end
  if math.type(maxsize) ~= "integer" or maxsize < 0 then
    error(("curio.%s: maxsize must be a whole number, 0 or more, got %s"):format(kind, maxsize), 4)
  end
  return maxsize
end

local function new(meta, maxsize, kind)
  maxsize = check_maxsize(maxsize, kind)
  return setmetatable({
    maxsize = maxsize,
    _room = maxsize > 0 and maxsize or math.maxinteger,
    _count = 0,
    _unfinished = 0, -- items put and not yet told to be done
    _closed = false,
    _items = {},
    _getters = sched.SchedFIFO(),
    _putters = sched.SchedFIFO(),
    _joiners = sched.SchedBarrier(),
  }, meta)
end

local function tostring_of(self)
  return ("%s(%d items, %d getting, %d putting%s)"):format(getmetatable(self).__name:sub(7),
    self._count, #self._getters, #self._putters, self._closed and ", closed" or "")
end

--- How many items wait to be got.
---@return integer
function Queue:size()
  return self._count
end

---@return boolean
function Queue:empty()
  return self._count == 0
end

--- Would a put have to wait? Never, for a queue without a maxsize.
---@return boolean
function Queue:full()
  return self._count >= self._room
end

-- There is room. Getters wait only while the queue is empty.
local function give(q, item)
  q._unfinished = q._unfinished + 1
  if q._getters:wake(1, item) == 0 then
    q:_push(item)
    q._count = q._count + 1
  end
end

-- There is an item. Putters wait only while the queue is full.
local function take(q)
  local item = q:_pop()
  q._count = q._count - 1
  local woken, next_item = q._putters:wake(1)
  if woken > 0 then
    q._unfinished = q._unfinished + 1
    q:_push(next_item)
    q._count = q._count + 1
  end
  return item
end

--- Puts an item; waits while the queue is full.
---@async
---@param item any  nil is an item too
function Queue:put(item)
  checkpoint "queue:put"
  if self._closed then
    error(closed_error "queue:put", 2)
  end
  if self._count < self._room then
    return give(self, item)
  end
  local err = self._putters:suspend("QUEUE_PUT", item)
  if err then
    error(err, 2)
  end
end

--- Gets the next item; waits while there is none.
---@async
---@return any item
---@return table? err  QueueClosed, when the queue is closed and drained
function Queue:get()
  checkpoint "queue:get"
  if self._count > 0 then
    return take(self)
  end
  if self._closed then
    return nil, closed_error "queue:get"
  end
  return self._getters:suspend "QUEUE_GET"
end

--- Puts an item if there is room.
---@param item any
---@return boolean done
function Queue:try_put(item)
  if self._closed then
    error(closed_error "queue:try_put", 2)
  end
  if self._count >= self._room then
    return false
  end
  give(self, item)
  return true
end

--- Gets an item if there is one.
---@return boolean done
---@return any item
function Queue:try_get()
  if self._count == 0 then
    return false
  end
  return true, take(self)
end

--- Closes the queue: put raises QueueClosed, also for those who sleep in it; get gives what is left,
---then nil and QueueClosed.
function Queue:close()
  if self._closed then
    return
  end
  self._closed = true
  self._getters:wake(#self._getters, nil, closed_error "queue:get")
  self._putters:wake(#self._putters, closed_error "queue:put")
end

--- for item in q:iter() do: gets items until the queue is closed and drained. Raises at an item that
---is nil, which `for` cannot show.
function Queue:iter()
  return function()
    local item, err = self:get()
    if item == nil and not err then
      error("queue:iter: an item is nil, which would end the loop; use queue:get", 2)
    end
    return item
  end
end

--- Tells that an item that was got has been dealt with.
function Queue:task_done()
  if self._unfinished == 0 then
    error("queue:task_done: called more often than items were put", 2)
  end
  self._unfinished = self._unfinished - 1
  if self._unfinished == 0 then
    self._joiners:wake()
  end
end

--- Waits until every item that was put has been dealt with.
---@async
function Queue:join()
  checkpoint "queue:join"
  if self._unfinished > 0 then
    self._joiners:suspend "QUEUE_JOIN"
  end
end

local function class(name, methods)
  local meta = { __name = "curio." .. name, __tostring = tostring_of, __close = Queue.close }
  meta.__index = setmetatable(methods, { __index = Queue })
  return meta
end

-- ---- first in, first out ----

local NIL = {} -- stands for nil in the store

local fifo_meta = class("Queue", {
  _head = 0, -- the last item got; they stand in _items[_head + 1 .. _head + _count]
  _push = function(self, item)
    self._items[self._head + self._count + 1] = item == nil and NIL or item
  end,
  _pop = function(self)
    local head = self._head + 1
    local item = self._items[head]
    self._items[head] = nil
    self._head = head
    if item ~= NIL then
      return item
    end
  end,
})

--- A queue: first in, first out.
---@param maxsize integer?  0, the default: no limit
---@return table queue
function queue.Queue(maxsize)
  return new(fifo_meta, maxsize, "Queue")
end

-- ---- last in, first out ----

local lifo_meta = class("LifoQueue", {
  _push = function(self, item)
    self._items[#self._items + 1] = item == nil and NIL or item
  end,
  _pop = function(self)
    local item = table.remove(self._items)
    if item ~= NIL then
      return item
    end
  end,
})

--- A queue that gives the newest item first.
---@param maxsize integer?  0, the default: no limit
---@return table queue
function queue.LifoQueue(maxsize)
  return new(lifo_meta, maxsize, "LifoQueue")
end

-- ---- least first ----

local less_items

-- Plain arrays are compared element by element, a shorter one comes first.
local function less_arrays(a, b)
  for i = 1, math.min(#a, #b) do
    if less_items(a[i], b[i]) then
      return true
    elseif less_items(b[i], a[i]) then
      return false
    end
  end
  return #a < #b
end

local function is_array(value)
  if type(value) ~= "table" then
    return false
  end
  local meta = getmetatable(value)
  return type(meta) ~= "table" or not meta.__lt
end

function less_items(a, b)
  if is_array(a) and is_array(b) then
    return less_arrays(a, b)
  end
  return a < b
end

-- The heap is an array of entries {item, seq}: of equal ones the older comes first.
local function before(q, a, b)
  local less = q._less
  if less(a[1], b[1]) then
    return true
  end
  return a[2] < b[2] and not less(b[1], a[1])
end

local function sift_up(q, heap, i)
  local entry = heap[i]
  while i > 1 do
    local parent = i // 2
    if not before(q, entry, heap[parent]) then
      break
    end
    heap[i] = heap[parent]
    i = parent
  end
  heap[i] = entry
end

local function sift_down(q, heap, i)
  local entry, n = heap[i], #heap
  while 2 * i <= n do
    local child = 2 * i
    if child < n and before(q, heap[child + 1], heap[child]) then
      child = child + 1
    end
    if not before(q, heap[child], entry) then
      break
    end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = entry
end

local priority_meta = class("PriorityQueue", {
  _push = function(self, item)
    local heap = self._items
    self._seq = self._seq + 1
    heap[#heap + 1] = { item, self._seq }
    sift_up(self, heap, #heap)
  end,
  _pop = function(self)
    local heap = self._items
    local first, last = heap[1], table.remove(heap)
    if #heap > 0 then
      heap[1] = last
      sift_down(self, heap, 1)
    end
    return first[1]
  end,
})

--- A queue that gives the least item first, of equal ones the one that was put first. Numbers and
---strings are ordered by `<`, objects by their __lt, plain arrays element by element.
---@param maxsize integer?  0, the default: no limit
---@param opts table?  less: a function (a, b) that tells whether a comes before b
---@return table queue
function queue.PriorityQueue(maxsize, opts)
  local q = new(priority_meta, maxsize, "PriorityQueue")
  q._less = opts and opts.less or less_items
  q._seq = 0
  return q
end

return queue
