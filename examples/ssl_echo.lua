-- An echo server that speaks TLS. ssl_echo_client.lua is the other end.
--
--     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
--       -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
--     curio examples/ssl_echo.lua cert.pem key.pem [PORT]

local curio = require "curio"
local ssl = require "curio.ssl"

local cert, key, port = arg[1], arg[2], arg[3]

local function echo_client(client, addr)
  print("Connection from", addr, client:version(), (client:cipher()))
  for data in client:chunks() do
    client:sendall(data)
  end
  print "Connection closed"
end

local function announce(addr)
  print("Server listening at " .. tostring(addr))
  io.stdout:flush()
end

curio.run(function()
  local ctx = assert(ssl.create_default_context {
    purpose = "server", certfile = cert, keyfile = key,
  })
  curio.tcp_server("", tonumber(port or 25000), echo_client, { ssl = ctx, ready = announce })
end)
