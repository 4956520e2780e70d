-- An echo over a socket pair and over TCP, by a server with handlers.
local curio = require "curio"
local socket = require "curio.socket"

local function echo(client)
  local _ <close> = client
  for data in client:chunks(1000) do
    assert(client:sendall(data))
  end
end

local function exchange(sock, message)
  assert(sock:sendall(message))
  local got = {}
  local size = 0
  while size < #message do
    got[#got + 1] = assert(sock:recv(300))
    size = size + #got[#got]
  end
  assert(table.concat(got) == message)
end

-- A task that dies of a failure may leave the others waiting.
local _ <close> = curio.timeout_after(2)

local a, b = assert(socket.socketpair())
local task = curio.spawn(echo, b)
exchange(a, ("x"):rep(5000))
a:close()
task:join()
b:close()

local addr
local server = curio.spawn {
  curio.tcp_server, "127.0.0.1", 0, echo, { ready = function(bound) addr = bound end },
  daemon = true,
}
while not addr do
  curio.sleep(0.001)
end
do
  local sock <close> = assert(curio.open_connection("127.0.0.1", addr.port))
  exchange(sock, "hello")
end
server:cancel()
print "ok"
