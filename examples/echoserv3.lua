-- The same echo server, line by line, with streams.
--
--     curio examples/echoserv3.lua [PORT]      then: nc localhost 25000

local curio = require "curio"

local function echo_client(client, addr)
  print("Connection from", addr)
  local stream = client:as_stream()
  for line in stream:lines "L" do
    assert(stream:write(line))
  end
  print "Connection closed"
end

local function ready(addr)
  print("Server listening at " .. tostring(addr))
  io.stdout:flush()
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), echo_client, { ready = ready })
