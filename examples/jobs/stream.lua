-- A queue of jobs: a stream of Redis that a consumer group reads. What a worker has taken stays
-- pending under its name until it is finished; lease.lua sees to what is not. A job that was tried
-- TRIES times in vain goes to a stream of dead letters, with the reason.

local call = require "broker"
local socket = require "curio.socket"

local stream = {
  NAME = "jobs", GROUP = "workers", DEAD = "jobs:dead",
  TRIES = tonumber(os.getenv "JOBS_TRIES") or 5,
  ME = os.getenv "JOBS_NAME" or ("%s:%x"):format(socket.gethostname(), math.random(0)),
}

-- A job leaves the stream, for that of the dead letters if there are more arguments: in one step,
-- and once only, even if the call has to be made twice.
local REMOVE = [[if redis.call("XACK", KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
  if ARGV[3] then redis.call("XADD", KEYS[2], "*", "id", ARGV[2], unpack(ARGV, 3)) end
  return redis.call("XDEL", KEYS[1], ARGV[2])]]

--- An entry of Redis's as a job of ours, with its fields; `tries` counts this one, too.
function stream.job(ours, entry, tries)
  local job, fields = {}, entry[2]
  for i = 1, #fields, 2 do
    job[fields[i]] = fields[i + 1]
  end
  job.id, job.fields, job.tries = entry[1], fields, tries -- whatever else it says of itself
  ours[job.id] = job
  return job
end

--- Makes the group, unless it is there.
function stream.open()
  local made, err = pcall(call, "xgroup", "CREATE", stream.NAME, stream.GROUP, "0", "MKSTREAM")
  assert(made or tostring(err):find "BUSYGROUP", err)
end

--- Adds a job with these fields: name, value, name, value.
function stream.add(...)
  return call("xadd", stream.NAME, "*", ...)
end

--- Waits a while for new jobs: up to n.
function stream.take(n, ours)
  local answer = call("xreadgroup", "GROUP", stream.GROUP, stream.ME, "COUNT", n, "BLOCK", 1000,
    "STREAMS", stream.NAME, ">")
  local list = {}
  for i, entry in ipairs(answer and answer[1][2] or {}) do
    list[i] = stream.job(ours, entry, 1)
  end
  return list
end

--- Takes a job away: it is done, or for that reason given up.
function stream.remove(job, reason)
  local letter = reason and { "reason", reason, table.unpack(job.fields) } or {}
  call("eval", REMOVE, 2, stream.NAME, stream.DEAD, stream.GROUP, job.id, table.unpack(letter))
end

return stream
