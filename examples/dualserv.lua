-- The same plain function serves clients in tasks of one kernel and in threads, each with a kernel
-- of its own: two servers, of which the second keeps answering while its clients compute.
--
--     curio examples/dualserv.lua [PORT [PORT]]      then: nc localhost 25000, nc localhost 26000

local curio = require "curio"

local function handle(client, addr, by)
  print("Connection from", addr, by)
  local _ <close> = client
  for data in client:chunks() do
    assert(client:sendall(by .. ": " .. data))
  end
  print "Connection closed"
end

local function listen(port)
  local sock = assert(curio.tcp_server_socket("", port))
  print("Server listening at " .. tostring(sock:getsockname()))
  return sock
end

local function serve_in_tasks(sock)
  local _ <close> = sock
  for client, addr in sock:clients() do
    curio.spawn { handle, client, addr, "task", daemon = true }
  end
end

-- The socket moves to the thread.
local function serve_in_threads(sock)
  local _ <close> = sock
  for client, addr in sock:clients() do
    assert(curio.Thread(curio.run, handle, client, addr, "thread"))
  end
end

curio.run(function()
  local tasks, threads = listen(tonumber(arg[1] or 25000)), listen(tonumber(arg[2] or 26000))
  io.stdout:flush()
  local group <close> = curio.TaskGroup()
  group:spawn(serve_in_tasks, tasks)
  group:spawn(serve_in_threads, threads)
end)
