---@meta curio.signal

---@class curio.signal
---@field SIGABRT integer
---@field SIGALRM integer
---@field SIGBUS integer
---@field SIGCHLD integer
---@field SIGCONT integer
---@field SIGFPE integer
---@field SIGHUP integer
---@field SIGILL integer
---@field SIGINT integer
---@field SIGIO integer
---@field SIGKILL integer
---@field SIGPIPE integer
---@field SIGPROF integer
---@field SIGPWR integer
---@field SIGQUIT integer
---@field SIGRTMAX integer
---@field SIGRTMIN integer
---@field SIGSEGV integer
---@field SIGSTKFLT integer
---@field SIGSTOP integer
---@field SIGSYS integer
---@field SIGTERM integer
---@field SIGTRAP integer
---@field SIGTSTP integer
---@field SIGTTIN integer
---@field SIGTTOU integer
---@field SIGURG integer
---@field SIGUSR1 integer
---@field SIGUSR2 integer
---@field SIGVTALRM integer
---@field SIGWINCH integer
---@field SIGXCPU integer
---@field SIGXFSZ integer
local signal = {}

---@class curio.SignalQueue
local SignalQueue = {}

--- Waits for the next signal.
---@async
---@return integer? signo
---@return curio.Error? err  ClosedError
function SignalQueue:get() end

--- for signo in queue:iter() do: until the queue is closed.
---@return async fun(): integer?
function SignalQueue:iter() end

--- Listens no more; puts back what was in force before.
---@return true
function SignalQueue:close() end

---@class curio.SignalEvent
local SignalEvent = {}

--- Waits until one of the signals has come.
---@async
---@return true? come
---@return curio.Error? err  ClosedError
function SignalEvent:wait() end

---@return boolean
function SignalEvent:is_set() end

--- Makes later waits wait for the next signal.
function SignalEvent:clear() end

--- Listens no more; puts back what was in force before.
---@return true
function SignalEvent:close() end

--- Listens to signals: each that comes can be got from the queue.
---@param signo integer
---@param ... integer
---@return curio.SignalQueue? queue
---@return curio.Error? err
function signal.SignalQueue(signo, ...) end

--- Listens to signals: the event is set when one comes.
---@param signo integer
---@param ... integer
---@return curio.SignalEvent? event
---@return curio.Error? err
function signal.SignalEvent(signo, ...) end

--- Ignores signals until the object is closed.
---@param signo integer
---@param ... integer
---@return table? ignored
---@return curio.Error? err
function signal.ignore(signo, ...) end

return signal
