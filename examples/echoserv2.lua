-- The same echo server, with tcp_server for the fiddly bits.
--
--     curio examples/echoserv2.lua [PORT]      then: nc localhost 25000

local curio = require "curio"

local function echo_client(client, addr)
  print("Connection from", addr)
  for data in client:chunks(100000) do
    client:sendall(data)
  end
  print "Connection closed"
end

local function ready(addr)
  print("Server listening at " .. tostring(addr))
  io.stdout:flush()
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), echo_client, { ready = ready })
