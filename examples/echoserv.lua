-- A concurrent echo server made of sockets and tasks, as in curio's README.
--
--     curio examples/echoserv.lua [PORT]      then: nc localhost 25000

local curio = require "curio"
local socket = require "curio.socket"

local function echo_client(client, addr)
  print("Connection from", addr)
  local sock <close> = client
  while true do
    local data = sock:recv(100000)
    if not data then
      break
    end
    sock:sendall(data)
  end
  print "Connection closed"
end

local function echo_server(host, port)
  local sock <close> = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
  assert(sock:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, true))
  assert(sock:bind(host, port))
  assert(sock:listen(1024))
  print("Server listening at " .. tostring(sock:getsockname()))
  io.stdout:flush()
  while true do
    local client, addr = assert(sock:accept())
    curio.spawn { echo_client, client, addr, daemon = true }
  end
end

curio.run(echo_server, "", tonumber(arg[1] or 25000))
