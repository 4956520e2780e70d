--- Error classes.
--
-- An error is a table whose metatable is its class; a class is a table with a name and a parent.
-- curio.is tells what an error is; tostring gives one readable line. What the operating system or a
-- peer refuses is returned as nil and an error; bugs, cancellations and failed tasks are raised.

local core = require "curio.core"

local errors = {}

local classes = {}

local function describe(err)
  local message = err.message
  if message == nil then
    return err.name
  end
  return err.name .. ": " .. tostring(message)
end

local class_meta = {
  __call = function(class, fields)
    return class.new(class, fields)
  end,
  __tostring = function(class)
    return "error class " .. class.name
  end,
}

local function new(class, fields)
  if type(fields) ~= "table" or getmetatable(fields) then
    fields = { message = fields }
  end
  return setmetatable(fields, class)
end

--- Makes an error class. Calling it with a message, or a table of fields, makes an instance.
---@param name string  what tostring and err.name show
---@param parent table? a class; CurioError by default
---@return table class
function errors.class(name, parent)
  if type(name) ~= "string" then
    error("errors.class: a name is expected, got " .. type(name), 2)
  end
  parent = parent or errors.CurioError
  if parent ~= nil and (type(parent) ~= "table" or rawget(parent, "new") ~= new) then
    error("errors.class: the parent of " .. name .. " is not an error class", 2)
  end
  local class = { name = name, parent = parent, new = new, __tostring = describe }
  class.__index = class
  return setmetatable(class, class_meta)
end

local function define(name, parent)
  local class = errors.class(name, parent and classes[parent])
  classes[name] = class
  errors[name] = class
end

define("CurioError")
define("CancelledError", "CurioError")
define("TaskCancelled", "CancelledError")
define("TaskTimeout", "CancelledError")
define("TimeoutCancellationError", "CancelledError")
define("UncaughtTimeoutError", "CurioError")
define("TaskError", "CurioError")
define("SyncIOError", "CurioError")
define("AsyncOnlyError", "CurioError")
define("ResourceBusy", "CurioError")
define("ReadResourceBusy", "ResourceBusy")
define("WriteResourceBusy", "ResourceBusy")
define("Deadlock", "CurioError")
define("Interrupted", "CurioError")
define("OSError", "CurioError")
define("ResolveError", "OSError")
define("SSLError", "OSError")
define("SSLCertVerificationError", "SSLError")
define("CalledProcessError", "CurioError")
define("AuthenticationError", "CurioError")
define("WorkerDied", "CurioError")
define("QueueClosed", "CurioError")
define("ClosedError", "CurioError")

core.errors.register(classes)

--- Is the value an instance of one of the classes, or of a subclass of one? Any value may be asked.
---@param err any
---@param ... table classes
---@return boolean
errors.is = core.errors.is

return errors
