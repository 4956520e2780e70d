-- What the jobs of the example do, by their kind. A job may be done more than once, so in real life
-- the outcome should be the same each time; here it is counted, to see how often that happens.

local call = require "broker"
local curio = require "curio"

return {
  count = function(job)
    curio.sleep(math.random() / 200) -- the work
    call("hincrby", "jobs:done", job.number, 1)
  end,

  fail = function(job)
    error("cannot do number " .. job.number)
  end,
}
