--- Sleeping and deadlines.

local core = require "curio.core"

local time = {}

--- Suspends the task. 0 only lets the other ready tasks run first.
---@async
---@param seconds number  not negative
---@return number clock  the monotonic clock at wake-up, in seconds
time.sleep = core.sleep

--- The monotonic clock. Does not block.
---@return number seconds
time.clock = core.clock

--- Calls fn with a time limit; without fn, makes a context for a block:
---`local t <close> = curio.timeout_after(5)`. Of nested scopes the outermost that has expired
---raises TaskTimeout; inside it, TimeoutCancellationError is seen.
---@async
---@param seconds number?  nil: no limit of its own
---@param fn function?
---@param ... any  arguments of fn
---@return any ...  results of fn
time.timeout_after = core.timeout_after

--- As timeout_after, but gives nil, or in the form `ignore_after{seconds, fn, ..., timeout_result =
--- v}` v, when the time is up.
---@async
---@param seconds number?
---@param fn function
---@param ... any
---@return any ...
time.ignore_after = core.ignore_after

return time
