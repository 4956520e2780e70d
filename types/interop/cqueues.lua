---@meta curio.interop.cqueues
-- luacheck: no unused

--- cqueues inside tasks: its controllers are stepped by the task that runs them.
local cqueues = {}

--- Calls fn as a coroutine of a new controller, which the calling task steps until none of its
---coroutines is left; other tasks run meanwhile. An error of any of the coroutines is raised, a
---string with its traceback, and so is a cancellation of the task: then the others are ended, and
---the sockets and controllers of cqueues that were made meanwhile are closed. Inside a coroutine
---of cqueues it only calls fn.
---@async
---@param fn function
---@param ... any  its arguments
---@return any ...  its results
function cqueues.run(fn, ...) end

--- Steps a controller until none of its coroutines is left. An error of one is raised; after that,
---and when the task is cancelled, the controller is as good as before and may be looped again.
---@async
---@param controller table
---@return true? done
---@return table? err  a ClosedError, if the controller was closed meanwhile
function cqueues.loop(controller) end

--- Closes a controller and ends its coroutines: TaskCancelled is raised in each where it sleeps.
---@async
---@param controller table
function cqueues.close(controller) end

--- In a coroutine of cqueues: has a task of its own call fn, which may block as tasks do, and waits
---for it while the other coroutines go on. Elsewhere it only calls fn.
---@async
---@param fn function
---@param ... any  its arguments
---@return any ...  its results; what it raises is raised
function cqueues.await(fn, ...) end

return cqueues
