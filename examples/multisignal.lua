-- Several listen to the same signals, a task here and another in a thread with a kernel of its own:
-- each gets every one of them, until SIGINT.
--
--     curio examples/multisignal.lua      then: kill -USR1 PID; kill -USR2 PID; kill -INT PID

local curio = require "curio"
local signal = require "curio.signal"

local function listen(label, ready)
  local signals <close> = assert(signal.SignalQueue(signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT))
  ready:set()
  for signo in signals:iter() do
    io.write(("%s got: %d\n"):format(label, signo)):flush()
    if signo == signal.SIGINT then
      break
    end
  end
end

local function pid()
  local file <close> = assert(io.open "/proc/self/stat")
  return file:read "n"
end

curio.run(function()
  local here, there = curio.Event(), curio.UniversalEvent()
  local task = curio.spawn(listen, "task", here)
  local thread = assert(curio.Thread(curio.run, listen, "thread", there))
  here:wait()
  there:wait()
  io.write("Send me signals on PID ", pid(), "\n"):flush()
  task:join()
  thread:join()
end)
