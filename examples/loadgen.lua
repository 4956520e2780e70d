-- A load generator: so many connections send a message to an echo server, compare what comes back,
-- and go on so; then the rate, and how long the answers took.
--
--     curio examples/loadgen.lua HOST PORT [CONNECTIONS [SECONDS [BYTES]]]      else 64, 5, 1024

local curio = require "curio"

local host, port = assert(arg[1], "which host?"), assert(tonumber(arg[2]), "which port?")
local connections, seconds = tonumber(arg[3] or 64), tonumber(arg[4] or 5)
local size = math.tointeger(tonumber(arg[5] or 1024))
local message = ("0123456789abcdef"):rep(size // 16 + 1):sub(1, size)

local latencies = {}

local function client(go)
  local sock <close> = assert(curio.open_connection(host, port))
  local stream = sock:as_stream()
  curio.started()
  go:wait()
  while true do
    local began = curio.clock()
    assert(stream:write(message))
    local answer, err = stream:read_exactly(#message)
    if answer ~= message then
      error(err or "the server echoes something else", 0)
    end
    latencies[#latencies + 1] = curio.clock() - began
  end
end

-- The first message goes out when all connections stand.
local function load()
  local clients <close> = curio.TaskGroup()
  local go = curio.Event()
  for _ = 1, connections do
    clients:start(client, go)
  end
  go:set()
  curio.ignore_after(seconds, clients.join, clients)
end

local function percentile(p)
  return latencies[math.max(1, math.ceil(#latencies * p / 100))] * 1e6
end

curio.run(function()
  load()
  assert(#latencies > 0, "no answer in that time")
  table.sort(latencies)
  print(("%d messages of %d bytes over %d connections: %.0f/s"):format(#latencies, #message,
    connections, #latencies / seconds))
  print(("p50 %.0f µs, p99 %.0f µs, slowest %.0f µs"):format(percentile(50), percentile(99),
    percentile(100)))
end)
