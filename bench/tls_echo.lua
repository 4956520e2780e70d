-- tls_echo.lua: curio's TLS echo server, with a line that the benchmarks wait for.
--
--     curio bench/tls_echo.lua CERTIFICATE KEY [PORT]     prints "listening HOST PORT"

local curio = require "curio"
local ssl = require "curio.ssl"

local function echo_client(client)
  while true do
    local data = client:recv(100000)
    if not data then
      break
    end
    client:sendall(data)
  end
end

local function announce(addr)
  io.write("listening ", addr.host, " ", addr.port, "\n")
  io.flush()
end

curio.run(function()
  local ctx = assert(ssl.create_default_context {
    purpose = "server", certfile = arg[1], keyfile = arg[2],
  })
  curio.tcp_server("127.0.0.1", tonumber(arg[3] or 0), echo_client,
    { backlog = 1024, ready = announce, ssl = ctx })
end)
