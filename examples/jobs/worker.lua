-- Does jobs, JOBS_TASKS at a time; as many of these on as many machines as one likes. SIGTERM ends
-- it in order: what has begun is finished, the rest is handed back.
--
--     curio examples/jobs/worker.lua [handlers.lua]

local here = arg[0]:match "^.*/" or "./"
package.path = here .. "?.lua;" .. package.path

local curio = require "curio"
local lease = require "lease"
local signal = require "curio.signal"
local stream = require "stream"

local TASKS = tonumber(os.getenv "JOBS_TASKS") or 8
local handlers = dofile(arg[1] or here .. "handlers.lua")
local waiting, ours = curio.Queue(TASKS), {} -- jobs not begun; those not finished, by their ids

local function handle(job)
  assert(job.tries <= stream.TRIES, "its worker was lost each time")
  assert(handlers[job.kind], "no handler for this kind of job")(job)
end

local function work()
  for job in waiting:iter() do
    local done, err = curio.pcall(handle, job)
    if done then
      stream.remove(job)
    elseif job.tries < stream.TRIES then
      lease.postpone(job)
    else
      stream.remove(job, tostring(err))
    end
    ours[job.id] = nil
  end
end

local function supply(source)
  while true do
    for _, job in ipairs(source(TASKS, ours)) do
      waiting:put(job)
    end
  end
end

curio.run(curio.group, function(group)
  stream.open()
  local stop <close> = signal.SignalQueue(signal.SIGTERM, signal.SIGINT)
  for _ = 1, TASKS do
    group:spawn(work)
  end
  group:spawn { lease.keep, ours, daemon = true } -- to the end
  local take, rescue = group:spawn(supply, stream.take), group:spawn(supply, lease.rescue)
  stop:get()
  take:cancel()
  rescue:cancel()
  while waiting:try_get() do end
  waiting:close()
  group:join()
  lease.hand_back()
end)
