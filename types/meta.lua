---@meta curio.meta

---@class curio.meta
local meta = {}

--- Does a task run here?
---@return boolean
function meta.curio_running() end

--- One function of two: called in a task it is `async`, elsewhere `sync`.
---@param sync function
---@param async function
---@return function
function meta.awaitable(sync, async) end

return meta
