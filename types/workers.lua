---@meta curio.workers

---@class curio.workers
---@field MAX_WORKER_THREADS integer  how many functions run_in_thread runs at once; 64
---@field MAX_WORKER_PROCESSES integer  how many processes run_in_process uses at once; the cores
local workers = {}

--- Calls fn in a thread, in a Lua state of its own; arguments and results are copied.
---@async
---@param fn function
---@param ... any
---@return any ...  results of fn; its error is raised
function workers.run_in_thread(fn, ...) end

--- Calls fn in another process, a fresh interpreter of a pool; arguments and results are copied.
---@async
---@param fn function
---@param ... any
---@return any ...  results of fn; its error is raised, or WorkerDied
function workers.run_in_process(fn, ...) end

return workers
