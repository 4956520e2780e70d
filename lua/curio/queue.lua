--- Queues between the tasks of one kernel.
--
-- An item goes straight to the getter that has waited longest; and when an item is got, that of the
-- putter that has waited longest takes the place. So getters sleep only while a queue is empty,
-- putters only while it is full, and a putter that is cancelled takes its item with it.
--
-- The plain queues are in C, for speed (src/queuelib.c). The priority queue is written on
-- curio.traps and curio.sched; it shows how the others work.

local core = require "curio.core"
local errors = require "curio.errors"
local sched = require "curio.sched"
local traps = require "curio.traps"

local checkpoint = traps.checkpoint

local queue = {}

--- A queue: first in, first out. Its methods are those of PriorityQueue below.
---@param maxsize integer?  0, the default: no limit
---@return table queue
queue.Queue = core.queue.fifo

--- A queue that gives the newest item first.
---@param maxsize integer?  0, the default: no limit
---@return table queue
queue.LifoQueue = core.queue.lifo

--- A queue between tasks of any kernels, threads and plain code. Items are copied.
---@param opts table?  maxsize: 0, the default, is no limit; withfd: it has a fileno()
---@return table queue
queue.UniversalQueue = core.universal.queue

-- ---- the order of items ----

local less_items

local function no_order()
  error("PriorityQueue: tables without elements or __lt have no order; give option 'less'", 0)
end

local function less_arrays(a, b)
  if a[1] == nil and next(a) ~= nil or b[1] == nil and next(b) ~= nil then
    no_order()
  end
  for i = 1, math.min(#a, #b) do
    local x, y = a[i], b[i]
    if x ~= y then
      if less_items(x, y) then
        return true
      elseif less_items(y, x) then
        return false
      end
    end
  end
  return #a < #b
end

local function is_plain(value)
  return type(value) == "table" and getmetatable(value) == nil
end

function less_items(a, b)
  if is_plain(a) and is_plain(b) then
    return less_arrays(a, b)
  end
  return a < b
end

-- ---- the heap ----

-- The heap is an array of entries {item, seq, is_plain(item)}. A comparison may raise; so each
-- change of the heap is worked out first and made when nothing can go wrong any more.

local ITEM, SEQ, PLAIN = 1, 2, 3

-- Of equal items the older comes first. less: the user's; nil: none.
local function before(less, a, b)
  local x, y, older = a[ITEM], b[ITEM], a[SEQ] < b[SEQ]
  if older then -- it comes first unless the other is less
    x, y = y, x
  end
  local is_less
  if less then
    is_less = less(x, y)
  elseif a[PLAIN] and b[PLAIN] then
    is_less = less_arrays(x, y)
  else
    is_less = x < y
  end
  if older then
    return not is_less
  end
  return is_less
end

local function insert(q, entry)
  local heap, less = q._heap, q._less
  local last = q._count + 1
  local place = last
  while place > 1 and before(less, entry, heap[place // 2]) do
    place = place // 2
  end
  while last > place do
    heap[last] = heap[last // 2]
    last = last // 2
  end
  heap[place] = entry
  q._count = q._count + 1
end

-- The places that the last entry passes on its way down from the first; how many.
local function way_down(way, heap, less, count)
  local n, place, last = 0, 1, heap[count]
  while 2 * place < count do
    local child = 2 * place
    if child + 1 < count and before(less, heap[child + 1], heap[child]) then
      child = child + 1
    end
    if not before(less, heap[child], last) then
      break
    end
    n = n + 1
    way[n] = child
    place = child
  end
  return n
end

local function remove_first(q)
  local heap, way, count = q._heap, q._way, q._count
  local first, place = heap[1], 1
  for i = 1, way_down(way, heap, q._less, count) do
    local child = way[i]
    heap[place] = heap[child]
    place = child
  end
  heap[place] = heap[count]
  heap[count] = nil
  q._count = count - 1
  return first[ITEM]
end

-- ---- the queue ----

local PriorityQueue = {}

local meta = { __index = PriorityQueue, __name = "curio.PriorityQueue" }

function meta:__tostring()
  return ("PriorityQueue(%d items, %d getting, %d putting%s)"):format(self._count, #self._getters,
    #self._putters, self._closed and ", closed" or "")
end

local function check_options(maxsize, opts)
  if math.type(maxsize) ~= "integer" or maxsize < 0 then
    error(("PriorityQueue: maxsize must be 0 or a positive integer, got %s"):format(maxsize), 3)
  end
  core.args.options(opts, "curio.PriorityQueue", { "less" })
  if opts and opts.less ~= nil and not core.args.callable(opts.less) then
    error("curio.PriorityQueue: less must be a function, got " .. type(opts.less), 3)
  end
end

--- A queue that gives the least item first, of equal ones the one that was put first. Numbers and
---strings are ordered by `<`, objects by their __lt, plain arrays element by element.
---@param maxsize integer?  0, the default: no limit
---@param opts table?  less: a function (a, b) that tells whether a comes before b; must not block
---@return table queue
function queue.PriorityQueue(maxsize, opts)
  maxsize = maxsize or 0
  check_options(maxsize, opts)
  return setmetatable({
    _less = opts and opts.less,
    _maxsize = maxsize > 0 and maxsize or math.maxinteger,
    _heap = {},
    _way = {}, -- for remove_first
    _count = 0,
    _seq = 0, -- of the entry made last
    _unfinished = 0, -- items put and not yet told to be done
    _closed = false,
    _getters = sched.SchedFIFO(),
    _putters = sched.SchedFIFO(),
    _joiners = sched.SchedBarrier(),
  }, meta)
end

--- How many items wait to be got.
---@return integer
function PriorityQueue:size()
  return self._count
end

---@return boolean
function PriorityQueue:empty()
  return self._count == 0
end

--- Would a put have to wait?
---@return boolean
function PriorityQueue:full()
  return self._count >= self._maxsize
end

local function closed_error(verb)
  return errors.QueueClosed(verb .. ": the queue is closed")
end

local function new_entry(q, item)
  q._seq = q._seq + 1
  return { item, q._seq, is_plain(item) }
end

-- There is room.
local function give(q, item)
  if #q._getters == 0 then
    insert(q, new_entry(q, item))
  else
    q._getters:wake(1, item)
  end
  q._unfinished = q._unfinished + 1
end

-- Room has been made: putters' items move up. Where one cannot be compared that is its putter's
-- error.
local function move_up(q)
  local woken, entry = q._putters:wake(1)
  while woken > 0 do
    local ok, err = pcall(insert, q, entry)
    if ok then
      q._unfinished = q._unfinished + 1
      return
    end
    entry.error = err
    woken, entry = q._putters:wake(1)
  end
end

-- There is an item.
local function take(q)
  local item = remove_first(q)
  move_up(q)
  return item
end

--- Puts an item; waits while the queue is full.
---@async
---@param item any  nil is an item too
function PriorityQueue:put(item)
  checkpoint "queue:put"
  if self._closed then
    error(closed_error "queue:put", 2)
  end
  if not self:full() then
    return give(self, item)
  end
  local entry = new_entry(self, item)
  local err = self._putters:suspend("QUEUE_PUT", entry) or entry.error
  if err then
    error(err, 0)
  end
end

--- Gets the next item; waits while there is none.
---@async
---@return any item
---@return table? err  QueueClosed, when the queue is closed and drained
function PriorityQueue:get()
  checkpoint "queue:get"
  if self._count > 0 then
    return take(self)
  end
  if self._closed then
    return nil, closed_error "queue:get"
  end
  return self._getters:suspend "QUEUE_GET"
end

--- Puts an item if there is room. Raises when the queue is closed.
---@param item any
---@return boolean done
function PriorityQueue:try_put(item)
  if self._closed then
    error(closed_error "queue:try_put", 2)
  end
  if self:full() then
    return false
  end
  give(self, item)
  return true
end

--- Gets an item if there is one.
---@return boolean done
---@return any item
function PriorityQueue:try_get()
  if self._count == 0 then
    return false
  end
  return true, take(self)
end

--- Closes the queue: put raises QueueClosed, also for those who sleep in it; get gives what is
---left, then nil and QueueClosed.
function PriorityQueue:close()
  self._closed = true
  self._putters:wake(#self._putters, closed_error "queue:put")
  self._getters:wake(#self._getters, nil, closed_error "queue:get")
end

meta.__close = PriorityQueue.close

local function next_item(q)
  local item, err = q:get()
  if item == nil and not err then
    error("queue:iter: an item is nil, which would end the loop; use queue:get", 2)
  end
  return item
end

--- for item in q:iter() do: gets items until the queue is closed and drained. Raises at an item
---that is nil, which `for` cannot show.
function PriorityQueue:iter()
  return next_item, self
end

--- Tells that an item that was got has been dealt with.
function PriorityQueue:task_done()
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
function PriorityQueue:join()
  checkpoint "queue:join"
  if self._unfinished > 0 then
    self._joiners:suspend "QUEUE_JOIN"
  end
end

return queue
