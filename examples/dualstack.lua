-- A server for IPv4 and IPv6: one listening socket of each family, on the same port, in a group.
--
--     curio examples/dualstack.lua [PORT]      then: nc -4 localhost 25000, nc -6 localhost 25000

local curio = require "curio"
local socket = require "curio.socket"

local function greet(client, addr)
  local version = addr.family == socket.AF_INET6 and 6 or 4
  client:sendall(("Hello %s, by IPv%d\n"):format(addr.host, version))
end

local function listen(family, host, port)
  local sock = assert(socket.socket(family))
  assert(sock:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, true))
  if family == socket.AF_INET6 then
    -- Leave IPv4 to the other socket.
    assert(sock:setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, true))
  end
  assert(sock:bind(host, port))
  assert(sock:listen(100))
  print("Server listening at " .. tostring(sock:getsockname()))
  return sock
end

curio.run(function()
  local four = listen(socket.AF_INET, "", tonumber(arg[1] or 25000))
  local six = listen(socket.AF_INET6, "", four:getsockname().port)
  io.stdout:flush()
  local servers <close> = curio.TaskGroup()
  servers:spawn(curio.run_server, four, greet)
  servers:spawn(curio.run_server, six, greet)
end)
