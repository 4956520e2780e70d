--- Locks, events and conditions for the tasks of one kernel.
--
-- What is released goes straight to whoever has waited longest, so nobody can come between. All is
-- written on curio.traps and curio.sched; a user could have written it.

local core = require "curio.core"
local sched = require "curio.sched"
local traps = require "curio.traps"

local SchedFIFO, SchedBarrier = sched.SchedFIFO, sched.SchedBarrier
local checkpoint, get_id = traps.checkpoint, traps.get_id
local disable_cancellation = traps.disable_cancellation

local sync = {}

local function describe(kind, state, waiting)
  return ("%s(%s, %d waiting)"):format(kind, state, #waiting)
end

--- An Event for tasks of any kernels, threads and plain code.
---@return table event
sync.UniversalEvent = core.universal.event

--- A Result for the same. What is supplied is copied, and copied again for each who unwraps it.
---@return table result
sync.UniversalResult = core.universal.result

-- ---- Event ----

local Event = {}

local event_meta = { __index = Event, __name = "curio.Event" }

function event_meta:__tostring()
  return describe("Event", self._set and "set" or "not set", self._waiting)
end

--- Something that tasks can wait for.
---@return table event
function sync.Event()
  return setmetatable({ _set = false, _waiting = SchedBarrier() }, event_meta)
end

---@return boolean
function Event:is_set()
  return self._set
end

--- Makes later waits wait again.
function Event:clear()
  self._set = false
end

--- Waits until the event is set.
---@async
function Event:wait()
  checkpoint "event:wait"
  if not self._set then
    self._waiting:suspend "EVENT_WAIT"
  end
end

--- Sets the event and wakes all who wait, first come first.
function Event:set()
  self._set = true
  self._waiting:wake()
end

-- ---- Result ----

local Result = {}

local result_meta = { __index = Result, __name = "curio.Result" }

function result_meta:__tostring()
  local state = self._failed and "failed" or self._values and "set" or "not set"
  return describe("Result", state, self._waiting)
end

--- A value, or an error, that somebody will supply.
---@return table result
function sync.Result()
  return setmetatable({ _failed = false, _waiting = SchedBarrier() }, result_meta)
end

---@return boolean
function Result:is_set()
  return self._values ~= nil or self._failed
end

--- Supplies the value; of several the last is kept, but never in place of an error.
---@param ... any
function Result:set_value(...)
  self._values = table.pack(...)
  self._waiting:wake()
end

--- Supplies an error, which unwrap raises from then on.
---@param err any
function Result:set_exception(err)
  self._failed, self._exception = true, err
  self._waiting:wake()
end

--- Waits for the value; raises the error if that is what came.
---@async
---@return any ...
function Result:unwrap()
  checkpoint "result:unwrap"
  if not self:is_set() then
    self._waiting:suspend "RESULT_WAIT"
  end
  if self._failed then
    error(self._exception, 0)
  end
  return table.unpack(self._values, 1, self._values.n)
end

-- ---- Lock ----

local Lock = {}

local lock_meta = { __index = Lock, __name = "curio.Lock" }

function lock_meta:__tostring()
  return describe("Lock", self._owner and "locked" or "unlocked", self._waiting)
end

--- Mutual exclusion: `local _ <close> = lock:acquire()`.
---@return table lock
function sync.Lock()
  return setmetatable({
    _owner = false, -- or the id of the task that holds it
    _waiting = SchedFIFO(),
  }, lock_meta)
end

---@return boolean
function Lock:locked()
  return self._owner ~= false
end

--- Takes the lock, as soon as those who came before have given it back.
---@async
---@return table lock  itself, to be closed
function Lock:acquire()
  local id = checkpoint "lock:acquire"
  if self._owner then
    self._waiting:suspend("LOCK_ACQUIRE", id) -- is the owner when it wakes
  else
    self._owner = id
  end
  return self
end

-- A task that is closed by force runs its handlers when no task is running: then anybody may.
local function must_own(lock, verb)
  local id = get_id()
  if lock._owner ~= id and (id or not lock._owner) then
    error(verb .. ": the task does not hold the lock", 3)
  end
end

--- Gives the lock to the first of those who wait for it. Raises if the task does not hold it.
function Lock:release()
  must_own(self, "lock:release")
  local woken, heir = self._waiting:wake(1)
  self._owner = woken > 0 and heir
end

lock_meta.__close = Lock.release

-- ---- RLock ----

local RLock = {}

local rlock_meta = { __index = RLock, __name = "curio.RLock" }

function rlock_meta:__tostring()
  return describe("RLock", ("held %d times"):format(self._depth), self._waiting)
end

--- A lock that its owner may take again; it must give it back as often.
---@return table lock
function sync.RLock()
  return setmetatable({ _owner = false, _depth = 0, _waiting = SchedFIFO() }, rlock_meta)
end

---@return boolean
function RLock:locked()
  return self._owner ~= false
end

-- Takes the lock `depth` times at once.
local function take(lock, depth)
  local id = checkpoint "rlock:acquire"
  if lock._owner == id then
    lock._depth = lock._depth + depth
    return lock
  end
  if lock._owner then
    lock._waiting:suspend("LOCK_ACQUIRE", id)
  else
    lock._owner = id
  end
  lock._depth = depth
  return lock
end

--- Takes the lock, or takes it once more.
---@async
---@return table lock  itself, to be closed
function RLock:acquire()
  return take(self, 1)
end

local function hand_over(lock)
  local woken, heir = lock._waiting:wake(1)
  lock._owner = woken > 0 and heir
  lock._depth = 0
end

--- Undoes one acquire; the last one gives the lock to the first of those who wait for it. Raises if
---the task does not hold it.
function RLock:release()
  must_own(self, "rlock:release")
  if self._depth > 1 then
    self._depth = self._depth - 1
  else
    hand_over(self)
  end
end

rlock_meta.__close = RLock.release

-- For conditions: gives the lock back altogether, and takes it so again.

function RLock:_release_all()
  local depth = self._depth
  hand_over(self)
  return depth
end

RLock._acquire_all = take

-- ---- Semaphore ----

local Semaphore = {}

local function semaphore_tostring(self)
  local kind = getmetatable(self).__name:sub(#"curio." + 1)
  return describe(kind, "value " .. self.value, self._waiting)
end

local semaphore_meta = {
  __index = Semaphore,
  __name = "curio.Semaphore",
  __tostring = semaphore_tostring,
}

local function new_semaphore(value, meta)
  value = value == nil and 1 or value
  if math.type(value) ~= "integer" or value < 0 then
    error(("curio.Semaphore: a whole number, 0 or more, is expected, got %s"):format(value), 3)
  end
  return setmetatable({ value = value, _limit = value, _waiting = SchedFIFO() }, meta)
end

--- Something there are n of. `value` tells how many are left.
---@param value integer?  1 by default
---@return table semaphore
function sync.Semaphore(value)
  return new_semaphore(value, semaphore_meta)
end

--- Is none left?
---@return boolean
function Semaphore:locked()
  return self.value == 0
end

--- Takes one, as soon as there is one that nobody waits for longer.
---@async
---@return table semaphore  itself, to be closed
function Semaphore:acquire()
  checkpoint "semaphore:acquire"
  if self.value > 0 then
    self.value = self.value - 1
  else
    self._waiting:suspend "SEMA_ACQUIRE"
  end
  return self
end

--- Gives one back, or adds one.
function Semaphore:release()
  if self._waiting:wake(1) == 0 then
    self.value = self.value + 1
  end
end

semaphore_meta.__close = Semaphore.release

local BoundedSemaphore = setmetatable({}, { __index = Semaphore })

local bounded_meta = {
  __index = BoundedSemaphore,
  __name = "curio.BoundedSemaphore",
  __tostring = semaphore_tostring,
}

--- A semaphore that cannot be given back more often than it was taken.
---@param value integer?  1 by default
---@return table semaphore
function sync.BoundedSemaphore(value)
  return new_semaphore(value, bounded_meta)
end

BoundedSemaphore.acquire = Semaphore.acquire
BoundedSemaphore.locked = Semaphore.locked

--- Gives one back. Raises if all are back already.
function BoundedSemaphore:release()
  if self.value >= self._limit then
    error("semaphore:release: it has been released more often than acquired", 2)
  end
  Semaphore.release(self)
end

bounded_meta.__close = BoundedSemaphore.release

-- ---- Condition ----

local Condition = {}

local condition_meta = { __index = Condition, __name = "curio.Condition" }

function condition_meta:__tostring()
  return describe("Condition", self._lock:locked() and "locked" or "unlocked", self._waiting)
end

-- Whatever ends the wait, the lock is held again when wait returns or raises: this is not
-- cancelled.
local relock_meta = {
  __close = function(relock)
    local lock = relock.lock
    if relock.depth then
      disable_cancellation(lock._acquire_all, lock, relock.depth)
    else
      disable_cancellation(lock.acquire, lock)
    end
  end,
}

--- A lock, and a place to wait for news of what it protects.
---@param lock table?  a Lock by default; or anything with acquire, release and locked
---@return table condition
function sync.Condition(lock)
  if lock ~= nil and type(lock) ~= "table" then
    error("curio.Condition: a lock is expected, got " .. type(lock), 2)
  end
  return setmetatable({ _lock = lock or sync.Lock(), _waiting = SchedFIFO() }, condition_meta)
end

--- Takes the lock.
---@async
---@return table condition  itself, to be closed
function Condition:acquire()
  self._lock:acquire()
  return self
end

--- Gives the lock back.
function Condition:release()
  self._lock:release()
end

condition_meta.__close = Condition.release

---@return boolean
function Condition:locked()
  return self._lock:locked()
end

-- Locks made by others need not know their owner.
local function must_hold(condition, verb)
  local lock = condition._lock
  if not lock:locked() or (lock._owner ~= nil and lock._owner ~= get_id()) then
    error(verb .. ": the task does not hold the lock", 3)
  end
end

--- Gives the lock back, waits to be notified, takes the lock again; the latter also when it is
---cancelled or its time is up.
---@async
function Condition:wait()
  must_hold(self, "condition:wait")
  checkpoint "condition:wait"
  local lock = self._lock
  local relock = setmetatable({ lock = lock }, relock_meta)
  if lock._release_all then
    relock.depth = lock:_release_all()
  else
    lock:release()
  end
  local _ <close> = relock
  self._waiting:suspend "COND_WAIT"
end

--- Waits until predicate() gives something true.
---@async
---@param predicate function
---@return any value  what it gave
function Condition:wait_for(predicate)
  must_hold(self, "condition:wait_for")
  checkpoint "condition:wait_for"
  local value = predicate()
  while not value do
    self:wait()
    value = predicate()
  end
  return value
end

--- Wakes up to n of those who wait, first come first.
---@param n integer?  1 by default
function Condition:notify(n)
  must_hold(self, "condition:notify")
  self._waiting:wake(n or 1)
end

--- Wakes all who wait.
function Condition:notify_all()
  must_hold(self, "condition:notify_all")
  self._waiting:wake(#self._waiting)
end

condition_meta.__close = Condition.release

return sync
