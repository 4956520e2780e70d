---@meta curio.network.systemd

--- systemd: the sockets it hands over, and telling it how the program is.
local systemd = {}

--- The sockets that systemd has opened for this program: a list, with names.
---@return table? sockets
---@return curio.OSError? err  ENOTSOCK
function systemd.sockets() end

--- Tells systemd of a change.
---@async
---@param state string  "READY=1"; several are lines
---@return boolean? told  false where nobody asks for it
---@return curio.OSError? err
function systemd.notify(state) end

--- Tells systemd again and again that the program is alive, until cancelled.
---@async
---@return boolean? asked  false at once, where systemd has set no WatchdogSec
---@return curio.OSError? err
function systemd.watchdog() end

return systemd
