---@meta curio.thread

---@class curio.Thread
---@field id integer
---@field name string          place of its function
---@field terminated boolean
---@field cancelled boolean
---@field result any           first result; raises while it runs, and the error of one that failed
---@field exception any        the error; raises while it runs
local Thread = {}

--- Waits for its end; outside a kernel with the calling thread.
---@async
---@return any ...  results; raises TaskError
function Thread:join() end

--- Waits for its end.
---@async
function Thread:wait() end

--- Tells it to end.
---@async
---@param opts {blocking: boolean?}?
---@return boolean
function Thread:cancel(opts) end

---@class curio.thread
local thread = {}

--- In a thread of spawn_thread: calls fn in its task.
---@param fn function
---@param ... any
---@return any ...
function thread.AWAIT(fn, ...) end

--- May AWAIT be used here?
---@return boolean
function thread.is_async_thread() end

--- A task whose body runs in a thread. Also spawn_thread{fn, ..., daemon = false, name = "x"}.
---@param fn function|table
---@param ... any
---@return curio.Task task
function thread.spawn_thread(fn, ...) end

--- A plain thread.
---@param fn function
---@param ... any
---@return curio.Thread? thread
---@return curio.OSError? err
function thread.Thread(fn, ...) end

return thread
