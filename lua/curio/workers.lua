--- Functions run elsewhere: in threads and in processes.

local core = require "curio.core"
local snapshot = require("curio.task")._snapshot

local workers = {}

--- How many functions run_in_thread runs at once; further ones wait. Each Lua state counts for
---itself.
workers.MAX_WORKER_THREADS = 64

--- How many processes run_in_process uses at once; further calls wait.
workers.MAX_WORKER_PROCESSES = core.worker.cores()

local run = core.thread.run

--- Calls fn in a thread, in a Lua state of its own; arguments and results are copied. When the task
---is cancelled the thread is told to end, and nobody waits for it.
---@async
---@param fn function
---@param ... any
---@return any ...  results of fn; its error is raised, with the traceback of the thread
function workers.run_in_thread(fn, ...)
  return run(workers.MAX_WORKER_THREADS, snapshot(), fn, ...)
end

local call

---@async
local function run_in_process(_, fn, ...)
  call = call or require("curio.workers.process").call
  return call(workers.MAX_WORKER_PROCESSES, fn, ...)
end

--- Calls fn in another process, a fresh interpreter of a pool; arguments and results are copied.
---When the task is cancelled the process is ended.
---@async
---@param fn function
---@param ... any
---@return any ...  results of fn; its error is raised, with the traceback of the process;
---WorkerDied is raised when the process ends without an answer
function workers.run_in_process(fn, ...)
  return run_in_process(core.args.call("run_in_process", {}, 0, fn, ...))
end

return workers
