-- echo.lua: the echo server that run.lua measures, the README's own and nothing else.
--
--     curio bench/echo.lua [PORT]      prints "listening HOST PORT"; SIGTERM ends it
--
-- Like the C baseline it asks for 100,000 bytes a recv and lets 1,024 connections wait.

local curio = require "curio"

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

curio.run(curio.tcp_server, "127.0.0.1", tonumber(arg[1] or 0), echo_client,
  {backlog = 1024, ready = announce})
