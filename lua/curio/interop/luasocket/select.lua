--- LuaSocket's select: waits until one of several objects can be read or written.
--
-- Objects need not be the bridge's own: what has getfd is waited for, what has dirty and says so
-- can be read at once. There is no limit to their number, nor to that of a descriptor. Each
-- descriptor is watched by a small task of its own; which of them are ready is then asked of the
-- system, so all that are ready are told, and none twice.

local core = require "curio.core"
local group = require "curio.group"
local limits = require "curio.interop.luasocket.limits"
local traps = require "curio.traps"

local ready = core.interop.ready

local select = {}

local function call(object, method)
  local fn = object[method]
  return fn and fn(object)
end

-- Adds the objects of a list by their descriptors, each once, to `waits`; those that say that they
-- have data to `dirty`, if there is one.
local function collect(list, waits, wait, dirty)
  for _, object in ipairs(list or {}) do
    local fd = math.tointeger(call(object, "getfd"))
    if fd and fd >= 0 then
      if dirty and call(object, "dirty") then
        dirty[#dirty + 1] = object
      elseif not waits.seen[wait][fd] then
        waits.seen[wait][fd] = true
        waits[#waits + 1] = { object = object, fd = fd, wait = wait }
      end
    end
  end
end

local function by_descriptor(a, b)
  return a.fd < b.fd
end

local function collect_all(readers, writers)
  local waits = { seen = { [traps.read_wait] = {}, [traps.write_wait] = {} } }
  local dirty = {}
  collect(readers, waits, traps.read_wait, dirty)
  collect(writers, waits, traps.write_wait)
  table.sort(waits, by_descriptor)
  return waits, dirty
end

-- The objects that can be read now, those that are dirty first, and those that can be written.
local function all_ready(waits, dirty)
  local reads, writes = dirty, {}
  for _, one in ipairs(waits) do
    local readable, writable = ready(one.fd)
    if one.wait == traps.read_wait and readable then
      reads[#reads + 1] = one.object
    elseif one.wait == traps.write_wait and writable then
      writes[#writes + 1] = one.object
    end
  end
  return reads, writes
end

-- So that they can be asked for, too.
local function with_places(list)
  for i = 1, #list do
    list[list[i]] = i
  end
  return list
end

---@async
local function wait_for_any(waits)
  if #waits == 0 then
    core.sched():suspend "SELECT"
  elseif #waits == 1 then
    waits[1].wait(waits[1].fd)
  else
    local watchers <close> = group.TaskGroup()
    for _, one in ipairs(waits) do
      watchers:spawn(one.wait, one.fd)
    end
    watchers:next_done()
    watchers:cancel_remaining()
  end
  return true
end

local function check_list(list, position)
  if list ~= nil and type(list) ~= "table" then
    limits.misuse(position, "select", "table expected, got " .. type(list))
  end
end

--- LuaSocket's select.
---@async
---@param readers table?
---@param writers table?
---@param timeout number?  seconds; nil, or less than 0: any time
---@return table readable   a list, in which also list[object] is its place
---@return table writable
---@return string? err      "timeout"
function select.select(readers, writers, timeout)
  check_list(readers, 1)
  check_list(writers, 2)
  timeout = limits.number(timeout, -1, 3, "select")
  local finish = timeout >= 0 and timeout < math.huge and core.clock() + timeout
  core.schedule()
  while true do
    local waits, dirty = collect_all(readers, writers)
    local reads, writes = all_ready(waits, dirty)
    local left = finish and math.max(finish - core.clock(), 0)
    if #reads > 0 or #writes > 0 or left == 0 then
      local timed_out = #reads == 0 and #writes == 0
      return with_places(reads), with_places(writes), timed_out and "timeout" or nil
    end
    limits.within(left or nil, wait_for_any, waits)
  end
end

return select
