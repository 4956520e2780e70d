-- curio.program: what the program adds to Lua. src/main.c requires it before anything else runs.
--
-- Under the program the main chunk is a task. So `require` is in Lua here, for a C function in the
-- middle would keep a module's code from blocking; and `os.exit`, when asked to close, leaves the
-- kernel first, so that every task's `__close` handlers run.

local core = require "curio.core"
require "curio.report" -- gives the core its error classes and hooks

local os_exit = os.exit
local loaded = package.loaded

-- The modules being loaded, by name: closable tables with `.name`, `.task` (who loads it) and, once
-- another task wants it too, `.waiters`.
local loading = {}

-- By task: the name of the module that it waits for.
local wanted = {}

-- Does the task that loads this module wait for this task, over however many others?
local function is_loop(name, task)
  local load = loading[name]
  while load do
    if load.task == task then
      return true
    end
    load = loading[wanted[load.task]]
  end
  return false
end

local Wish = {
  __close = function(self)
    wanted[self.task] = nil
  end,
}

---@async
local function wait_for(load, task)
  load.waiters = load.waiters or core.sched()
  wanted[task] = load.name
  local _ <close> = setmetatable({ task = task }, Wish)
  load.waiters:suspend("MODULE_WAIT")
end

local Loading = {
  -- Also after a failure: then those who waited try for themselves.
  __close = function(self)
    loading[self.name] = nil
    if self.waiters then
      self.waiters:wake()
    end
  end,
}

-- The searchers are asked in turn, as by Lua's own `require`, whose messages these are.
local function find_loader(name)
  local searchers = package.searchers
  if type(searchers) ~= "table" then
    error("'package.searchers' must be a table", 3)
  end
  local message = ""
  local i = 1
  while searchers[i] ~= nil do
    local loader, data = searchers[i](name)
    if type(loader) == "function" then
      return loader, data
    elseif type(loader) == "string" or type(loader) == "number" then
      message = message .. "\n\t" .. loader
    end
    i = i + 1
  end
  error("module '" .. name .. "' not found:" .. message, 3)
end

-- Lua's `require`, but the module's code may block. A second task that requires the same module
-- meanwhile waits for the first.
---@async
local function require(name)
  if type(name) == "number" then
    name = tostring(name)
  elseif type(name) ~= "string" then
    local got = name == nil and "no value" or type(name)
    error("bad argument #1 to 'require' (string expected, got " .. got .. ")", 2)
  end
  local task = core.running() and core.current() or core
  while not loaded[name] and loading[name] do
    if is_loop(name, task) then
      error("loop or previous error loading module '" .. name .. "'", 2)
    end
    wait_for(loading[name], task)
  end
  local value = loaded[name]
  if value then
    return value
  end

  local load <close> = setmetatable({ name = name, task = task }, Loading)
  loading[name] = load
  local loader, data = find_loader(name)
  value = loader(name, data)
  if value ~= nil then
    loaded[name] = value
  elseif loaded[name] == nil then
    loaded[name] = true
  end
  value = loaded[name]
  return value, data
end

local function bad_exit(what)
  error("bad argument #1 to 'exit' (" .. what .. ")", 3)
end

-- Lua's `os.exit`; with `close` it ends the run in order, from whichever task. Where Lua cannot
-- yield, as in a comparator, it raises a TaskCancelled that no pcall keeps.
local function exit(code, close)
  if not (close and core.traps.get_kernel()) then
    os_exit(code, close)
  elseif code == nil or code == true then
    core.exit(0)
  elseif code == false then
    core.exit(1)
  elseif not tonumber(code) then
    bad_exit("number expected, got " .. type(code))
  else
    local n = math.tointeger(tonumber(code))
    core.exit(n or bad_exit "number has no integer representation")
  end
end

rawset(_G, "require", require)
rawset(os, "exit", exit)

-- Watched as the program's options ask for: debug, names of debuggers; trace, a file for the time
-- line; monitor, its address or true. Gives what is to be done after the run.
local function watch(kernel, options)
  local debuggers = (options.debug or options.trace) and require "curio.debug"
  local monitor = options.monitor
  if debuggers then
    local list = debuggers.from_options({ debug = options.debug }, "--debug")
    if options.trace then
      list[#list + 1] = debuggers.tracer { path = options.trace }
    end
    debuggers.set(kernel, list)
  end
  if monitor == nil and os.getenv "CURIOMONITOR" then
    monitor = require("curio.monitor").from_environment()
  end
  if monitor then
    require("curio.monitor").open(kernel, monitor)
  end
  return function()
    if debuggers then
      debuggers.set(kernel, nil)
    end
  end
end

-- Runs `main` as the main task of a kernel, to the end of all tasks. With options.attach the
-- terminal is connected to the monitor of another process instead. Returns the code of an os.exit
-- that closes, 0 if there was no script to give a status, or nil.
return function(main, options)
  local kernel = core.kernel { poller = os.getenv "CURIO_POLLER", dump = true }
  local unwatch = watch(kernel, options)
  if options.attach then
    main = function()
      local ok, err = require("curio.monitor").attach(options.attach)
      if not ok then
        io.stderr:write("curio: ", tostring(err), "\n")
        core.exit(1)
      end
    end
  end
  kernel:run(main)
  kernel:shutdown()
  unwatch()
  return kernel:exit_code() or options.attach and 0 or nil
end
