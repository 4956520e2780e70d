--- Threads with a name: async threads, which can ask their kernel to do something for them, and
--- plain ones.
--
-- An async thread is a task whose body runs in a thread. The task waits for the thread; what that
-- asks for by AWAIT it runs itself, so that it is the task's timeouts, cancellation and task-locals
-- that hold there. When the task is cancelled while the thread computes, the thread is interrupted;
-- from then on the task goes on serving, shielded while it waits, and what it runs for the thread
-- raises the cancellation again, as in any task.

local core = require "curio.core"
local errors = require "curio.errors"
local report = require "curio.report"
local task = require "curio.task"

local thread = {}

local await = core.thread.await

-- ---- asking the kernel, in the thread ----

local function finish(ok, ...)
  if ok then
    return ...
  end
  error((...), 0)
end

--- In a thread of spawn_thread: calls fn in a task of its kernel, and waits for that. Arguments and
---results are copied, kernel objects are known by proxies.
---@param fn function
---@param ... any
---@return any ...  results of fn; its error is raised. Elsewhere: AsyncOnlyError
function thread.AWAIT(fn, ...)
  if not core.args.callable(fn) then
    error("AWAIT: a function is expected, got " .. type(fn), 2)
  end
  return finish(await(fn, ...))
end

--- Does this code run in a thread of spawn_thread, so that it may use AWAIT?
---@return boolean
function thread.is_async_thread()
  return core.thread.is_async()
end

-- ---- proxies, in the thread ----

-- What stands in the place of an object of the kernel. Whether a field is a method its kernel is
-- asked once.

local methods = setmetatable({}, { __mode = "k" }) -- proxy -> name -> the method

local function method(name)
  return function(self, ...)
    return finish(await("call", self, name, ...))
  end
end

local proxy = core.standin.proxy
proxy.__name = "curio.Proxy"

function proxy:__index(name)
  local known = methods[self]
  if not known then
    known = {}
    methods[self] = known
  end
  if known[name] then
    return known[name]
  end
  local is_method, value = finish(await("index", self, name))
  if is_method then
    known[name] = method(name)
    return known[name]
  end
  return value
end

local function forward(event)
  proxy[event] = function(...)
    return finish(await(event, ...))
  end
end

forward "__newindex"
forward "__call"
forward "__len"
forward "__tostring"

function proxy:__close(err)
  return finish(await("__close", self, core.standin.copyable(err) and err or nil))
end

-- ---- serving the thread, in its task ----

-- A function that a method gives, an iterator, say, stays here too.
local callable_meta = {
  __name = "curio.Callable",
  __call = function(self, ...)
    return self.fn(...)
  end,
}

local function stay(...)
  local values = table.pack(...)
  for i = 1, values.n do
    if type(values[i]) == "function" then
      values[i] = setmetatable({ fn = values[i] }, callable_meta)
    end
  end
  return table.unpack(values, 1, values.n)
end

local operations = {
  call = function(object, name, ...)
    return stay(object[name](object, ...))
  end,
  index = function(object, name)
    local value = object[name]
    return type(value) == "function", type(value) ~= "function" and value or nil
  end,
  __newindex = function(object, name, value)
    object[name] = value
  end,
  __call = function(object, ...)
    return stay(object(...))
  end,
  __len = function(object)
    return #object
  end,
  __tostring = tostring,
  __close = function(object, err)
    return getmetatable(object).__close(object, err)
  end,
}

local function perform(fn, ...)
  return (operations[fn] or fn)(...)
end

-- The thread is told of the task's cancellation once: here, or by an interruption.
---@async
local function serve_request(listener)
  local job = listener.job
  local answer = table.pack(pcall(function()
    return perform(job:request())
  end))
  local err = answer[2]
  if not answer[1] and errors.is(err, errors.CancelledError) and core.current().cancelled then
    listener.told = listener.told or err
  end
  local ok
  ok, err = pcall(job.answer, job, table.unpack(answer, 1, answer.n))
  if not ok then
    job:answer(false, errors.CurioError(core.errors.text(answer[1] and err or answer[2])))
  end
end

-- The end of the task, in whatever way: nobody listens to the thread any more.
local Listener = {
  __close = function(self)
    self.job:desert()
  end,
}

local serving = setmetatable({}, { __mode = "k" }) -- task -> job
local patient = setmetatable({}, { __mode = "k" }) -- task -> true: a shutdown waits for its thread

-- After 5 s of a shutdown threads that do not end are left behind.
local slow = report.hooks.slow
function report.hooks.slow(t)
  slow(t)
  if serving[t] and not patient[t] then
    serving[t]:leave()
  end
end

-- Not that one.
function thread._wait_for(t)
  patient[t] = true
end

-- Of a task that ended before it began: closes what was sent to the thread, now and not when it is
-- collected.
function thread._release(t)
  serving[t]:desert()
end

-- The next thing that happens to the thread. When the task is cancelled the thread is told so.
---@async
local function next_event(listener)
  local job = listener.job
  if not listener.told then
    local ok, event = pcall(job.next, job)
    if ok then
      return event
    end
    listener.told = event
    job:interrupt()
  end
  return core.disable_cancellation(job.next, job)
end

local function outcome(listener, ok, ...)
  if ok then
    return ...
  end
  if listener.told and errors.is((...), errors.CancelledError) then
    error(listener.told, 0)
  end
  core.thread.raise(...)
end

---@async
local function serve(job)
  local listener <close> = setmetatable({ job = job }, Listener)
  local started, err = job:start("spawn_thread")
  if not started then
    error(err, 0)
  end
  local event = next_event(listener)
  while event do
    serve_request(listener)
    event = next_event(listener)
  end
  if event == nil then
    error(errors.TaskCancelled("cancelled: the thread did not end and was left behind"), 0)
  end
  return outcome(listener, job:outcome())
end

-- ---- making threads ----

local function name_of(fn)
  local info = debug.getinfo(type(fn) == "function" and fn or getmetatable(fn).__call, "S")
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

local function spawn(opts, fn, ...)
  opts = opts or {}
  local job = core.thread.make(true, task._snapshot(), fn, ...)
  local t = core.spawn { serve, job, daemon = opts.daemon, name = opts.name or name_of(fn) }
  serving[t] = job
  return t
end

--- Starts an async thread: a task whose body runs in a thread, in a Lua state of its own. It begins
---when the kernel comes to the task. Also spawn_thread{fn, ..., daemon = true, name = "x"}.
---@param fn function
---@param ... any  its arguments, which are copied; kernel objects among them arrive as proxies
---@return table task  join, wait, cancel, result, exception, id, terminated, cancelled
function thread.spawn_thread(fn, ...)
  if not core.running() then
    error("spawn_thread: no curio kernel is running", 2)
  end
  return spawn(core.args.call("spawn_thread", { "daemon", "name" }, 0, fn, ...))
end

-- ---- plain threads ----

local Thread = {}
local fields = {}

local last_id = 0

local function describe(self)
  return ("Thread(id=%d, name=%s)"):format(self.id, self.name)
end

-- The outcome, once: `ok`, `values` (packed) or `err`.
local function settle(self)
  if self._settled or not self._job:ended() then
    return self._settled
  end
  local function keep(ok, ...)
    self._ok, self._values = ok, table.pack(...)
  end
  keep(self._job:outcome())
  self._settled = true
  return true
end

local function task_error(self)
  local err, traceback = self._values[1], self._values[2]
  return errors.TaskError {
    message = ("%s crashed: %s"):format(describe(self), core.errors.text(err)),
    cause = err,
    traceback = traceback or errors.is(err, errors.CurioError) and err.traceback or nil,
    task = self,
  }
end

--- Waits until the thread has ended: a task sleeps, plain code waits with its thread.
---@async
function Thread:wait()
  self._job:wait()
  settle(self)
end

--- Waits for the end of the thread.
---@async
---@return any ...  results of fn; raises TaskError if it failed
function Thread:join()
  self:wait()
  self._joined = true
  if not self._ok then
    error(task_error(self), 2)
  end
  return table.unpack(self._values, 1, self._values.n)
end

--- Tells the thread to end, and waits until it has. It is interrupted where it is, once; a kernel
---that runs there cancels its main task.
---@async
---@param opts table?  blocking = true
---@return boolean
function Thread:cancel(opts)
  opts = core.args.options(opts, "thread:cancel", { "blocking" })
  self._joined = true
  self._cancelled = true
  self._job:interrupt()
  if opts.blocking ~= false then
    self:wait()
  end
  return true
end

function fields.terminated(self)
  return settle(self) or false
end

local function must_have_ended(self, name)
  if not settle(self) then
    error(("thread.%s: the thread has not ended"):format(name), 4)
  end
end

function fields.result(self)
  must_have_ended(self, "result")
  self._joined = true
  if not self._ok then
    error(self._values[1], 0)
  end
  return self._values[1]
end

function fields.exception(self)
  must_have_ended(self, "exception")
  self._joined = true
  if not self._ok then
    return self._values[1]
  end
end

function fields.cancelled(self)
  return self._cancelled or false
end

local thread_meta = {
  __index = function(self, key)
    local value = Thread[key]
    if value then
      return value
    end
    local field = fields[key]
    return field and field(self)
  end,
  __name = "curio.Thread",
  __tostring = describe,
  __gc = function(self)
    if self._job and not self._joined and settle(self) and not self._ok then
      report.log("error", ("%s crashed, and nobody joined it: %s\n%s"):format(describe(self),
        core.errors.text(self._values[1]), self._values[2] or ""))
    end
  end,
}

local function start(_, fn, ...)
  local job = core.thread.make(false, task._snapshot(), fn, ...)
  local started, err = job:start("curio.Thread")
  if not started then
    return nil, err
  end
  last_id = last_id + 1
  return setmetatable({ id = last_id, name = name_of(fn), _job = job }, thread_meta)
end

--- Starts a plain thread: fn runs there, in a Lua state of its own. It may run a kernel.
---@param fn function
---@param ... any  its arguments, which are copied
---@return table? thread  join, wait, cancel, result, exception, id, name, terminated, cancelled
---@return table? err  OSError
function thread.Thread(fn, ...)
  return start(core.args.call("curio.Thread", {}, 0, fn, ...))
end

return thread
