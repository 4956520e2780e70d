-- The monitor: each command, what is none, a line without an end, and an address that is taken.
local core = require "curio.core"
local curio = require "curio"
local monitor = require "curio.monitor"

local path = os.tmpname()
os.remove(path)
local kernel = core.traps.get_kernel()
monitor.open(kernel, path)
local _ <close> = setmetatable({}, { __close = function()
  monitor.close(kernel) -- and its path is gone
end })

local function connect()
  return assert(curio.open_unix_connection(path)):as_stream()
end

-- Without memory for the answer the monitor hangs up, without memory for the command it says so.
local function answer(stream)
  local text = stream:read_until("curio > ", { max = 100000 })
  if not text or text:find("the command failed", 1, true) then
    error("not enough memory for the answer: " .. tostring(text), 0)
  end
  return text
end

local sleeper = curio.spawn(curio.sleep, 1000)
local stream <close> = connect()
answer(stream)
local id = sleeper.id
for _, command in ipairs {
  "ps", "tree", "help", "hello", "where " .. id, "parents " .. id, "where x", "signal no",
  "cancel " .. id,
} do
  assert(stream:write(command, "\n"))
  assert(#answer(stream) > 0)
end
sleeper:wait()
assert(sleeper.cancelled)

local other <close> = connect()
answer(other)
other:write(("x"):rep(2000)) -- may be cut
other:readall()

local ok, err = pcall(monitor.open, core.kernel {}, path)
assert(not ok and (not curio.is(err, curio.OSError) or err.code == "EADDRINUSE"), err)
if not curio.is(err, curio.OSError) then
  error(err, 0)
end
print "ok"
