--- Wait lists: what locks, queues and the like are made of.
--
-- A list holds sleeping tasks in the order of their coming. A sleeper that is cancelled, or whose
-- time is up, is out of it at once; one that has been woken keeps what it was given, whatever comes
-- then.
--
--     list:suspend(state, offer)   blocks; what wake hands over. state is what task.state shows
--     list:wake(n, ...)            wakes up to n sleepers with these values; how many it were, and
--                                  what the first of them had offered
--     #list                        how many sleep

local core = require "curio.core"

local sched = {}

--- A list whose wake() wakes one task unless told otherwise.
---@return table list
function sched.SchedFIFO()
  return core.sched(1)
end

--- A list whose wake() wakes all tasks unless told otherwise, first come first.
---@return table list
function sched.SchedBarrier()
  return core.sched()
end

return sched
