-- An echo server on all cores: a thread for each, with a kernel and a share of the port of its own.
--
--     curio examples/echocores.lua [PORT [WORKERS]]      then: nc localhost 25000

local curio = require "curio"

local function echo(client)
  for data in client:chunks(100000) do
    client:sendall(data)
  end
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), echo, {
  workers = tonumber(arg[2]) or "auto",
  grace = 5,
  ready = function(addr)
    print("Server listening at " .. tostring(addr))
    io.stdout:flush()
  end,
})
