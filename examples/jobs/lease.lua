-- What keeps jobs from getting lost. A worker renews its lease on what it has; whose lease runs out
-- is taken for dead, and the others rescue the jobs, each of which goes to one of them only, since
-- claiming begins a new lease. (One that was merely slow sees its job done twice.)

local call = require "broker"
local curio = require "curio"
local stream = require "stream"

local LEASE = tonumber(os.getenv "JOBS_LEASE") or 30 -- seconds
local TIME = LEASE * 1000 // 1 | 0 -- as Redis counts it

local lease = {}

local function claim(owner, idle, ...)
  return call("xclaim", stream.NAME, stream.GROUP, owner, idle, ...)
end

--- Goes on renewing the jobs whose ids are the table's keys.
function lease.keep(ours)
  while true do
    curio.sleep(LEASE / 4)
    local ids = { "JUSTID" } -- which also says that this is no new try
    for id in pairs(ours) do
      table.insert(ids, 1, id)
    end
    if #ids > 1 then
      claim(stream.ME, 0, table.unpack(ids))
    end
  end
end

--- Up to n jobs of those whose lease has run out: their worker was lost, or they have failed.
function lease.rescue(n, ours)
  local list = {}
  for _, one in ipairs(call("xpending", stream.NAME, stream.GROUP, "IDLE", TIME, "-", "+", n)) do
    local entry = claim(stream.ME, TIME, one[1])[1] -- none, if another was faster
    list[#list + 1] = entry and stream.job(ours, entry, one[4] + 1)
  end
  if #list == 0 then
    curio.sleep(LEASE / 4)
  end
  return list
end

--- A job has failed: when this lease has run out it is tried again.
function lease.postpone(job)
  claim("failed", 0, job.id, "JUSTID")
end

--- Lets others have at once what we have taken and not begun, which does not count as a try.
function lease.hand_back()
  repeat
    local list = call("xpending", stream.NAME, stream.GROUP, "-", "+", 100, stream.ME)
    for _, one in ipairs(list) do
      claim("returned", 0, one[1], "IDLE", TIME, "RETRYCOUNT", one[4] - 1, "JUSTID")
    end
  until #list == 0
end

return lease
