--- cqueues inside tasks: a foreign loop is stepped by the task that runs it, and asleep in between.
--
-- A controller of cqueues shows one descriptor, which is readable when any of its coroutines can go
-- on, and the time of its next timer. So a task waits for these, steps without waiting, and does so
-- again; each step gives way to other tasks. cqueues resumes its coroutines from C, where no task
-- can be suspended: what they want of curio is done by tasks of its own, for which `await` waits.

local core = require "curio.core"
local errors = require "curio.errors"
local made = require "curio.interop.cqueues.made"
local unwind = require "curio.interop.cqueues.unwind"

local NAME = "curio.interop.cqueues."

local bridge = {}

local running -- the loop that is stepping at this moment; nil: none

local loaded -- the module cqueues

-- Not loaded before it is needed: who requires this module may not have cqueues.
local function library()
  if not loaded then
    local cqueues = require "cqueues"
    made.watch(cqueues, require "cqueues.socket")
    loaded = cqueues
  end
  return loaded
end

-- ---- stepping ----

-- A controller and what belongs to its being stepped here.
local Loop = {}
Loop.__index = Loop

local STEPPED = {} -- what the stepper yields to us; anything else is a foreign coroutine's yield

local function stepper(controller)
  while true do
    coroutine.yield(STEPPED, controller:step(0))
  end
end

local function new_loop(controller, verb)
  return setmetatable({
    controller = controller,
    verb = NAME .. verb,
    stepper = coroutine.create(stepper),
    made = made.set(),
    jobs = {}, -- the tasks that its coroutines wait for
  }, Loop)
end

-- Strings gain the traceback, as from curio.run; error objects keep it.
local function with_traceback(err, traceback)
  if type(err) == "string" then
    return err .. "\n" .. traceback
  elseif errors.is(err, errors.CurioError) and not err.traceback then
    err.traceback = traceback
  end
  return err
end

-- A message handler.
local function explain(err)
  return with_traceback(err, debug.traceback(nil, 2))
end

-- What one step gave: true, or false and the error of a coroutine, whose __close handlers have run.
local function stepped(loop, resumed, mark, ok, err, _, co)
  if not resumed then
    return false, mark
  elseif mark ~= STEPPED then
    return false, loop.verb .. ": a coroutine of cqueues has yielded to nobody (coroutine.yield "
      .. "outside of any generator)"
  elseif ok then
    return true
  elseif type(co) == "thread" then
    err = with_traceback(err, debug.traceback(co))
    unwind.close_coroutines(library(), { co })
  end
  return false, err
end

function Loop:step()
  local outer, set = running, made.use(self.made)
  running = self
  local ok, err = stepped(self, coroutine.resume(self.stepper, self.controller))
  running = outer
  made.use(set)
  return ok, err
end

--- Sleeps until a step has something to do, no longer than the given seconds.
---@async
function Loop:wait(limit)
  local controller = self.controller
  local timeout = controller:timeout()
  if timeout == 0 then
    core.schedule()
  else
    timeout = math.min(timeout or math.huge, limit or math.huge)
    assert(core.interop.wait(controller:pollfd(), timeout, self.verb))
  end
end

-- Until no coroutine is left: true; the error of one is raised. nil and a ClosedError if the
-- controller was closed meanwhile.
---@async
function Loop:drive()
  local controller = self.controller
  while true do
    local ok, err = self:step()
    if not ok then
      error(err, 0)
    elseif self.failed then
      error(self.failed.err, 0)
    elseif controller:empty() then
      self.finished = true
      return true
    end
    self:wait()
    if library().type(controller) ~= "controller" then
      return nil, errors.ClosedError(self.verb .. ": the controller was closed")
    end
  end
end

-- ---- ending ----

-- Steps `controller` for this loop, whose coroutines are being ended.
---@async
function Loop:drive_out(controller, until_clock)
  local last = new_loop(controller, "run")
  last.made, last.jobs = self.made, self.jobs
  repeat
    last:step()
    if coroutine.status(last.stepper) == "dead" then
      return
    end
    local left = until_clock - core.clock()
  until controller:empty() or left <= 0 or not pcall(last.wait, last, left)
end

-- The jobs' coroutines have ended, and so have asked them to end.
---@async
function Loop:wait_for_jobs()
  for task in pairs(self.jobs) do
    task:wait()
  end
end

-- Those made in the course of it, of one kind.
function Loop:made_here(type_of, kind)
  local list = {}
  for object in pairs(self.made) do
    if type_of(object) == kind then
      list[#list + 1] = object
    end
  end
  return list
end

-- Nothing stays of it: not the coroutines, the sockets, the controllers, the jobs.
---@async
function Loop:abandon(err)
  local cqueues, socket = library(), require "cqueues.socket"
  local controllers = self:made_here(cqueues.type, "controller")
  controllers[#controllers + 1] = self.controller
  if not errors.is(err, errors.CancelledError) then
    err = errors.TaskCancelled "another coroutine of cqueues has failed"
  end
  unwind.controllers(cqueues, controllers, err, function(...)
    self:drive_out(...)
  end)
  self:wait_for_jobs()
  for _, sock in ipairs(self:made_here(socket.type, "socket")) do
    pcall(sock.close, sock)
  end
end

---@async
function Loop:__close(err)
  if self.finished then
    self.controller:close()
  else
    core.disable_cancellation(self.abandon, self, err)
  end
end

-- ---- the face ----

local function check_controller(value, verb)
  local cqueues = library()
  if cqueues.type(value) ~= "controller" then
    error(("%s%s: expected a controller of cqueues, got %s"):format(NAME, verb,
      cqueues.type(value) or type(value)), 3)
  end
  return cqueues
end

local function check_callable(fn, verb)
  local meta = getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    error(("%s%s: expected a function, got %s"):format(NAME, verb, type(fn)), 3)
  end
end

--- Calls fn as a coroutine of a new controller, which the calling task steps until none of its
---coroutines is left. An error of any of them is raised, as is a cancellation of the task; then the
---others are ended, and the sockets and controllers made in the course of it are closed. Inside a
---coroutine of cqueues it only calls fn.
---@async
---@param fn function
---@param ... any  its arguments
---@return any ...  its results
function bridge.run(fn, ...)
  check_callable(fn, "run")
  local cqueues = library()
  if cqueues.running() then
    return fn(...)
  end
  core.traps.checkpoint(NAME .. "run")
  local controller, why = cqueues.create()
  if not controller then
    error(NAME .. "run: " .. tostring(why), 2)
  end
  local loop <close> = new_loop(controller, "run")
  local results
  controller:wrap(function(...) -- protected, so that its __close handlers may poll
    results = table.pack(xpcall(fn, explain, ...))
    loop.failed = not results[1] and { err = results[2] }
  end, ...)
  assert(loop:drive())
  return table.unpack(results, 2, results.n)
end

--- Steps a controller until none of its coroutines is left. The error of one is raised; the
---controller is then as good as before, also when the task is cancelled, and may be looped again.
---@async
---@param controller table
---@return true? done
---@return table? err  a ClosedError, if it was closed meanwhile
function bridge.loop(controller)
  local cqueues = check_controller(controller, "loop")
  if cqueues.running() then
    return assert(controller:loop())
  end
  core.traps.checkpoint(NAME .. "loop")
  local _ <close> = setmetatable({}, {
    __close = function()
      if cqueues.type(controller) == "controller" then
        core.traps.io_release(controller:pollfd())
      end
    end,
  })
  return new_loop(controller, "loop"):drive()
end

--- Closes a controller and ends its coroutines, by raising a TaskCancelled in them.
---@async
---@param controller table
function bridge.close(controller)
  if library().type(controller) == "closed controller" then
    return
  end
  local cqueues = check_controller(controller, "close")
  core.traps.checkpoint(NAME .. "close")
  local loop = new_loop(controller, "close")
  core.disable_cancellation(unwind.controllers, cqueues, { controller },
    errors.TaskCancelled "the controller was closed", function(...)
      loop:drive_out(...)
    end)
  loop:wait_for_jobs()
end

-- A job of a coroutine of cqueues, done by a task.
local Job = {}
Job.__index = Job

function Job:__close()
  if not self.outcome then -- it stays among the loop's jobs until it has ended
    self.task:cancel { blocking = false }
  end
end

local function new_job(loop, fn, ...)
  local job = setmetatable({ loop = loop, done = require("cqueues.condition").new() }, Job)
  job.task = core.spawn(function(...)
    job.outcome = table.pack(pcall(fn, ...))
    loop.jobs[job.task] = nil
    job.done:signal()
  end, ...)
  loop.jobs[job.task] = true
  return job
end

local function finish(outcome)
  local ok, err = outcome[1], outcome[2]
  if ok then
    return table.unpack(outcome, 2, outcome.n)
  end
  if errors.is(err, errors.TaskCancelled) then
    local failure = errors.TaskError "the task was cancelled"
    failure.cause = err
    err = failure
  end
  error(err, 0)
end

--- In a coroutine of cqueues: has a task call fn, which may block as tasks do, and waits for it
---while the other coroutines go on. If the coroutine is ended the task is cancelled. Elsewhere it
---only calls fn.
---@async
---@param fn function
---@param ... any  its arguments
---@return any ...  its results; what it raises is raised
function bridge.await(fn, ...)
  check_callable(fn, "await")
  local cqueues = library()
  if not cqueues.running() then
    return fn(...)
  elseif not running then
    error(NAME .. "await: this controller is not run by " .. NAME .. "run or loop", 2)
  end
  local job <close> = new_job(running, fn, ...)
  while not job.outcome do
    cqueues.poll(job.done)
  end
  return finish(job.outcome)
end

return bridge
