-- Sends lines to an echo server that speaks TLS, and prints what comes back. One task reads while
-- another writes.
--
--     curio examples/ssl_echo_client.lua cert.pem [HOST [PORT]]      trusts cert.pem only

local curio = require "curio"
local ssl = require "curio.ssl"

local cafile, host, port = arg[1], arg[2] or "localhost", tonumber(arg[3] or 25000)

curio.run(function()
  local ctx = assert(ssl.create_default_context { cafile = cafile })
  local sock <close> = assert(curio.open_connection(host, port, { ssl = ctx }))
  local cert = sock:getpeercert()
  print(("Connected to %s by %s; it is valid until %s"):format(cert.subject.commonName,
    sock:version(), cert.notAfter))

  local group <close> = curio.TaskGroup()
  group:spawn(function()
    for i = 1, 5 do
      assert(sock:sendall(("line %d\n"):format(i)))
      curio.sleep(0.01)
    end
    sock:shutdown "wr"
  end)
  group:spawn(function()
    for line in sock:as_stream():lines() do
      print("echo: " .. line)
    end
  end)
end)
