--- For functions that behave differently inside tasks and outside.

local core = require "curio.core"

local meta = {}

--- Does a task run here, so that blocking calls suspend it?
---@return boolean
function meta.curio_running()
  return core.running()
end

--- Makes one function of two: called in a task it is `async`, anywhere else `sync`.
---@param sync function
---@param async function
---@return function
function meta.awaitable(sync, async)
  if not core.args.callable(sync) or not core.args.callable(async) then
    error("meta.awaitable: two functions are expected", 2)
  end
  return function(...)
    if core.running() then
      return async(...)
    end
    return sync(...)
  end
end

return meta
