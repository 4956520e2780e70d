--- Signals, as things that tasks wait for.
--
-- A listener takes its signals when it is made, and leaves them when it is closed, or collected:
-- what was in force before is then put back. Several may listen to one signal, each gets it. The
-- objects are the C host's (src/siglib.c).

local core = require "curio.core"

local signals = core.signal

local signal = {}

-- SIGHUP, SIGINT, ... under their C names.
for name, value in pairs(signals) do
  if math.type(value) then
    signal[name] = value
  end
end

--- Signals in the order in which they come: `q:get()` waits for the next one and gives its number;
---`for signo in q:iter()`, or just `for signo in q`, goes on until the queue is closed. What comes
---while nobody waits is counted. A SIGINT that is listened to does not interrupt the program.
---@param signo integer
---@param ... integer
---@return curio.SignalQueue? queue  to be closed
---@return table? err
signal.SignalQueue = signals.SignalQueue

--- An event that is set when one of the signals comes: `wait`, `is_set`, `clear`.
---@param signo integer
---@param ... integer
---@return curio.SignalEvent? event  to be closed
---@return table? err
signal.SignalEvent = signals.SignalEvent

--- Ignores signals until the object it gives is closed: `local _ <close> = signal.ignore(SIGINT)`.
---Children that are started meanwhile do not ignore them.
---@param signo integer
---@param ... integer
---@return table? ignored  to be closed
---@return table? err
signal.ignore = signals.ignore

return signal
