-- A read-write lock made of curio.sched: many readers or one writer. Whoever releases it lets the
-- other side in first, so neither starves.
--
--     local _ <close> = lock:read() -- or lock:write()

local curio = require "curio"
local sched, checkpoint = curio.sched, curio.traps.checkpoint

local RWLock = {}
RWLock.__index = RWLock

local function at_close(fn, lock)
  return setmetatable({}, { __close = function() fn(lock) end })
end

local function new()
  local lock = { reading = 0, readers = sched.SchedBarrier(), writers = sched.SchedFIFO() }
  lock.read_hold = at_close(RWLock.release_read, lock)
  lock.write_hold = at_close(RWLock.release_write, lock)
  return setmetatable(lock, RWLock)
end

local function admit_readers(lock)
  if not lock.writing and #lock.writers == 0 then
    lock.reading = lock.reading + lock.readers:wake()
  end
end

function RWLock:read()
  checkpoint "rwlock:read"
  if self.writing or #self.writers > 0 then
    self.readers:suspend "READ_ACQUIRE"
  else
    self.reading = self.reading + 1
  end
  return self.read_hold
end

function RWLock:release_read()
  self.reading = self.reading - 1
  self.writing = self.reading == 0 and self.writers:wake() > 0
end

function RWLock:write()
  checkpoint "rwlock:write"
  if self.writing or self.reading > 0 then
    local _ <close> = at_close(admit_readers, self) -- those behind a writer that gives up
    self.writers:suspend "WRITE_ACQUIRE"
  else
    self.writing = true
  end
  return self.write_hold
end

function RWLock:release_write()
  self.reading = self.readers:wake()
  self.writing = self.reading == 0 and self.writers:wake() > 0
end

return new
