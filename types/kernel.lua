---@meta curio.kernel
-- luacheck: no unused

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

--- Makes a kernel, runs fn as its main task, shuts the kernel down. Also
--- run{fn, ..., log = function}.
---@param fn function|table
---@param ... any
---@return any ...  results of fn; its error is raised
function kernel.run(fn, ...) end

--- Makes a kernel to be run by hand.
---@param opts table?
---@return curio.Kernel
function kernel.Kernel(opts) end

return kernel
