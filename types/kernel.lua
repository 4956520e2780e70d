---@meta curio.kernel

---@class curio.KernelOptions
---@field debug table?        debuggers of curio.debug, a list of names or a table
---@field activations curio.Activation[]?
---@field clock table?        of curio.testing.autojump

---@class curio.RunOptions: curio.KernelOptions
---@field with_monitor boolean|string|nil  true, or the monitor's address
---@field log fun(level: string, message: string)?  in the place of curio.log

---@class curio.Kernel
local Kernel = {}

--- Runs fn as the main task until it ends; also run{fn, ..., shutdown = true}. Without fn: one
--- look at timers and descriptors, and a turn of what is ready.
---@param fn function|table|nil
---@param ... any
---@return any ...  results of fn; its error is raised
function Kernel:run(fn, ...) end

--- Cancels all tasks, newest first, and waits for them.
function Kernel:shutdown() end

--- The status that os.exit(code, true) asked for.
---@return integer?
function Kernel:exit_code() end

---@class curio.kernel
local kernel = {}

--- Makes a kernel, runs fn as its main task, shuts the kernel down. Also run{fn, ..., debug = {},
--- activations = {}, with_monitor = true, clock = clock, log = function}, as in curio.RunOptions.
---@param fn function|table
---@param ... any
---@return any ...  results of fn; its error is raised
function kernel.run(fn, ...) end

--- Makes a kernel to be run by hand.
---@param opts curio.KernelOptions?
---@return curio.Kernel
function kernel.Kernel(opts) end

return kernel
