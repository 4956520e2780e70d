-- A chat server over plain sockets: each line that a client sends goes to all the others. A client
-- has a queue of what is to be sent to it, so one that does not read holds up nobody.
--
--     curio examples/chat.lua [PORT]      then, in several terminals: nc localhost 25000

local curio = require "curio"

local queues = {} -- by name

local function broadcast(from, text)
  for name, queue in pairs(queues) do
    if name ~= from and not queue:try_put(from .. " " .. text .. "\n") then
      queues[name] = nil
      queue:close() -- too slow: its sender ends, and with it the client
    end
  end
end

local function lines(client)
  local buffer = ""
  return function()
    while true do
      local line, rest = buffer:match("^(.-)\r?\n(.*)$")
      if line then
        buffer = rest
        return line
      end
      local data = #buffer < 4096 and client:recv(4096)
      if not data then
        return nil
      end
      buffer = buffer .. data
    end
  end
end

local function serve(client, addr)
  local name = tostring(addr)
  local queue <close> = curio.Queue(100)
  queues[name] = queue
  broadcast(name, "has joined")
  local tasks = curio.TaskGroup { wait = "any", errors = "collect" }
  tasks:spawn(function()
    for text in queue:iter() do
      assert(client:sendall(text))
    end
  end)
  tasks:spawn(function()
    for line in lines(client) do
      broadcast(name, "says: " .. line)
    end
  end)
  tasks:join()
  queues[name] = nil
  broadcast(name, "has left")
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), serve, { ready = function(addr)
  io.stdout:write("Server listening at ", tostring(addr), "\n"):flush()
end })
