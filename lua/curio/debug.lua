--- Activations: objects that are told what becomes of tasks; and those that programs are debugged
-- with: schedtrace, traptrace, logcrash, longblock.
--
-- An activation has some of these methods, none of which may block:
--
--     activate(kernel)          it has been given to a kernel
--     deactivate(kernel)        it has been taken away again
--     created(task)             a task has been spawned
--     running(task)             it goes on
--     suspended(task, trap)     it has gone to sleep; trap: its state. nil: it has ended
--     terminated(task)          it has ended
--
-- Without any, a kernel asks once a switch whether there are some; that is all they cost.

local core = require "curio.core"
local errors = require "curio.errors"
local report = require "curio.report"
local hooks = report.hooks

local M = {}

-- ---- telling them ----

local active = setmetatable({}, { __mode = "k" }) -- kernel -> list of activations

local function tell(what, ...)
  for _, activation in ipairs(active[core.traps.get_kernel()] or {}) do
    local method = activation[what]
    local ok, err = true, nil
    if method then
      ok, err = pcall(method, activation, ...)
    end
    if not ok then
      report.log("error", ("an activation failed in %s: %s"):format(what, core.errors.text(err)))
    end
  end
end

local hooked = { created = true, running = true, suspended = true, terminated = true }

for what in pairs(hooked) do
  hooks[what] = function(...)
    tell(what, ...)
  end
end

-- ---- what may be given as debug= and activations= ----

local classes = {}

-- A class, or the name of one of ours, stands for an instance of it.
local function instance_of(value, verb)
  if type(value) == "string" then
    local class = classes[value]
    if not class then
      error(("%s: there is no debugger '%s' (known: schedtrace, traptrace, logcrash, longblock)")
        :format(verb, value), 0)
    end
    return class()
  elseif core.args.callable(value) then
    return value()
  elseif type(value) ~= "table" and type(value) ~= "userdata" then
    error(("%s: an activation is expected, got %s"):format(verb, type(value)), 0)
  end
  return value
end

local function add_all(list, values, verb)
  if values == true then
    values = "schedtrace"
  elseif type(values) == "string" then
    local names = {}
    for name in values:gmatch "[^,%s]+" do
      names[#names + 1] = name
    end
    values = names
  end
  if type(values) ~= "table" or values[1] == nil and next(values) ~= nil
    or core.args.callable(values) then
    values = { values }
  end
  for _, value in ipairs(values) do
    list[#list + 1] = instance_of(value, verb)
  end
end

-- Does any of them want to be told of tasks? The others cost nothing.
local function watched(list)
  for _, activation in ipairs(list or {}) do
    for what in pairs(hooked) do
      if activation[what] then
        return true
      end
    end
  end
  return false
end

--- Gives a kernel activations, in place of those it has.
---@param kernel table
---@param list table?  nil or none: it has none
---@return table? old  those it had
function M.set(kernel, list)
  local old = active[kernel]
  for _, activation in ipairs(old or {}) do
    if activation.deactivate then
      activation:deactivate(kernel)
    end
  end
  active[kernel] = list
  core.testing.observe(kernel, watched(list))
  for _, activation in ipairs(list or {}) do
    if activation.activate then
      activation:activate(kernel)
    end
  end
  return old
end

--- The activations that options debug= and activations= of curio.run ask for.
---@param opts table
---@param verb string
---@return table list
function M.from_options(opts, verb)
  local list = {}
  if opts.debug then
    add_all(list, opts.debug, verb .. "{debug}")
  end
  if opts.activations then
    add_all(list, opts.activations, verb .. "{activations}")
  end
  return list
end

-- ---- the debuggers ----

local function default_log(level, message)
  report.log(level, message)
end

-- filter: a name, a list or a set of names of tasks.
local function read_filter(filter)
  if filter == nil then
    return nil
  elseif type(filter) == "string" then
    return { [filter] = true }
  end
  local set = {}
  for key, value in pairs(filter) do
    if type(key) == "number" then
      set[value] = true
    elseif value then
      set[key] = true
    end
  end
  return set
end

-- A class: called with options it makes an instance, which tells task by task whether it is meant.
local function class(name, level, options)
  local methods = { level = level }
  local known = { "filter", "log", "level", table.unpack(options or {}) }
  local meta = { __index = methods, __name = "curio.debug." .. name }
  function methods:wants(task)
    return not self.names or self.names[task.name] == true
  end
  function methods:say(format, ...)
    self.log(self.level, format:format(...))
  end
  methods.log = default_log
  local made = setmetatable({}, {
    __call = function(_, opts)
      opts = core.args.options(opts, "curio.debug." .. name, known)
      local self = setmetatable({}, meta)
      for key, value in pairs(opts) do
        self[key] = value
      end
      self.names = read_filter(opts.filter)
      return self
    end,
    __tostring = function()
      return "curio.debug." .. name
    end,
  })
  classes[name] = made
  M[name] = made
  return methods
end

local function now()
  return core.testing.clock()
end

local schedtrace = class("schedtrace", "info")

local function trace(word)
  return function(self, task)
    if self:wants(task) then
      self:say("%s:%.6f:%s", word, now(), tostring(task))
    end
  end
end

schedtrace.created = trace "CREATE"
schedtrace.running = trace "RUN"
schedtrace.suspended = trace "SUSPEND"
schedtrace.terminated = trace "TERMINATED"

local traptrace = class("traptrace", "info")

traptrace.created = schedtrace.created
traptrace.running = schedtrace.running
traptrace.terminated = schedtrace.terminated

function traptrace:suspended(task, trap)
  if trap and self:wants(task) then
    self:say("TRAP:%.6f:%s:%s", now(), trap, tostring(task))
  end
  schedtrace.suspended(self, task)
end

local logcrash = class("logcrash", "error")

function logcrash:terminated(task)
  local err = task.exception
  if err == nil or errors.is(err, errors.TaskCancelled) or not self:wants(task) then
    return
  end
  self:say("task %d (%s) crashed: %s\n%s", task.id, task.name, tostring(err),
    task.error_traceback or "")
end

local longblock = class("longblock", "warning", { "max_time" })

longblock.max_time = 0.05

function longblock:running()
  self.since = now()
end

function longblock:suspended(task)
  local seconds = now() - (self.since or now())
  if seconds > self.max_time and self:wants(task) then
    self:say("%s ran for %.3f seconds", tostring(task), seconds)
  end
end

-- ---- the time line ----

local Tracer = { __name = "curio.debug.tracer" }
Tracer.__index = Tracer

--- An activation that writes the time line of kernels to a file, in the trace-event format that
---Perfetto opens: each task a track, with what it ran and what it waited for. A kernel writes to
---one file at a time. The file is whole when the kernel's run has ended.
---@param opts table  path = the file, which is overwritten
---@return table tracer
function M.tracer(opts)
  opts = core.args.options(opts, "curio.debug.tracer", { "path" })
  if type(opts.path) ~= "string" then
    error("curio.debug.tracer: option 'path' must be a string, got " .. type(opts.path), 2)
  end
  local file, err = core.trace.open(opts.path)
  if not file then
    error(err, 0)
  end
  return setmetatable({ file = file, path = opts.path }, Tracer)
end

function Tracer:activate(kernel)
  self.file:attach(kernel)
end

function Tracer:deactivate(kernel)
  self.file:detach(kernel)
  local ok, err = self.file:flush()
  if not ok then
    report.log("error", ("the trace %s is not complete: %s"):format(self.path, tostring(err)))
  end
end

return M
