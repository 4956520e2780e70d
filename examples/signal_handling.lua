-- Waits for a signal as for anything else: no handler interrupts the program in the middle of
-- things, and other tasks go on meanwhile.
--
--     curio examples/signal_handling.lua      then: kill -HUP PID

local curio = require "curio"
local signal = require "curio.signal"

local function pid()
  local file <close> = assert(io.open "/proc/self/stat")
  return file:read "n"
end

curio.run(function()
  local hangup <close> = assert(signal.SignalEvent(signal.SIGHUP))
  print("Send me a SIGHUP", pid())
  io.stdout:flush()
  hangup:wait()
  print "Got a signal!"
end)
