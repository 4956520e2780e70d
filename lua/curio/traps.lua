--- The traps: the whole of what tasks can ask of the kernel. All else is built on them.

local core = require "curio.core"

local c = core.traps

local traps = {}

--- Waits until a descriptor can be read. For descriptors that are not curio's own.
---@async
---@param fd integer|table  or an object with a fileno method
---@return true? ok
---@return table? err  an OSError; a second waiter raises ReadResourceBusy
traps.read_wait = c.read_wait

--- Waits until a descriptor can be written. For descriptors that are not curio's own.
---@async
---@param fd integer|table
---@return true? ok
---@return table? err  an OSError; a second waiter raises WriteResourceBusy
traps.write_wait = c.write_wait

--- To be called before a descriptor is closed: forgets it, wakes who waits on it.
---@param fd integer|table
traps.io_release = c.io_release

--- The tasks that wait to read and to write a descriptor.
---@param fd integer|table
---@return table? reader
---@return table? writer
traps.io_waiting = c.io_waiting

--- Suspends the task; 0 only lets the other ready tasks run first.
---@async
---@param seconds number
---@return number clock
traps.sleep = core.sleep

--- The kernel's monotonic clock.
---@return number seconds
traps.clock = core.clock

--- Starts a task; does not switch to it.
---@param fn function
---@param ... any
---@return table task
traps.spawn = core.spawn

--- Asks a task to end; does not wait for that.
---@param task table
---@param exc table?  an error object or class; TaskCancelled by default
function traps.cancel_task(task, exc)
  task:cancel { blocking = false, exc = exc }
end

--- Sleeps in a wait list of curio.sched.
---@async
---@param sched table
---@param state string?  what task.state shows meanwhile
---@param offer any?  what wake gets for this sleeper
---@return any ...  what wake hands over
function traps.scheduler_wait(sched, state, offer)
  return sched:suspend(state, offer)
end

--- Wakes up to n sleepers of a wait list, first come first, and hands values over.
---@param sched table
---@param n integer?  1 for a SchedFIFO, all for a SchedBarrier
---@param ... any
---@return integer woken
---@return any offer  what the first of them had brought
function traps.scheduler_wake(sched, n, ...)
  return sched:wake(n, ...)
end

--- What a blocking function begins with that may not have to wait: raises a pending cancellation,
---and when the task has done much without waiting lets the others run first.
---@async
---@param verb string?  its name, for messages
---@return integer id  of the running task
traps.checkpoint = c.checkpoint

--- The running task; nil where none runs.
---@return table? task
traps.get_current = c.get_current

--- The running task's id, which is cheaper to have than the task; nil where none runs.
---@return integer? id
traps.get_id = c.get_id

--- The kernel that runs in this thread; nil where none does.
---@return table? kernel
traps.get_kernel = c.get_kernel

--- Calls fn with cancellation and timeouts held back, as curio.disable_cancellation.
traps.disable_cancellation = core.disable_cancellation

--- Sets a deadline for the running task; one set before, if it is sooner, stays in force.
---@param clock number?  as of traps.clock; nil: none of its own
---@return table previous  for unset_timeout; its `expired` tells whether the time was up
function traps.set_timeout(clock)
  return core.timeout_after(clock and clock - core.clock())
end

--- Takes back the deadline that set_timeout gave `previous` for; if it has expired without being
---raised that is forgotten.
---@param previous table
---@return number clock
function traps.unset_timeout(previous)
  getmetatable(previous).__close(previous)
  return core.clock()
end

local future_meta = {
  __close = function(wait)
    if not wait.done then
      wait.done = true -- a late completion finds nobody
      wait.future:cancel()
    end
  end,
}

--- Waits until a future is done: an object with add_done_callback(fn) and cancel(). Interrupted, it
---cancels the future.
---@async
---@param future table
---@param event table?  is set once the callback stands
function traps.future_wait(future, event)
  c.checkpoint "traps.future_wait"
  local sleepers = core.sched()
  local wait <close> = setmetatable({ future = future, done = false }, future_meta)
  future:add_done_callback(function()
    wait.done = true
    sleepers:wake()
  end)
  if event then
    event:set()
  end
  if not wait.done then
    sleepers:suspend "FUTURE_WAIT"
  end
end

return traps
