-- work_luv.lua JOBS FLIGHT: empty jobs in luv's thread pool (new_work), so many in flight at a
-- time, for comparison. Prints the microseconds of a job.

local uv = require "luv"

local jobs, flight = tonumber(arg[1]), tonumber(arg[2])
local begun, done, work = 0, 0, nil

local function begin()
  begun = begun + 1
  work:queue()
end

work = uv.new_work(function() end, function()
  done = done + 1
  if begun < jobs then
    begin()
  end
end)

work:queue() -- the threads are there
uv.run()
begun, done = 0, 0

local from = uv.hrtime()
for _ = 1, flight do
  begin()
end
uv.run()
assert(done == jobs)
print((uv.hrtime() - from) / 1e3 / jobs)
