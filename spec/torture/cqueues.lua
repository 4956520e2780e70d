-- Controllers of cqueues in tasks: run, await, an end by error and by cancellation, loop and close.
local curio = require "curio"
local bridge = require "curio.interop.cqueues"
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

-- A task that dies of a failure may leave the others waiting.
local _ <close> = curio.timeout_after(5)

local function talk()
  local a, b = socket.pair()
  cqueues.running():wrap(function()
    b:write(b:read "*l", "\n")
    b:flush()
  end)
  a:write "hello\n"
  a:flush()
  local line = a:read "*l"
  a:close()
  b:close()
  return bridge.await(function()
    curio.sleep(0)
    return line
  end)
end

assert(bridge.run(talk) == "hello")
assert(not pcall(bridge.run, function()
  cqueues.running():wrap(cqueues.sleep, 10)
  socket.pair()
  cqueues.sleep(0)
  error "mine"
end))
local late = curio.ignore_after { 0.001, bridge.run, cqueues.sleep, 10, timeout_result = "late" }
assert(late == "late")

local controller = cqueues.new()
controller:wrap(cqueues.sleep, 10)
local task = curio.spawn(bridge.loop, controller)
curio.sleep(0)
bridge.close(controller)
assert(not task:join())
print "ok"
