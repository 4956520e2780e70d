--- Tasks: spawning, cancellation control, task-local values.

local core = require "curio.core"
local hooks = require("curio.report").hooks

local task = {}

--- Starts a task; does not switch to it. Also spawn{fn, ..., daemon = true, name = "x"}.
---@param fn function  or anything with __call
---@param ... any  its arguments
---@return table task
task.spawn = core.spawn

--- The task that runs.
---@return table task
task.current_task = core.current

--- Lets the other ready tasks run first, as sleep(0).
---@async
task.schedule = core.schedule

--- Calls fn with cancellation and timeouts held back; without fn, makes a context for a block:
---`local _ <close> = curio.disable_cancellation()`. What came meanwhile is raised at the first
---blocking call after it.
---@param fn function?
---@param ... any
---@return any ...  results of fn
task.disable_cancellation = core.disable_cancellation

--- The cancellation that is pending: with a class, it is returned if it is of that class, and with
--- that accepted, so that it is not raised again; without one it is raised, or returned inside
--- disable_cancellation.
---@param class table?
---@return table? err
task.check_cancellation = core.check_cancellation

--- Sets, or with nil clears, the pending cancellation of the running task.
---@param err table?
---@return table? old
task.set_cancellation = core.set_cancellation

--- Lua's pcall, but a cancellation passes through.
task.pcall = core.pcall

--- Lua's xpcall, but a cancellation passes through.
task.xpcall = core.xpcall

-- Task-locals: each task has an immutable map from Local to its fields; setting replaces the map,
-- so a spawner's later changes are not seen by its children.
local maps = setmetatable({}, { __mode = "k" })
local outside = {} -- of code that no task runs

local function owner()
  return core.running() and core.current() or outside
end

local function copy(t)
  local new = {}
  for key, value in pairs(t or {}) do
    new[key] = value
  end
  return new
end

local local_meta = {
  __index = function(self, key)
    local map = maps[owner()]
    local fields = map and map[self]
    return fields and fields[key]
  end,
  __newindex = function(self, key, value)
    local who = owner()
    local map = copy(maps[who])
    local fields = copy(map[self])
    fields[key] = value
    map[self] = fields
    maps[who] = map
    core.mark_locals()
  end,
  __pairs = function(self)
    local map = maps[owner()]
    return next, map and map[self] or {}
  end,
  __name = "curio.Local",
}

function hooks.inherit(child)
  maps[child] = maps[owner()]
end

-- Between states a Local is known by a number of its own.
local function known(number)
  local new = setmetatable({}, local_meta)
  core.standin.number(new, number)
  return new
end
core.standin.locals(known)

-- What a thread inherits: a list of {Local, fields}; nil: nothing.
function task._snapshot()
  local list
  for name, fields in pairs(maps[owner()] or {}) do
    local kept = {}
    for key, value in pairs(fields) do
      if core.standin.copyable(key) and core.standin.copyable(value) then
        kept[key] = value
      end
    end
    list = list or {}
    list[#list + 1] = { name, kept }
  end
  return list
end

-- In the thread.
function hooks.adopt(list)
  local map = {}
  for _, entry in ipairs(list or {}) do
    map[entry[1]] = entry[2]
  end
  maps[outside] = map
  core.mark_locals()
end

--- An object with fields of its own in each task; a new task inherits a snapshot of its spawner's.
---@return table
function task.Local()
  return known()
end

return task
