---@meta curio.report

---@class curio.report
---@field face table  where curio.log is looked up
---@field hooks table<string, function>  what the kernel tells the Lua layer
local report = {}

--- The default of curio.log: one line on stderr.
---@param level "error"|"warning"|"info"
---@param message string
function report.default(level, message) end

--- Says it through curio.log as it stands now.
---@param level "error"|"warning"|"info"
---@param message string
function report.log(level, message) end

return report
