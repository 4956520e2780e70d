--- What LuaSocket's objects have in common: errors as its strings, and waits within its timeouts.
--
-- An object has two limits in seconds, negative where there is none: `block` bounds each wait on
-- the system, `total` all the waits of one call, which began at `start`. A timeout of the object
-- is told as an error like the system's; an outer deadline and a cancellation are never caught
-- here.

local core = require "curio.core"
local errors = require "curio.errors"

local ready = core.interop.ready

local limits = {}

-- ---- errors ----

local NAMES = {
  EADDRINUSE = "address already in use",
  EISCONN = "already connected",
  EACCES = "permission denied",
  ECONNREFUSED = "connection refused",
  ECONNABORTED = "closed",
  ECONNRESET = "closed",
  EPIPE = "closed",
  ETIMEDOUT = "timeout",
  ENAMETOOLONG = "path too long", -- of a Unix socket
  EAI_AGAIN = "temporary failure in name resolution",
  EAI_BADFLAGS = "invalid value for ai_flags",
  EAI_FAIL = "non-recoverable failure in name resolution",
  EAI_FAMILY = "ai_family not supported",
  EAI_MEMORY = "memory allocation failure",
  EAI_NONAME = "host or service not provided, or not known",
  EAI_OVERFLOW = "argument buffer overflow",
  EAI_SERVICE = "service not supported for socket type",
  EAI_SOCKTYPE = "ai_socktype not supported",
}

--- The system's own words: of "connect 127.0.0.1:80: No route to host (EHOSTUNREACH)" those in the
---middle.
function limits.words(err)
  local first = #err.op + 3
  if err.subject then
    first = first + #err.subject + 1
  end
  return err.message:sub(first, -#err.code - 4)
end

--- The string that LuaSocket has for an error object.
---@param err table
---@return string
function limits.text(err)
  if errors.is(err, errors.ClosedError) then
    return "closed"
  end
  return err.said or NAMES[err.code] or limits.words(err)
end

--- The same for one of the system's numbers; nil for 0.
function limits.number_text(errno)
  if errno == 0 then
    return nil
  end
  local code, text = core.interop.describe(errno)
  return NAMES[code] or text
end

--- What is told of an object without a descriptor.
limits.BAD_DESCRIPTOR = limits.number_text(9) -- EBADF

limits.TIMEOUT = { code = "ETIMEDOUT" }

--- Raises what LuaSocket raises for an argument.
function limits.misuse(position, name, message)
  error(("bad argument #%d to '%s' (%s)"):format(position, name, message), 3)
end

--- A string, or a number as one; other values are misuse.
function limits.string(value, position, name)
  if type(value) == "number" then
    return tostring(value)
  elseif type(value) ~= "string" then
    local message = "bad argument #%d to '%s' (string expected, got %s)"
    error(message:format(position, name, value == nil and "no value" or type(value)), 3)
  end
  return value
end

--- A number, or a string that is one; `default` for nil.
function limits.number(value, default, position, name)
  if value == nil and default then
    return default
  end
  local number = tonumber(value)
  if not number then
    local message = "bad argument #%d to '%s' (number expected, got %s)"
    error(message:format(position, name, value == nil and "no value" or type(value)), 3)
  end
  return number
end

-- ---- limits ----

--- Gives an object no limits.
function limits.init(object)
  object.block, object.total, object.start = -1, -1, 0
  return object
end

--- LuaSocket's method settimeout.
function limits.set(object, value, mode)
  local seconds = limits.number(value, -1, 2, "settimeout")
  local first = mode == nil and "b" or limits.string(mode, 3, "settimeout"):sub(1, 1)
  if first == "b" then
    object.block = seconds
  elseif first == "t" or first == "r" then
    object.total = seconds
  else
    limits.misuse(3, "settimeout", "invalid timeout mode")
  end
  return 1
end

--- LuaSocket's method gettimeout.
function limits.get(object)
  return object.block, object.total
end

--- To be called where a call begins: `total` counts from here.
function limits.begin(object)
  if object.total >= 0 then
    object.start = core.clock()
  end
end

--- Seconds that the next wait may take; nil: any time.
function limits.left(object)
  local block, total = object.block, object.total
  if block < 0 and total < 0 then
    return nil
  end
  local left = block < 0 and math.huge or block
  if total >= 0 then
    left = math.min(left, math.max(total - (core.clock() - object.start), 0))
  end
  return left < math.huge and left or nil
end

local function settle(done, ...)
  if done then
    return ...
  end
  return nil, limits.TIMEOUT
end

local function told(fn, ...)
  return true, fn(...)
end

--- Calls fn(...) within so many seconds (nil: any): its results, or nil, TIMEOUT.
---@async
function limits.within(seconds, fn, ...)
  if not seconds then
    return fn(...)
  end
  return settle(core.ignore_after(seconds, told, fn, ...))
end

--- Calls verb(sock, ...), which reads or writes the object's socket, within the object's limits.
---Where these leave no time it is called only if it need not wait; other tasks have a turn then, so
---that a program which polls does not keep them from running.
---@async
---@param direction "read"|"write"
function limits.attempt(object, direction, verb, ...)
  local sock, left = object.sock, limits.left(object)
  if not left then
    return verb(sock, ...)
  elseif left > 0 then
    return settle(core.ignore_after(left, told, verb, sock, ...))
  end
  local fd = sock:fileno()
  if fd then
    local readable, writable = ready(fd)
    if not (direction == "read" and readable or direction == "write" and writable) then
      core.schedule()
      return nil, limits.TIMEOUT
    end
  end
  return verb(sock, ...)
end

return limits
