-- A UDP echo server and its client: datagrams go back to where they came from.
--
--     curio examples/udpecho.lua server [PORT]
--     curio examples/udpecho.lua client PORT [TEXT...]

local curio = require "curio"
local socket = require "curio.socket"

local function server(port)
  local sock <close> = assert(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
  assert(sock:bind("127.0.0.1", port or 25000))
  print("Server listening at " .. tostring(sock:getsockname()))
  io.stdout:flush()
  while true do
    local data, from = sock:recvfrom(65536)
    if not data then
      error(from, 0)
    end
    assert(sock:sendto(data, from))
  end
end

-- Datagrams get lost: what is not answered within a second is sent again, three times in all.
local function ask(sock, text)
  for _ = 1, 3 do
    assert(sock:send(text))
    local answer = curio.ignore_after(1, sock.recv, sock, 65536)
    if answer then
      return answer
    end
  end
  error("no answer", 0)
end

local function client(port, ...)
  local sock <close> = assert(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
  assert(sock:connect("127.0.0.1", port))
  for _, text in ipairs { ... } do
    print(ask(sock, text))
  end
end

local what, port = arg[1], tonumber(arg[2])
if what == "client" then
  curio.run(client, assert(port, "which port?"), table.unpack(arg, 3))
else
  curio.run(server, port)
end
