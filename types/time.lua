---@meta curio.time

--- A block with a time limit.
---@class curio.Timeout
---@field expired boolean

---@class curio.time
local time = {}

--- Suspends the task; 0 only lets the other ready tasks run first.
---@async
---@param seconds number  0 or more
---@return number clock   at wake-up
function time.sleep(seconds) end

--- The monotonic clock.
---@return number seconds
function time.clock() end

--- Calls fn with a time limit, which raises TaskTimeout; without fn, limits a block:
--- `local t <close> = curio.timeout_after(5)`.
---@async
---@param seconds number|table|nil  nil: no limit of its own
---@param fn function?
---@param ... any
---@return any ...         results of fn, or the object to be closed
---@overload fun(seconds: number?): curio.Timeout
function time.timeout_after(seconds, fn, ...) end

--- As timeout_after, but gives nil when the time is up; in the form
--- `ignore_after{seconds, fn, ..., timeout_result = v}` v.
---@async
---@param seconds number|table|nil
---@param fn function?
---@param ... any
---@return any ...
function time.ignore_after(seconds, fn, ...) end

return time
