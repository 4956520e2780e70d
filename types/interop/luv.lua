---@meta curio.interop.luv
-- luacheck: no unused

--- libuv's loop, by luv, beside curio's tasks.
local luv = {}

--- The module `luv`.
---@type table
luv.uv = nil

--- Calls `fn(..., callback)`, a function of luv's, and waits until the callback is called: its
---arguments without the error in front, or nil and an OSError. In the form
---await{fn, ..., late = f} f gets the arguments of a callback that comes when nobody waits any
---more.
---@async
---@param fn function|table
---@param ... any
---@return any ...
function luv.await(fn, ...) end

--- Runs libuv's loop until it has nothing to do, or until `stop`. Raises what a callback raises.
---@async
---@return boolean alive  has it anything to do?
function luv.run() end

--- Ends all calls of `run`.
function luv.stop() end

--- Has `uv.run` and `uv.stop` do the same wherever a task calls them.
---@return table uv
function luv.install() end

return luv
