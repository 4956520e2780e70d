-- Tells how far the jobs with the numbers 1 to N are: which were done, and which more than once.
-- With --wait it does so when none is left. Its status is 1 if one was lost.
--
--     curio examples/jobs/report.lua N [--wait]

package.path = (arg[0]:match "^.*/" or "./") .. "?.lua;" .. package.path

local call = require "broker"
local curio = require "curio"
local stream = require "stream"

local count, waits = tonumber(arg[1]) or 100, arg[2] == "--wait"

-- What the dead letters say: by number, why it was given up.
local function dead_letters()
  local reasons, last = {}, "-"
  repeat
    local list = call("xrange", stream.DEAD, last, "+", "COUNT", 100)
    for _, entry in ipairs(list) do
      local letter = stream.job({}, entry)
      reasons[letter.number or ""], last = letter.reason, "(" .. entry[1]
    end
  until #list == 0
  return reasons
end

curio.run(function()
  while waits and call("xlen", stream.NAME) > 0 do
    curio.sleep(0.05)
  end
  local left, done, dead = call("xlen", stream.NAME), call("hgetall", "jobs:done"), dead_letters()
  local once, more, extra, given_up = 0, 0, 0, 0
  for number = 1, count do
    local times = tonumber(done[tostring(number)] or 0)
    if times > 0 then
      once, extra = once + 1, extra + times - 1
      more = more + (times > 1 and 1 or 0)
    elseif dead[tostring(number)] then
      given_up = given_up + 1
      print(("number %d was given up: %s"):format(number, dead[tostring(number)]))
    end
  end
  local missing = count - once - given_up
  print(("%d jobs: %d done, %d given up, %d %s"):format(count, once, given_up, missing,
    left > 0 and "to do" or "lost"))
  print(("%d of them done more than once, %d times too often in all"):format(more, extra))
  os.exit(left > 0 or missing == 0, true)
end)
