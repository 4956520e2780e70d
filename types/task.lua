---@meta curio.task

---@class curio.Task
---@field id integer               grows from 1 in each kernel
---@field parentid integer?        of its spawner
---@field name string
---@field daemon boolean
---@field state string             "READY", "READ_WAIT", ...
---@field cycles integer           how often it has been resumed
---@field cancelled boolean        was it ever asked to end?
---@field terminated boolean
---@field result any               first result; raises its own error; raises while it runs
---@field results table            all, as by table.pack; raises likewise
---@field exception any            its error; raises while it runs
---@field error_traceback string?  of a failed task
---@field spawned_at string?       of a failed task: "file:line"
local Task = {}

--- Waits for the end. Raises a TaskError if the task failed or was cancelled.
---@async
---@return any ...  all its results
function Task:join() end

--- Waits for the end, whatever it is.
---@async
function Task:wait() end

---@class curio.CancelOptions
---@field blocking boolean?  wait for the end; true by default
---@field exc any            an error class or object; TaskCancelled by default
---@field reason any         for err.reason
---@field timeout number?    seconds to wait

--- Asks the task to end and waits until it has.
---@async
---@param opts curio.CancelOptions?
---@return boolean done  false if the timeout passed first
function Task:cancel(opts) end

--- Its stack as text, without curio's own functions.
---@return string
function Task:traceback() end

--- Where it is in the program's own code.
---@return string? file
---@return integer? line
function Task:where() end

--- A shielded block.
---@class curio.Shield

---@class curio.task
local task = {}

--- Starts a task; does not switch to it. Also spawn{fn, ..., daemon = false, name = "x"}.
---@param fn function|table
---@param ... any
---@return curio.Task
function task.spawn(fn, ...) end

--- The task that runs.
---@return curio.Task
function task.current_task() end

--- Lets the other ready tasks run first.
---@async
function task.schedule() end

--- Calls fn with cancellation and deadlines held back; without fn, shields a block.
---@param fn function?
---@param ... any
---@return any ...  results of fn, or the object to be closed
---@overload fun(): curio.Shield
function task.disable_cancellation(fn, ...) end

--- What is pending: with a class, accepted and returned if it is of that class; without one,
--- raised, or returned inside a shield.
---@param class curio.ErrorClass?
---@return curio.Error?
function task.check_cancellation(class) end

--- Sets, or with nil clears, the cancellation pending for the running task.
---@param err any
---@return any old
function task.set_cancellation(err) end

--- Lua's pcall, but a cancellation passes through.
---@param f function
---@param ... any
---@return boolean ok
---@return any ...
function task.pcall(f, ...) end

--- Lua's xpcall, but a cancellation passes through.
---@param f function
---@param handler function
---@param ... any
---@return boolean ok
---@return any ...
function task.xpcall(f, handler, ...) end

--- An object with fields of its own in each task; a new task inherits a snapshot of its spawner's.
---@return table
function task.Local() end

return task
