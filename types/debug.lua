---@meta curio.debug

--- Told what becomes of tasks; each method may be missing, none may block.
---@class curio.Activation
---@field activate fun(self, kernel: curio.Kernel)?
---@field deactivate fun(self, kernel: curio.Kernel)?
---@field created fun(self, task: curio.Task)?
---@field running fun(self, task: curio.Task)?
---@field suspended fun(self, task: curio.Task, trap: string?)?  trap nil: it has ended
---@field terminated fun(self, task: curio.Task)?

---@class curio.DebuggerOptions
---@field filter string|string[]|table<string, boolean>|nil  names of the tasks that are meant
---@field log fun(level: string, message: string)?           curio.log by default
---@field level string?
---@field max_time number?                                   of longblock: seconds, 0.05

---@alias curio.Debugger fun(opts: curio.DebuggerOptions?): curio.Activation

---@class curio.debug
---@field schedtrace curio.Debugger  a line when a task is made, goes on, goes to sleep, ends
---@field traptrace curio.Debugger   the same, and what it waits for
---@field logcrash curio.Debugger    errors that end tasks
---@field longblock curio.Debugger   tasks that run for long without blocking
---@field tracer fun(opts: {path: string}): curio.Activation  writes the time line to a file
local debug = {}

return debug
