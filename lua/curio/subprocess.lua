--- Child processes: Popen, and run and check_output on top of it.
--
-- What the C host starts and reaps (src/proc.c, src/proclib.c) is given streams here, and what is
-- composed of them: talking to a child through both pipes at once, running it to its end, and
-- seeing to it that nothing of a child that is given up is left behind.

local core = require "curio.core"
local errors = require "curio.errors"
local io = require "curio.io"
local order = require "curio.subprocess.order"
local signal = require "curio.signal"
local talk = require "curio.subprocess.talk"

local subprocess = {}

--- For stdin, stdout, stderr: a pipe to the child; nothing; and for stderr, where stdout goes.
subprocess.PIPE = order.PIPE
subprocess.STDOUT = order.STDOUT
subprocess.DEVNULL = order.DEVNULL

local text = core.errors.text

local function misuse(fmt, ...)
  core.args.misuse(fmt:format(...))
end

local function is_time(value)
  return type(value) == "number" and value == value
end

local Popen = {}

local popen_meta = { __name = "curio.Popen" }

function popen_meta.__index(self, key)
  if key == "returncode" then
    return self._process:returncode()
  end
  return Popen[key]
end

function popen_meta:__tostring()
  local state = self.returncode and "ended with " .. self.returncode or "running"
  return ("Popen(%s, pid %d, %s)"):format(self.args[1], self.pid, state)
end

-- ---- starting ----

local NAMES = { [0] = "stdin", "stdout", "stderr" }

local function kill(self, group)
  return self._process:signal(signal.SIGKILL, group)
end

-- Streams on our ends of the pipes.
local function open_pipes(self, piped)
  for i = 0, 2 do
    if piped[i + 1] then
      local stream, err = io.FileStream(self._process:pipe(i))
      if not stream then
        kill(self)
        return nil, err
      end
      self._process:handed(i)
      self[NAMES[i]] = stream
    end
  end
  return self
end

-- A terminal is one stream, for both directions.
local function open_terminal(self, terminal, on_terminal)
  terminal:close_slave()
  local stream = io.FileStream(terminal)
  self._terminal = stream
  self.stdin = on_terminal[1] and stream or nil
  if on_terminal[2] then
    self.stdout = stream
  elseif on_terminal[3] then
    self.stderr = stream
  end
end

local function start(verb, args, opts)
  local plan, refused = order.read(verb, args, opts)
  if not plan then
    return nil, refused
  end
  local process, err = core.process.start(plan.args, plan.options, plan.stdio)
  if not process then
    if plan.terminal then
      plan.terminal:close()
    end
    return nil, err
  end
  local self = setmetatable({
    args = args,
    pid = process:pid(),
    _process = process,
    _leads = plan.options.session,
    _got = {}, -- what communicate has read so far, by the stream's name
    _fed = 0, -- bytes of its input written so far
  }, popen_meta)
  if plan.terminal then
    open_terminal(self, plan.terminal, plan.on_terminal)
  end
  return open_pipes(self, plan.piped)
end

--- Starts a program: Popen{"cmd", "arg", ..., stdin = PIPE, cwd = "/tmp"}. Blocks only until the
---program has begun, and then the thread, for well below a millisecond. Closed as a `<close>`
---variable, it closes its pipes and waits for the child's end; when the block is left by an error
---or a cancellation, or that comes while it waits, the child is killed.
---@param t table  the program and its arguments; options: stdin, stdout, stderr, cwd, env, shell,
---start_new_session, pass_fds, umask, pty, rlimits, user, group
---@return table? process
---@return table? err  why it could not be started: .op ("exec", "chdir"), .code ("ENOENT")
function subprocess.Popen(t, ...)
  local args, opts = order.split("Popen", t, order.OPTIONS, ...)
  return start("Popen", args, opts)
end

-- ---- the child ----

--- Waits for the child's end.
---@async
---@return integer? returncode  its exit status, or minus the signal that ended it
---@return table? err           ECHILD: somebody else has taken its status
function Popen:wait()
  return self._process:wait()
end

--- The same without waiting: nil while it runs.
---@return integer? returncode
---@return table? err
function Popen:poll()
  return self._process:poll()
end

-- Does {group = true} ask for the whole group?
local function to_group(self, verb, opts)
  opts = core.args.options(opts, verb, { "group" })
  if opts.group and not self._leads then
    misuse("%s: only a child started with start_new_session or pty leads a group", verb)
  end
  return opts.group
end

--- Sends a signal; with {group = true} to all in the child's process group, which it must lead.
---@param signo integer
---@param opts table?
---@return boolean? sent  false: it has ended already
---@return table? err     EPERM
function Popen:send_signal(signo, opts)
  if math.type(signo) ~= "integer" then
    misuse("process:send_signal: a signal's number is expected, got %s", text(signo))
  end
  return self._process:signal(signo, to_group(self, "process:send_signal", opts))
end

--- Sends SIGKILL.
---@param opts table?  group = true
---@return boolean? sent
---@return table? err
function Popen:kill(opts)
  return kill(self, to_group(self, "process:kill", opts))
end

--- Sends SIGTERM. With a time of grace it then waits for the child's end, and kills it when that
---time is over. That counts also where cancellation is held back.
---@async
---@param grace number?  seconds; nil: does not wait
---@param opts table?    group = true
---@return boolean|integer? sent_or_returncode
---@return table? err
function Popen:terminate(grace, opts)
  if grace ~= nil and not is_time(grace) then
    misuse("process:terminate: a number of seconds is expected, got %s", text(grace))
  end
  local group = to_group(self, "process:terminate", opts)
  local sent, err = self._process:signal(signal.SIGTERM, group)
  if not grace or sent == nil then
    return sent, err
  end
  local _ <close> = talk.after(math.max(grace, 0), function()
    kill(self, group)
  end)
  return self:wait()
end

-- ---- talking to it ----

local function check_input(verb, input)
  if input == nil or type(input) == "string" or core.args.callable(input) then
    return
  end
  misuse("%s: the input must be a string, or a function that gives its pieces, got %s", verb,
    text(input))
end

local function close_pipes(self)
  for i = 0, 2 do
    local stream = rawget(self, NAMES[i])
    if stream then
      stream:close()
    end
  end
end

-- Adds what was read to an error on its way out.
local Partial = {
  __close = function(guard, err)
    if errors.is(err, errors.CancelledError) then
      err.stdout = talk.output(guard.process, "stdout")
      err.stderr = talk.output(guard.process, "stderr")
    end
  end,
}

--- Gives the child its input and reads what it writes, both at once, until it ends; then closes the
---pipes. Cancelled, it leaves the child running; the error has .stdout and .stderr as far as they
---were read, and another call goes on where this one stopped. A process that the child left behind,
---and that holds a pipe, is waited for only as long as it writes: 2 seconds of silence end it.
---@async
---@param input string|function|nil  a string, or a function that gives one piece after the other
---@param opts table?  stdout, stderr: functions that are given each piece, which is then not kept
---@return string? stdout  nil if it is no pipe, or was given to a function
---@return string|table|nil stderr_or_err
function Popen:communicate(input, opts)
  check_input("process:communicate", input)
  if input ~= nil and not self.stdin then
    misuse "process:communicate: there is no pipe to the child for the input"
  end
  local sinks = core.args.options(opts, "process:communicate", { "stdout", "stderr" })
  core.traps.checkpoint "process:communicate"
  local partial <close> = setmetatable({ process = self }, Partial)
  local code, err = talk.run(partial.process, input, sinks)
  close_pipes(self)
  if code == nil or err then
    return nil, err
  end
  return talk.output(self, "stdout"), talk.output(self, "stderr")
end

-- ---- giving it up ----

local function kill_and_wait(self)
  kill(self, self._leads)
  core.disable_cancellation(self.wait, self)
end

local Killer = {
  __close = function(guard, err)
    if err ~= nil then
      kill_and_wait(guard.process)
    end
  end,
}

---@async
function popen_meta:__close(err)
  close_pipes(self)
  if err ~= nil then
    kill_and_wait(self)
    return
  end
  local guard <close> = setmetatable({ process = self }, Killer)
  guard.process:wait()
end

-- ---- running to the end ----

local completed_meta = { __name = "curio.CompletedProcess" }

function completed_meta:__tostring()
  return ("CompletedProcess(%s, returncode %d)"):format(self.args[1], self.returncode)
end

local function signal_name(number)
  for name, value in pairs(signal) do
    if value == number and name:find "^SIG" and not name:find "^SIGRT" then
      return name
    end
  end
  return "signal " .. number
end

local function called_process_error(result)
  local code = result.returncode
  local how = code < 0 and "was ended by " .. signal_name(-code) or "ended with status " .. code
  return errors.CalledProcessError {
    message = ("%s %s"):format(result.args[1], how),
    args = result.args,
    returncode = code,
    stdout = result.stdout,
    stderr = result.stderr,
  }
end

-- A run that ends otherwise than it should.
local Run = {
  __close = function(guard, err)
    local self = guard.process
    if err ~= nil then
      kill(self, self._leads)
      core.disable_cancellation(function()
        self:wait()
        talk.drain_rest(self)
      end)
      if type(err) == "table" and errors.is(err, errors.CurioError) then
        err.stdout = talk.output(self, "stdout")
        err.stderr = talk.output(self, "stderr")
      end
    end
    close_pipes(self)
  end,
}

---@async
local function run_it(self, input, timeout)
  local guard <close> = setmetatable({ process = self }, Run)
  local code, err
  if timeout then
    code, err = core.timeout_after(timeout, talk.run, guard.process, input, {})
  else
    code, err = talk.run(guard.process, input, {})
  end
  if code == nil or err then
    return nil, err
  end
  return setmetatable({
    args = self.args,
    returncode = code,
    stdout = talk.output(self, "stdout"),
    stderr = talk.output(self, "stderr"),
  }, completed_meta)
end

local RUN_OPTIONS = { "input", "capture_output", "check", "timeout" }
table.move(order.OPTIONS, 1, #order.OPTIONS, #RUN_OPTIONS + 1, RUN_OPTIONS)

local function refuse(verb, opts, name, why)
  if opts[name] ~= nil then
    misuse("%s: option '%s' %s", verb, name, why)
  end
end

local function prepare(verb, opts)
  check_input(verb, opts.input)
  if opts.input ~= nil then
    refuse(verb, opts, "stdin", "cannot be given together with 'input'")
    opts.stdin = not opts.pty and order.PIPE or nil
  end
  if opts.capture_output then
    refuse(verb, opts, "stdout", "cannot be given together with 'capture_output'")
    refuse(verb, opts, "stderr", "cannot be given together with 'capture_output'")
    opts.stdout, opts.stderr = order.PIPE, order.PIPE
  end
  local timeout = opts.timeout
  if timeout ~= nil and not is_time(timeout) then
    misuse("%s: option 'timeout' must be a number of seconds, got %s", verb, text(timeout))
  end
end

---@async
local function run(verb, check, known, stdout, t, ...)
  local args, opts = order.split(verb, t, known, ...)
  opts.stdout = stdout or opts.stdout
  prepare(verb, opts)
  core.traps.checkpoint(verb)
  local self, err = start(verb, args, opts)
  if not self then
    return nil, err
  end
  local result, failed = run_it(self, opts.input, opts.timeout)
  if result and (check or opts.check) and result.returncode ~= 0 then
    error(called_process_error(result), 0)
  end
  return result, failed
end

--- Runs a program to its end: run{"cmd", "arg", ..., capture_output = true}. Cancelled, or when the
---timeout has passed, the child is killed (with start_new_session its whole group), and the error
---has .stdout and .stderr, as far as the child has written them.
---@async
---@param t table  as of Popen; and input = string or function, capture_output = true (stdout and
---stderr are pipes), check = true (a returncode other than 0 raises CalledProcessError), timeout =
---seconds (then TaskTimeout is raised)
---@return table? result  .args, .returncode, .stdout, .stderr
---@return table? err     why it could not be started
function subprocess.run(t, ...)
  return run("run", false, RUN_OPTIONS, nil, t, ...)
end

local CHECK_OUTPUT_OPTIONS = {}
for _, name in ipairs(RUN_OPTIONS) do
  if name ~= "stdout" and name ~= "capture_output" and name ~= "check" then
    CHECK_OUTPUT_OPTIONS[#CHECK_OUTPUT_OPTIONS + 1] = name
  end
end

--- Runs a program and gives what it writes to its standard output; raises CalledProcessError if it
---does not end with status 0.
---@async
---@param t table  as of run, without stdout, capture_output and check
---@return string? stdout
---@return table? err  why it could not be started
function subprocess.check_output(t, ...)
  local result, err = run("check_output", true, CHECK_OUTPUT_OPTIONS, order.PIPE, t, ...)
  if not result then
    return nil, err
  end
  return result.stdout
end

return subprocess
