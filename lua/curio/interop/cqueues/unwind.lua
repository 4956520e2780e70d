--- The end of cqueues' coroutines before their time.
--
-- As a task is ended by raising in it where it sleeps, so are they: a hook of the coroutine raises
-- when it is resumed, which happens in a controller of its own, so that what cleans up may still
-- poll. That has a limit, since not everything written for cqueues expects to be ended: what has
-- not come to its end by then is closed, which runs its __close handlers, and they cannot wait.

local core = require "curio.core"

local GRACE = 1.0 -- seconds that clean-up may poll. A judgement: a peer may never answer

local unwind = {}

-- The coroutines of a controller. It keeps them in its user value: a table of boxes, each with a
-- coroutine as its user value.
local function coroutines_of(controller, list)
  local boxes = debug.getuservalue(controller, 1)
  for _, box in pairs(type(boxes) == "table" and boxes or {}) do
    local co = type(box) == "userdata" and debug.getuservalue(box, 1)
    if type(co) == "thread" then
      list[#list + 1] = co
    end
  end
  return list
end

-- Has it come to a place where an error can be raised in it?
local function sleeps(co)
  return coroutine.status(co) == "suspended" and debug.getinfo(co, 0, "l") ~= nil
end

-- co raises err as soon as it goes on.
local function raise_in(co, err)
  local hook, mask, count = debug.gethook(co)
  debug.sethook(co, function()
    debug.sethook(co, hook, mask, count)
    error(err, 0)
  end, "", 1)
end

local function close_all(list)
  for _, co in ipairs(list) do
    local status = coroutine.status(co)
    if status == "suspended" or status == "dead" then
      coroutine.close(co)
    end
  end
end

--- Closes coroutines, suspended ones and those that have failed. It is done inside a controller,
---where a __close handler that polls gets an error; elsewhere it would block the thread.
---@param library table
---@param list thread[]
function unwind.close_coroutines(library, list)
  local controller = list[1] and library.create()
  if not controller then
    return close_all(list)
  end
  controller:wrap(close_all, list)
  controller:step(0)
  controller:close()
end

--- Closes the controllers, and ends their coroutines by raising err in them.
---@async
---@param library table  the module cqueues
---@param controllers table[]
---@param err any
---@param drive fun(controller: table, until_clock: number)  steps until it is empty, or that time;
---errors are nobody's
function unwind.controllers(library, controllers, err, drive)
  local coroutines, unstarted = {}, {}
  for _, controller in ipairs(controllers) do
    if library.type(controller) == "controller" then
      coroutines_of(controller, coroutines)
      controller:close()
    end
  end
  local last = library.create()
  if not last then -- no descriptor is left
    return unwind.close_coroutines(library, coroutines)
  end
  for _, co in ipairs(coroutines) do
    if sleeps(co) then
      raise_in(co, err)
      last:attach(co)
    else
      unstarted[#unstarted + 1] = co
    end
  end
  unwind.close_coroutines(library, unstarted)
  drive(last, core.clock() + GRACE)
  local left = coroutines_of(last, {})
  last:close()
  unwind.close_coroutines(library, left)
end

return unwind
