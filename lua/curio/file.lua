--- Files for tasks: Lua's own, where what may block is done in a thread and suspends the task.
--
-- The objects and their methods are the C host's (src/file*lib.c). Results are those of Lua's
-- files, but for errors: what the system refuses is returned as nil and an OSError, which tells
-- .code, .op and .subject; a closed file gives nil and a ClosedError.

local core = require "curio.core"
local report = require "curio.report"

local c = core.file
local meta = c.metatable
local close = meta.__index.close

local file = {}

-- What blocks is marked async. An error follows nil, but for the end of the file.
---@class curio.file
---@field read async fun(self: curio.file, ...: integer|string): ...
---@field lines fun(self: curio.file, ...: integer|string): async fun(): ...
---@field readline async fun(self: curio.file, format: "l"|"L"|nil): string?, table?
---@field readlines async fun(self: curio.file, format: "l"|"L"|nil): string[]?, table?
---@field readall async fun(self: curio.file): string?, table?
---@field read_exactly async fun(self: curio.file, n: integer): string?, table?
---@field write async fun(self: curio.file, ...: string|number): curio.file?, table?
---@field flush async fun(self: curio.file): true?, table?
---@field seek async fun(self: curio.file, whence: string?, offset: integer?): integer?, table?
---@field truncate async fun(self: curio.file, size: integer?): integer?, table?
---@field setvbuf async fun(self: curio.file, mode: string, size: integer?): true?, table?
---@field close async fun(self: curio.file): true?, table?
---@field fileno fun(self: curio.file): integer?, table?

-- Where nothing may block a thread closes it behind our back, as the collector would have it.
function meta.__close(self, err)
  if not core.running() or not coroutine.isyieldable() then
    return c.leave(self)
  end
  local ok, failure = core.disable_cancellation(close, self)
  if ok then
    return
  elseif err == nil then
    error(failure, 0)
  end
  report.log("warning", tostring(failure)) -- the error under way comes first
end

--- Opens a file.
---@async
---@param path string
---@param mode string?  as of io.open; "r" by default
---@return curio.file? file
---@return table? err  an OSError
file.aopen = c.open

return file
