---@meta curio.sync

---@class curio.Event
local Event = {}

--- Waits until the event is set.
---@async
function Event:wait() end

--- Sets it and wakes all.
function Event:set() end

--- Unsets it.
function Event:clear() end

---@return boolean
function Event:is_set() end

---@class curio.Result
local Result = {}

--- Waits for the values; raises the error if that is what came.
---@async
---@return any ...
function Result:unwrap() end

--- Supplies the values.
---@param ... any
function Result:set_value(...) end

--- Supplies an error.
---@param err any
function Result:set_exception(err) end

---@return boolean
function Result:is_set() end

---@class curio.Lock
local Lock = {}

--- Takes the lock: `local _ <close> = lock:acquire()`.
---@async
---@return curio.Lock  itself
function Lock:acquire() end

--- Gives it to the first who waits. Raises if the task does not hold it.
function Lock:release() end

---@return boolean
function Lock:locked() end

---@class curio.RLock
local RLock = {}

--- Takes the lock, or takes it once more.
---@async
---@return curio.RLock  itself
function RLock:acquire() end

--- Undoes one acquire.
function RLock:release() end

---@return boolean
function RLock:locked() end

---@class curio.Semaphore
---@field value integer  how many are left
local Semaphore = {}

--- Takes one, waits while none is left.
---@async
---@return curio.Semaphore  itself
function Semaphore:acquire() end

--- Gives one back.
function Semaphore:release() end

--- Is none left?
---@return boolean
function Semaphore:locked() end

--- Its release raises if all are back.
---@class curio.BoundedSemaphore: curio.Semaphore

---@class curio.Condition
local Condition = {}

---@async
---@return curio.Condition  itself
function Condition:acquire() end

function Condition:release() end

---@return boolean
function Condition:locked() end

--- Gives the lock back, waits to be notified, takes the lock again.
---@async
function Condition:wait() end

--- Waits until predicate() gives something true.
---@async
---@param predicate function
---@return any
function Condition:wait_for(predicate) end

--- Wakes up to n of those who wait.
---@param n integer?  1 by default
function Condition:notify(n) end

--- Wakes all who wait.
function Condition:notify_all() end

---@class curio.sync
local sync = {}

--- Something that tasks can wait for.
---@return curio.Event
function sync.Event() end

--- A value, or an error, that somebody will supply.
---@return curio.Result
function sync.Result() end

--- An Event for tasks of any kernels, threads and plain code.
---@return curio.Event
function sync.UniversalEvent() end

--- A Result for the same; each who unwraps it gets a copy.
---@return curio.Result
function sync.UniversalResult() end

--- Mutual exclusion.
---@return curio.Lock
function sync.Lock() end

--- A lock that its owner may take again.
---@return curio.RLock
function sync.RLock() end

--- Something there are n of.
---@param value integer?  1 by default
---@return curio.Semaphore
function sync.Semaphore(value) end

--- A semaphore that cannot be given back more often than it was taken.
---@param value integer?  1 by default
---@return curio.BoundedSemaphore
function sync.BoundedSemaphore(value) end

--- A lock, and a place to wait for news of what it protects.
---@param lock curio.Lock|curio.RLock|nil
---@return curio.Condition
function sync.Condition(lock) end

return sync
