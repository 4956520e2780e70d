---@meta curio.monitor

---@class curio.monitor
local monitor = {}

--- Gives a kernel a monitor, until it is shut down. Raises OSError.
---@param kernel curio.Kernel
---@param address string|boolean|nil  a path, "host:port" of loopback; true or nil: the default
function monitor.open(kernel, address) end

--- Takes the monitor away again.
---@param kernel curio.Kernel
function monitor.close(kernel) end

--- What CURIOMONITOR asks for.
---@return string|boolean|nil address
function monitor.from_environment() end

--- Connects standard input and output to the monitor of a process.
---@async
---@param target string  a process number or an address
---@return true? ok
---@return curio.OSError? err
function monitor.attach(target) end

return monitor
