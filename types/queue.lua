---@meta curio.queue

---@class curio.Queue
local Queue = {}

--- Puts an item; waits while the queue is full. Raises QueueClosed.
---@async
---@param item any  nil is an item too
function Queue:put(item) end

--- Gets the next item; waits while there is none.
---@async
---@return any item
---@return curio.Error? err  QueueClosed, when it is closed and drained
function Queue:get() end

--- Puts an item if there is room. Raises QueueClosed.
---@param item any
---@return boolean done
function Queue:try_put(item) end

--- Gets an item if there is one.
---@return boolean done
---@return any item
function Queue:try_get() end

--- No more puts; what is left can be got.
function Queue:close() end

--- for item in queue:iter() do: until it is closed and drained; the loop blocks.
---@return async fun(...): any
---@return any
function Queue:iter() end

--- An item that was got has been dealt with.
function Queue:task_done() end

--- Waits until every item has been dealt with.
---@async
function Queue:join() end

--- How many items wait to be got.
---@return integer
function Queue:size() end

---@return boolean
function Queue:empty() end

--- Would a put have to wait?
---@return boolean
function Queue:full() end

---@class curio.queue
local queue = {}

--- First in, first out.
---@param maxsize integer?  0, the default: no limit
---@return curio.Queue
function queue.Queue(maxsize) end

--- The newest item first.
---@param maxsize integer?
---@return curio.Queue
function queue.LifoQueue(maxsize) end

--- The least item first, of equal ones the oldest.
---@param maxsize integer?
---@param opts { less: fun(a: any, b: any): boolean }?
---@return curio.Queue
function queue.PriorityQueue(maxsize, opts) end

---@class curio.UniversalQueue : curio.Queue
local UniversalQueue = {}

--- A descriptor that is readable while there are items; of a queue made with withfd = true. To be
---polled, not to be read.
---@return integer fd
function UniversalQueue:fileno() end

--- A queue between tasks of any kernels, threads and plain code; items are copied.
---@param opts { maxsize: integer?, withfd: boolean? }?
---@return curio.UniversalQueue
function queue.UniversalQueue(opts) end

return queue
