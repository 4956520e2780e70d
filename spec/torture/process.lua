-- Children, their pipes, their ends; and signals.
local curio = require "curio"
local signal = require "curio.signal"
local subprocess = require "curio.subprocess"

local PIPE = subprocess.PIPE

local result = assert(subprocess.run { "cat", input = "text", capture_output = true })
assert(result.stdout == "text" and result.stderr == "" and result.returncode == 0)
local none, err = subprocess.run { "/no/such/program", stdin = PIPE, stdout = PIPE }
assert(none == nil and err.code == "ENOENT", err)

do
  local process <close> = assert(subprocess.Popen { "sleep", 100 })
  local waiter = curio.spawn(process.wait, process)
  curio.sleep(0)
  process:kill()
  assert(waiter:join() == -9)
end

assert(subprocess.Popen { "true", pty = true })
collectgarbage()
local ok, late = pcall(curio.timeout_after, 0, subprocess.run, { "sleep", 100 })
assert(not ok and curio.is(late, curio.TaskTimeout), late)

local queue <close> = assert(signal.SignalQueue(signal.SIGUSR1))
local event <close> = assert(signal.SignalEvent(signal.SIGUSR1))
local getter = curio.spawn(queue.get, queue)
curio.sleep(0)
os.execute "kill -USR1 $PPID"
assert(getter:join() == signal.SIGUSR1 and event:wait())
print "ok"
