---@meta curio.subprocess

---@class curio.subprocess
---@field PIPE integer     for stdin, stdout, stderr: a pipe, whose other end is a stream
---@field STDOUT integer   for stderr: where stdout goes
---@field DEVNULL integer  for stdin, stdout, stderr: nothing
local subprocess = {}

---@class curio.Popen
---@field args string[]
---@field pid integer
---@field returncode integer?      nil while it runs, as far as is known
---@field stdin curio.stream?      of a pipe, or the terminal
---@field stdout curio.stream?
---@field stderr curio.stream?
local Popen = {}

--- Waits for the child's end.
---@async
---@return integer? returncode  its exit status, or minus the signal that ended it
---@return curio.Error? err     ECHILD: somebody else has taken its status
function Popen:wait() end

--- The same without waiting: nil while it runs.
---@return integer? returncode
---@return curio.Error? err
function Popen:poll() end

--- Gives the child its input and reads what it writes, both at once, until it ends.
---@async
---@param input string|function|nil  a string, or a function that gives one piece after the other
---@param opts { stdout: fun(piece: string)?, stderr: fun(piece: string)? }?  given each piece,
---which is then not kept
---@return string? stdout
---@return string|curio.Error|nil stderr_or_err
function Popen:communicate(input, opts) end

--- Sends a signal.
---@param signo integer
---@param opts table?  group = true: to all in the process group that it leads
---@return boolean? sent  false: it has ended already
---@return curio.Error? err
function Popen:send_signal(signo, opts) end

--- Sends SIGTERM; with a time of grace waits for the end, and then kills.
---@async
---@param grace number?
---@param opts table?  group = true
---@return boolean|integer? sent_or_returncode
---@return curio.Error? err
function Popen:terminate(grace, opts) end

--- Sends SIGKILL.
---@param opts table?  group = true
---@return boolean? sent
---@return curio.Error? err
function Popen:kill(opts) end

---@class curio.ChildOptions
---@field [integer] string|number  the program and its arguments
---@field stdin any
---@field stderr any
---@field cwd string?
---@field env table<string, string|number>?  in place of the parent's
---@field shell boolean?
---@field start_new_session boolean?
---@field pass_fds any[]?
---@field umask integer?
---@field pty boolean?
---@field rlimits table?
---@field user string|integer|nil
---@field group string|integer|nil

---@class curio.PopenOptions: curio.ChildOptions
---@field stdout any

---@class curio.CheckOutputOptions: curio.ChildOptions
---@field input string|function|nil  as of communicate
---@field timeout number?            seconds; then the child is killed and TaskTimeout raised

---@class curio.RunChildOptions: curio.CheckOutputOptions
---@field stdout any
---@field capture_output boolean?  stdout and stderr are pipes
---@field check boolean?           a returncode other than 0 raises CalledProcessError

--- Starts a program.
---@param t curio.PopenOptions
---@return curio.Popen? process
---@return curio.Error? err
function subprocess.Popen(t) end

---@class curio.CompletedProcess
---@field args string[]
---@field returncode integer
---@field stdout string?
---@field stderr string?

--- Runs a program to its end.
---@async
---@param t curio.RunChildOptions
---@return curio.CompletedProcess? result
---@return curio.Error? err
function subprocess.run(t) end

--- Runs a program and gives what it writes.
---@async
---@param t curio.CheckOutputOptions
---@return string? stdout
---@return curio.Error? err
function subprocess.check_output(t) end

return subprocess
