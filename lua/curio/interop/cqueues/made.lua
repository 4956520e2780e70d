--- What is made while a function runs under the bridge: sockets and controllers of cqueues.
--
-- Who is ended from outside closes what it has opened; code written for cqueues leaves that to the
-- collector. So the functions that make sockets and controllers note them in the set in force. And
-- where a controller is closed, the kernel is told: its descriptor is somebody else's at once.

local core = require "curio.core"

local made = {}

local current -- the set in force, which holds nothing alive; nil: none
local watched = false

local function note(object, ...)
  if current and object then
    current[object] = true
  end
  return object, ...
end

local function note_two(first, second, ...)
  note(second)
  return note(first), second, ...
end

-- Wraps the function of that name where there is one.
local function wrap(module, name, keep)
  local make = module[name]
  if make then
    module[name] = function(...)
      return keep(make(...))
    end
  end
end

-- Whoever sleeps for a controller is woken when it is closed, by its own method too.
local function watch_closing(library)
  local close; close = library.interpose("close", function(controller, ...)
    if library.type(controller) == "controller" then
      core.traps.io_release(controller:pollfd())
    end
    return close(controller, ...)
  end)
end

--- Has the modules tell what they make, and which controllers are closed.
---@param library table  cqueues
---@param socket table  cqueues.socket
function made.watch(library, socket)
  if watched then
    return
  end
  watched = true
  watch_closing(library)
  wrap(library, "new", note)
  for _, name in ipairs { "connect", "listen", "fdopen", "dup" } do
    wrap(socket, name, note)
  end
  wrap(socket, "pair", note_two)
  local accept; accept = socket.interpose("accept", function(...)
    return note(accept(...))
  end)
end

function made.set()
  return setmetatable({}, { __mode = "k" })
end

--- Puts a set in force; the one before.
function made.use(set)
  local before = current
  current = set
  return before
end

return made
