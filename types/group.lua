---@meta curio.group

---@class curio.TaskGroupOptions
---@field [integer] curio.Task
---@field wait "all"|"any"|"object"|"none"|nil  "all" by default
---@field errors "raise"|"collect"|nil          "raise" by default
---@field limit integer?                        spawn blocks while so many run

---@class curio.TaskGroup
---@field completed curio.Task?  the task that decided the wait
---@field result any             its result, or its error raised
---@field results table          first results in the order of spawning, with n
---@field exception any          of the first that failed
---@field exceptions table       in the order of spawning, with n
---@field tasks curio.Task[]     the only one that may be read before join
local TaskGroup = {}

--- Starts a member. Also spawn{fn, ..., daemon = false, name = "x"}. Blocks only for the limit.
---@async
---@param fn function|table
---@param ... any
---@return curio.Task
function TaskGroup:spawn(fn, ...) end

--- Starts a member whose body runs in a thread. Also spawn_thread{fn, ..., daemon = false,
--- name = "x"}. Blocks only for the limit.
---@async
---@param fn function|table
---@param ... any
---@return curio.Task task
function TaskGroup:spawn_thread(fn, ...) end

--- Makes a task a member.
---@param task curio.Task
function TaskGroup:add_task(task) end

--- Starts a member and waits until it calls curio.started. Also start{fn, ..., daemon = false,
--- name = "x"}.
---@async
---@param fn function|table
---@param ... any
---@return any ...  what was given to curio.started
function TaskGroup:start(fn, ...) end

--- The next member that ends, taken out of the group.
---@async
---@return curio.Task?  nil when none is left
function TaskGroup:next_done() end

--- The result of the next member that ends; raises its own error.
---@async
---@return any
function TaskGroup:next_result() end

--- for task in group:iter() do: the members as they end; the loop blocks.
---@return async fun(): curio.Task?
function TaskGroup:iter() end

--- Cancels the members that run, waits for them, forgets them.
---@async
function TaskGroup:cancel_remaining() end

--- Waits as the policy says, ends the others; raises a TaskError for the first failure.
---@async
function TaskGroup:join() end

---@class curio.groupmodule
local group = {}

--- A group of tasks, to be a `<close>` variable.
---@param opts curio.TaskGroupOptions?
---@return curio.TaskGroup
function group.TaskGroup(opts) end

--- Calls fn as the body of a new group and joins it. A member that fails stops the body too.
---@async
---@param fn async fun(group: curio.TaskGroup): ...
---@param opts curio.TaskGroupOptions?
---@return any ...  results of fn
function group.group(fn, opts) end

--- In a task started by group:start: hands the values to the starter.
---@param ... any
function group.started(...) end

return group
