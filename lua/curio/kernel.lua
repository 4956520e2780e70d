--- Making kernels and running them.

local core = require "curio.core"
local report = require "curio.report"

local kernel = {}

local KERNEL_OPTIONS = { "debug", "activations", "clock" }
local RUN_OPTIONS = { "debug", "activations", "with_monitor", "clock", "log" }

local function open(dump)
  return core.kernel { poller = os.getenv "CURIO_POLLER", dump = dump }
end

-- Activations and the clock that options ask for; what was in force before.
local function equip(k, opts, verb, monitor)
  local old = {}
  if opts.debug or opts.activations then
    local debug = require "curio.debug"
    old.observed, old.activations = true, debug.set(k, debug.from_options(opts, verb))
  end
  if opts.clock then
    if type(opts.clock) ~= "table" or opts.clock.jumps == nil then
      error(verb .. ": option 'clock' must be one of curio.testing.autojump()", 0)
    end
    old.clocked, old.jumps = true, core.testing.jump(k, opts.clock.jumps)
  end
  if monitor and not core.monitor.has(k) then
    require("curio.monitor").open(k, monitor)
    old.monitored = true
  end
  return old
end

local function unequip(k, old)
  if old.observed then
    require("curio.debug").set(k, old.activations)
  end
  if old.clocked then
    core.testing.jump(k, old.jumps)
  end
  if old.monitored then
    core.monitor.close(k)
  end
end

--- Makes a kernel: k:run(fn, ...), k:run() for one cycle, k:shutdown(); closable.
---@param opts table?  debug, activations, clock: as of curio.run
---@return table kernel
function kernel.Kernel(opts)
  opts = core.args.options(opts, "curio.Kernel", KERNEL_OPTIONS)
  local k = open(false)
  equip(k, opts, "curio.Kernel")
  return k
end

-- Under the curio program the main chunk is a task already; there run() behaves as if it had made a
-- kernel of its own: fn is told of SIGINT and Deadlock, and tasks started meanwhile end with it.
-- Those that were told to end are waited for first: they may have started others for their
-- clean-up.
local function end_those_since(id)
  local told, untold = {}, {}
  for _, task in ipairs(core.tasks()) do
    if task.id > id then
      local list = task.cancelled and told or untold
      list[#list + 1] = task
    end
  end
  local batch = #told > 0 and told or untold
  table.sort(batch, function(a, b)
    return a.id > b.id
  end)
  for _, task in ipairs(batch) do
    task:cancel { blocking = false, reason = "shutdown" }
  end
  for _, task in ipairs(batch) do
    core.outlast(task)
  end
  return #batch > 0
end

local function close_nested(guard)
  core.disable_cancellation(function()
    guard.main:cancel()
    repeat
      local found = end_those_since(guard.last)
    until not found -- clean-up code may have started further ones
  end)
  core.principal()
  unequip(core.traps.get_kernel(), guard.old)
end

local nested_meta = { __close = close_nested }

-- The error run raises: strings gain the traceback.
local function outcome_error(task)
  local err = task.exception
  if type(err) == "string" and task.error_traceback then
    return err .. "\n" .. task.error_traceback
  end
  return err
end

local function run_nested(opts, fn, ...)
  local old = equip(core.traps.get_kernel(), opts, "curio.run", opts.with_monitor)
  local main = core.spawn(fn, ...)
  local guard <close> = setmetatable({ main = main, last = main.id, old = old }, nested_meta)
  core.principal(main)
  guard.main:wait()
  if core.failed(main) then
    error(outcome_error(main), 0)
  end
  return table.unpack(main.results, 1, main.results.n)
end

-- What is taken from a kernel after its shutdown.
local equipment_meta = {
  __close = function(equipment)
    if equipment.old then
      unequip(equipment.kernel, equipment.old)
    end
  end,
}

local function run_new(opts, fn, ...)
  local equipment <close> = setmetatable({}, equipment_meta)
  local k <close> = open(false)
  local monitor = opts.with_monitor
  if monitor == nil and os.getenv "CURIOMONITOR" then
    monitor = require("curio.monitor").from_environment()
  end
  equipment.kernel, equipment.old = k, equip(k, opts, "curio.run", monitor)
  return k:run(fn, ...)
end

local function with_log(fn, run, ...)
  local face = report.face
  local _ <close> = setmetatable({ log = face.log }, {
    __close = function(self)
      face.log = self.log
    end,
  })
  face.log = fn
  return run(...)
end

local function run(opts, ...)
  opts = opts or {}
  local run_it = run_new
  if core.running() then
    if core.current() ~= core.main_chunk() then
      error("curio.run: a kernel is running in this thread already; call or spawn the function", 3)
    end
    run_it = run_nested
  end
  if opts.log ~= nil and not core.args.callable(opts.log) then
    error("curio.run: option 'log' must be a function, got " .. tostring(opts.log), 3)
  end
  if opts.log then
    return with_log(opts.log, run_it, opts, ...)
  end
  return run_it(opts, ...)
end

--- Makes a kernel, runs fn as its main task, shuts the kernel down.
---Also run{fn, ..., log = function, with_monitor = true or an address}.
---@param fn function
---@param ... any  arguments of fn
---@return any ...  results of fn; an error of fn is raised, the same object
function kernel.run(fn, ...)
  return run(core.args.call("curio.run", RUN_OPTIONS, 0, fn, ...))
end

return kernel
