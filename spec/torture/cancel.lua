-- Cancellation, shields, timeouts, their nesting, and clean-up that blocks.
local curio = require "curio"

local closed = 0
local function closing()
  return setmetatable({}, {
    __close = function()
      curio.disable_cancellation(curio.sleep, 0)
      closed = closed + 1
    end,
  })
end

local task = curio.spawn(function()
  local _ <close> = closing()
  curio.sleep(100)
end)
curio.sleep(0)
assert(task:cancel { reason = "enough" })
assert(closed == 1, task.exception)
assert(task.cancelled)

local stubborn = curio.spawn(function()
  for _ = 1, 3 do
    pcall(curio.sleep, 100)
  end
end)
curio.sleep(0)
stubborn:cancel()

local ended, err = pcall(curio.timeout_after, 0.001, function()
  local _ <close> = closing()
  curio.timeout_after(50, curio.sleep, 100)
end)
assert(not ended and curio.is(err, curio.TaskTimeout), err)
assert(curio.ignore_after { 0.001, curio.sleep, 100, timeout_result = "late" } == "late")
do
  local _ <close> = curio.timeout_after(50)
  curio.sleep(0)
end
assert(closed == 2, "closed: not enough memory?")
print "ok"
