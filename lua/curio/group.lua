--- Task groups: tasks that do not outlive the block that started them.
--
-- The core (src/group.c) queues members as they end and acts on the first failure at once; here
-- stand the policies: whom join waits for, what it raises, what the properties show.

local core = require "curio.core"
local errors = require "curio.errors"
local report = require "curio.report"

local M = {}

local Group = {}
local fields = {} -- properties

local POLICIES = { all = true, any = true, object = true, none = true }
local OPTIONS = { "wait", "errors", "limit" }

-- ---- members ----

local function refuse_if_closed(g, verb)
  if g._joined then
    error(verb .. ": the group has been joined already", 3)
  end
  if g._closing then
    error(verb .. ": the group is ending its members", 3)
  end
  local _, _, failed = g._core:count()
  if failed > 0 and not g._collect and not g._consumed then
    error(verb .. ": a member of the group has failed", 3)
  end
end

--- Starts a member. Also spawn{fn, ..., daemon = true, name = "x"}. Blocks only where the group has
--- a limit and so many members run.
---@async
---@return table task
function Group:spawn(fn, ...)
  refuse_if_closed(self, "group:spawn")
  if self._limit then
    core.args.call("group:spawn", { "daemon", "name" }, 0, fn, ...) -- a bad call takes no place
    self._core:wait_place(self._limit)
    refuse_if_closed(self, "group:spawn")
  end
  local task = core.spawn_for("group:spawn", fn, ...)
  self._core:add(task)
  return task
end

--- Starts a member whose body runs in a thread. Also spawn_thread{fn, ..., daemon = true, name =
--- "x"}. Blocks as spawn does.
---@async
---@return table task
function Group:spawn_thread(fn, ...)
  refuse_if_closed(self, "group:spawn_thread")
  core.args.call("group:spawn_thread", { "daemon", "name" }, 0, fn, ...)
  if self._limit then
    self._core:wait_place(self._limit)
    refuse_if_closed(self, "group:spawn_thread")
  end
  local task = require("curio.thread").spawn_thread(fn, ...)
  self._core:add(task)
  return task
end

local function add(g, task, verb)
  if not core.is_task(task) then
    error(("%s: a task is expected, got %s"):format(verb, type(task)), 3)
  end
  if not g._core:add(task) then
    error(verb .. ": the task belongs to a group already", 3)
  end
end

--- Makes a task a member.
---@param task table  not a member of any group
function Group:add_task(task)
  refuse_if_closed(self, "group:add_task")
  add(self, task, "group:add_task")
end

local starts = setmetatable({}, { __mode = "k" }) -- task -> who waits in start for it

local function run_started(start, fn, ...)
  starts[core.current()] = start
  return fn(...)
end

-- Leaving start early, by a cancellation, ends the task that has not started.
local unstarted_meta = {
  __close = function(guard)
    local start = guard.start
    if start then
      core.disable_cancellation(start.task.cancel, start.task)
    end
  end,
}

local function start_member(g, opts, fn, ...)
  local start = { starter = core.current(), core = g._core }
  local form = { run_started, start, fn, ... }
  if opts then
    form.daemon, form.name = opts.daemon, opts.name
  end
  start.task = g:spawn(form)
  g._core:neutral(start.task, true) -- until it has started its failure is the starter's business
  local guard <close> = setmetatable({ start = start }, unstarted_meta)
  core.wait_start(start.task)
  guard.start = nil
  if not start.values then
    start.task:join()
    error(errors.CurioError("group:start: the task ended without calling curio.started"), 0)
  end
  return table.unpack(start.values, 1, start.values.n)
end

--- Starts a member and waits until it calls curio.started.
---@async
---@param fn function
---@param ... any
---@return any ...  what it gave to curio.started; raises if it ends first
function Group:start(fn, ...)
  return start_member(self, core.args.call("group:start", { "daemon", "name" }, 0, fn, ...))
end

--- In a task started by g:start: tells the starter that all is ready. Elsewhere it does nothing.
---@param ... any  what start returns
function M.started(...)
  local start = core.running() and starts[core.current()]
  if start and not start.values then
    starts[start.task] = nil
    start.values = table.pack(...)
    start.core:neutral(start.task, false)
    core.rouse(start.starter)
  end
end

-- ---- taking members one by one ----

--- The next member that ends, taken out of the group: its result or failure no longer counts there.
---@async
---@return table? task  nil when none runs and none is left
function Group:next_done()
  self._consumed = true
  self._core:collect()
  self._core:wait()
  return self._core:take()
end

--- The result of the next member that ends; raises its own error if it failed.
---@async
---@return any
function Group:next_result()
  local task = self:next_done()
  if not task then
    error("group:next_result: no task is available", 2)
  end
  return task.result
end

--- for task in g:iter() do: the members as they end.
function Group:iter()
  return function()
    return self:next_done()
  end
end

-- ---- joining ----

local function refuse_member(g, verb)
  if g._core:has_current() then
    error(verb .. ": a member of the group cannot wait for its own end", 3)
  end
end

local function record(g, task)
  local done = g._done
  done[#done + 1] = task
  if core.failed(task) and not errors.is(task.exception, errors.TaskCancelled) then
    g._failures[#g._failures + 1] = task
  end
end

-- Is the wait over with this member?
local function decides(g, task)
  if core.failed(task) then
    if errors.is(task.exception, errors.TaskCancelled) and not g._collect then
      return false -- a cancellation is neither a result nor a failure
    end
    g._completed = g._completed or task
    return true
  end
  if g._wait == "object" and task.result == nil then
    return false
  end
  g._completed = g._completed or task
  return g._wait ~= "all"
end

-- Ends all that still runs, waits for it, shielded: no member outlives this.
local function clean_up(g)
  local c = g._core
  g._closing = true
  c:refuse_starters()
  c:cancel()
  c:drain()
  for task in c.take, c do
    record(g, task)
  end
  c:cancel(true)
  c:drain(true)
  g._joined = true
end

local function by_id(a, b)
  return a.id < b.id
end

local function finish(g)
  core.disable_cancellation(clean_up, g)
  table.sort(g._done, by_id)
end

local function task_error(g)
  local first = core.task_error(g._failures[1])
  local others = {}
  for i = 2, #g._failures do
    others[i - 1] = core.task_error(g._failures[i])
  end
  first.others = others
  return first
end

-- Errors of members that nobody will see, since another error is on its way out.
local function report_failures(g)
  if g._collect then
    return
  end
  for _, task in ipairs(g._failures) do
    report.hooks.crash(task)
  end
end

local finish_meta = { __close = function(guard, err)
  finish(guard.group)
  if err ~= nil then
    report_failures(guard.group)
  end
end }

local function wait_for_members(g)
  local guard <close> = setmetatable({ group = g }, finish_meta)
  if g._wait == "none" then
    return
  end
  local c = guard.group._core
  while true do
    c:wait()
    local task = c:take()
    if not task then
      return
    end
    record(g, task)
    if decides(g, task) then
      return
    end
  end
end

--- Waits for the members as the policy says, ends the others; raises a TaskError for the first
--- failure.
---@async
function Group:join()
  if self._joined then
    return
  end
  refuse_member(self, "group:join")
  wait_for_members(self)
  if #self._failures > 0 and not self._collect then
    error(task_error(self), 0)
  end
end

--- Cancels the members that still run (not the daemons), waits for them and forgets them.
---@async
function Group:cancel_remaining()
  refuse_member(self, "group:cancel_remaining")
  self._core:cancel(false, true)
  core.disable_cancellation(self._core.drain, self._core)
end

local function close(g, err)
  if g._joined then
    return
  end
  if err == nil then
    return g:join()
  end
  refuse_member(g, "group:__close")
  finish(g)
  report_failures(g)
end

-- ---- properties ----

local function must_be_joined(g, name)
  if not g._joined then
    error(("group.%s: the group has not been joined"):format(name), 4)
  end
end

function fields.completed(g)
  must_be_joined(g, "completed")
  return g._completed
end

function fields.result(g)
  must_be_joined(g, "result")
  if not g._completed then
    error("group.result: no task has completed", 3)
  end
  return g._completed.result
end

-- Those that were told to end have no result of their own.
local function counts(g, task)
  return g._collect or not errors.is(task.exception, errors.TaskCancelled)
end

function fields.results(g)
  must_be_joined(g, "results")
  local results, n = {}, 0
  for _, task in ipairs(g._done) do
    if counts(g, task) then
      n = n + 1
      results[n] = task.result
    end
  end
  results.n = n
  return results
end

function fields.exception(g)
  must_be_joined(g, "exception")
  local first = g._failures[1]
  if first then
    return first.exception
  end
  return g._completed and g._completed.exception
end

function fields.exceptions(g)
  must_be_joined(g, "exceptions")
  local list = { n = #g._done }
  for i, task in ipairs(g._done) do
    list[i] = task.exception
  end
  return list
end

function fields.tasks(g)
  local list = table.move(g._done, 1, #g._done, 1, {})
  table.move(g._core:members(), 1, #g._core:members(), #list + 1, list)
  table.sort(list, by_id)
  return list
end

local group_meta = {
  __index = function(g, key)
    local method = Group[key]
    if method then
      return method
    end
    local field = fields[key]
    return field and field(g)
  end,
  __close = close,
  __name = "curio.TaskGroup",
  __tostring = function(g)
    local running, daemons = g._core:count()
    return ("TaskGroup(%d running, %d daemons, wait=%s)"):format(running, daemons, g._wait)
  end,
}

local function check_options(opts, verb)
  if type(opts) ~= "table" then
    error(("%s: a table of options is expected, got %s"):format(verb, type(opts)), 4)
  end
  local named = {}
  for key, value in pairs(opts) do
    if type(key) ~= "number" then
      named[key] = value
    end
  end
  core.args.options(named, "curio.TaskGroup", OPTIONS)
  if opts.wait ~= nil and not POLICIES[opts.wait] then
    local message = 'curio.TaskGroup: wait must be "all", "any", "object" or "none", got %s'
    error(message:format(opts.wait), 4)
  end
  if opts.errors ~= nil and opts.errors ~= "collect" and opts.errors ~= "raise" then
    error(('curio.TaskGroup: errors must be "raise" or "collect", got %s'):format(opts.errors), 4)
  end
  if opts.limit ~= nil and (math.type(opts.limit) ~= "integer" or opts.limit < 1) then
    error(("curio.TaskGroup: limit must be a positive integer, got %s"):format(opts.limit), 4)
  end
end

local function new(opts, verb)
  check_options(opts, verb)
  local collect = opts.errors == "collect"
  local g = setmetatable({
    _core = core.group(collect),
    _wait = opts.wait or "all",
    _collect = collect,
    _consumed = false,
    _joined = false,
    _limit = opts.limit,
    _done = {},
    _failures = {},
  }, group_meta)
  for _, task in ipairs(opts) do
    add(g, task, "curio.TaskGroup")
  end
  local _, _, failed = g._core:count()
  if failed > 0 and not collect then
    g._core:cancel() -- also those given after it
  end
  return g
end

--- A group of tasks, to be a `<close>` variable. TaskGroup{t1, t2, wait =
--- "all"|"any"|"object"|"none", errors = "raise"|"collect", limit = n}.
---@param opts table?
---@return table group
function M.TaskGroup(opts)
  return new(opts or {}, "curio.TaskGroup")
end

-- ---- a function as the body of a group ----

local function first_failure(g)
  return #g._failures > 0 and not g._collect and task_error(g)
end

local body_meta = {
  __close = function(body, err)
    local g = body.group
    local stopped = g._core:leave_body()
    if err == nil then
      return g:join()
    end
    finish(g)
    local failure = first_failure(g)
    if failure and stopped and errors.is(err, errors.TaskCancelled) then
      error(failure, 0)
    end
    report_failures(g)
  end,
}

--- Calls fn(g) as the body of a new group and joins it. A member that fails stops the body too.
---@async
---@param fn function
---@param opts table?  as TaskGroup's
---@return any ...  results of fn
function M.group(fn, opts)
  if not core.args.callable(fn) then
    error("curio.group: a function is expected, got " .. type(fn), 2)
  end
  local g = new(opts or {}, "curio.group")
  g._core:enter_body()
  local body <close> = setmetatable({ group = g }, body_meta)
  return fn(body.group)
end

return M
