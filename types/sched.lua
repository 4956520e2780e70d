---@meta curio.sched

--- A list of sleeping tasks, in the order of their coming.
---@class curio.WaitList
---@operator len: integer
local WaitList = {}

--- Sleeps in the list.
---@async
---@param state string?  for task.state
---@param offer any      for whoever wakes
---@return any ...       what wake hands over
function WaitList:suspend(state, offer) end

--- Wakes up to n sleepers, first come first.
---@param n integer?  1 for a SchedFIFO, all for a SchedBarrier
---@param ... any     handed to each
---@return integer woken
---@return any offer  of the first
function WaitList:wake(n, ...) end

---@class curio.sched
local sched = {}

--- Its wake() wakes one task unless told otherwise.
---@return curio.WaitList
function sched.SchedFIFO() end

--- Its wake() wakes all tasks unless told otherwise.
---@return curio.WaitList
function sched.SchedBarrier() end

return sched
