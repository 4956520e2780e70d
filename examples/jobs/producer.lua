-- Adds jobs with the numbers 1 to N.
--
--     curio examples/jobs/producer.lua N [kind]

package.path = (arg[0]:match "^.*/" or "./") .. "?.lua;" .. package.path

local curio = require "curio"
local stream = require "stream"

local TASKS = 8
local count, kind = tonumber(arg[1]) or 100, arg[2] or "count"

local function add(first)
  for number = first, count, TASKS do
    stream.add("kind", kind, "number", number)
  end
end

curio.run(curio.group, function(group)
  for first = 1, TASKS do
    group:spawn(add, first)
  end
end)
print(("added %d jobs"):format(count))
