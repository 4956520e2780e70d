---@meta curio.traps

---@class curio.traps
local traps = {}

--- Waits until a descriptor that is not curio's can be read.
---@async
---@param fd integer|table|userdata  or an object with fileno
---@return true? ok
---@return curio.OSError? err
function traps.read_wait(fd) end

--- Waits until a descriptor that is not curio's can be written.
---@async
---@param fd integer|table|userdata
---@return true? ok
---@return curio.OSError? err
function traps.write_wait(fd) end

--- Before such a descriptor is closed: forgets it, wakes who waits.
---@param fd integer|table|userdata
function traps.io_release(fd) end

--- The tasks that wait to read and to write a descriptor.
---@param fd integer|table|userdata
---@return curio.Task? reader
---@return curio.Task? writer
function traps.io_waiting(fd) end

---@async
---@param seconds number
---@return number clock
function traps.sleep(seconds) end

---@return number seconds
function traps.clock() end

--- task.spawn: also spawn{fn, ..., daemon = false, name = "x"}.
---@param fn function|table
---@param ... any
---@return curio.Task
function traps.spawn(fn, ...) end

--- Asks a task to end; does not wait for that.
---@param task curio.Task
---@param exc any
function traps.cancel_task(task, exc) end

--- list:suspend.
---@async
---@param sched curio.WaitList
---@param state string?
---@param offer any
---@return any ...
function traps.scheduler_wait(sched, state, offer) end

--- list:wake.
---@param sched curio.WaitList
---@param n integer?
---@param ... any
---@return integer woken
---@return any offer
function traps.scheduler_wake(sched, n, ...) end

--- Raises what is pending; gives way when the task has done much without waiting.
---@async
---@param verb string?
---@return integer id  of the running task
function traps.checkpoint(verb) end

---@return curio.Task?
function traps.get_current() end

---@return integer? id
function traps.get_id() end

---@return curio.Kernel?
function traps.get_kernel() end

--- Calls fn with cancellation and deadlines held back.
---@param fn function?
---@param ... any
---@return any ...
function traps.disable_cancellation(fn, ...) end

--- Sets a deadline for the running task.
---@param clock number?  nil: none of its own
---@return curio.Timeout
function traps.set_timeout(clock) end

--- Takes it back.
---@param previous curio.Timeout
---@return number clock
function traps.unset_timeout(previous) end

--- Waits until a future is done: an object with add_done_callback(fn) and cancel().
---@async
---@param future table
---@param event curio.Event?  is set once the callback stands
function traps.future_wait(future, event) end

return traps
