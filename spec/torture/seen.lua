-- Seeing inside: a traced run, all debuggers, where tasks are, a crash that is reported.
local curio = require "curio"
local debuggers = require "curio.debug"

local lines = 0
curio.log = function()
  lines = lines + 1
end

-- A task that dies of a failure may leave the others waiting.
local _ <close> = curio.timeout_after(2)

local function busy()
  local task = curio.spawn { function()
    curio.sleep(0.05)
  end, name = "sleeper" }
  curio.sleep(0)
  assert(task:traceback() and task:where())
  local crashed = curio.spawn(error, { "it broke" })
  crashed:wait()
  assert(crashed.exception[1] == "it broke" or error(crashed.exception, 0))
  local q = curio.Queue(1)
  local getter = curio.spawn(q.get, q)
  q:put(1)
  assert(getter:join() == 1)
  task:join()
end

curio.run { busy, debug = { "schedtrace", "traptrace", "logcrash",
  debuggers.longblock { max_time = 0.01 } } }
assert(lines > 0)

local path = os.tmpname()
curio.run { busy, activations = { debuggers.tracer { path = path } } }
local file <close> = assert(io.open(path))
os.remove(path)
assert(file:read "a":match "^%[.*%]%s*$")
print "ok"
