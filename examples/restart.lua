-- A server that starts anew on SIGHUP. Its clients are told: a handler accepts its cancellation,
-- and then has a second to say goodbye, also to one that does not read.
--
--     curio examples/restart.lua [PORT]      then: nc localhost 25000, and kill -HUP its PID

local curio = require "curio"
local signal = require "curio.signal"

local function echo(stream)
  for line in stream:lines "L" do
    assert(stream:write(line))
  end
end

local function echo_client(client)
  local stream = client:as_stream()
  local ok, err = pcall(echo, stream)
  if curio.check_cancellation(curio.TaskCancelled) then
    curio.ignore_after(1, stream.write, stream, "SERVER IS GOING DOWN!\n")
  elseif not ok then
    error(err, 0)
  end
end

curio.run(function()
  io.stdout:setvbuf "line"
  local port = tonumber(arg[1] or 25000)
  local hangups <close> = assert(signal.SignalQueue(signal.SIGHUP))
  while true do
    local servers <close> = curio.TaskGroup { wait = "none" } -- leaving the block cancels it
    local addr = servers:start(curio.tcp_server, "", port, echo_client, { ready = curio.started })
    print("Server listening at " .. tostring(addr))
    port = addr.port
    hangups:get()
    print "Server shutting down"
  end
end)
