-- An echo server on a Unix socket, and its client, which passes standard output along: the server
-- writes to it what the client says.
--
--     curio examples/unixecho.lua server PATH
--     curio examples/unixecho.lua client PATH TEXT...

local curio = require "curio"

local function server(path)
  curio.unix_server(path, function(client)
    local data, fds = client:recv_fds(65536, 1)
    local output <close> = fds and fds[1] and curio.io.FileStream(fds[1])
    while data do
      if output then
        output:write("client says: ", data, "\n")
        output:flush()
      end
      assert(client:sendall(data))
      data = client:recv(65536)
    end
  end, { ready = function(addr)
    print("Server listening at " .. tostring(addr))
    io.stdout:flush()
  end })
end

local function client(path, ...)
  local sock <close> = assert(curio.open_unix_connection(path))
  local text = table.concat({ ... }, " ")
  assert(sock:send_fds(text, { io.stdout }))
  local answer = ""
  while #answer < #text do
    answer = answer .. assert(sock:recv(65536))
  end
  print("server says: " .. answer)
end

local what, path = arg[1], assert(arg[2], "server or client, and a path")
if what == "client" then
  curio.run(client, path, table.unpack(arg, 3))
else
  curio.run(server, path)
end
