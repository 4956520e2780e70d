-- A chat server over plain sockets: each line that a client sends goes to all the others. A client
-- has a queue of what is to be sent to it, so one that does not read holds up nobody.
--
--     curio examples/chat.lua [PORT]      then, in several terminals: nc localhost 25000

local curio = require "curio"

local queues = {} -- by name

local function broadcast(from, line)
  for name, queue in pairs(queues) do
    if name ~= from and not queue:try_put(line .. "\n") then
      queue:close() -- too slow: its sender ends, and with it the client
    end
  end
end

local function lines(client)
  local buffer = ""
  return function()
    while #buffer < 4096 do
      local line, rest = buffer:match("^(.-)\r?\n(.*)$")
      if line then
        buffer = rest
        return line
      end
      local data = client:recv(4096)
      if not data then
        return nil
      end
      buffer = buffer .. data
    end
  end
end

local function sender(client, queue)
  for text in queue:iter() do
    assert(client:sendall(text))
  end
end

local function receiver(client, name)
  for line in lines(client) do
    broadcast(name, name .. ": " .. line)
  end
end

local function serve(client, addr)
  local name = tostring(addr)
  queues[name] = curio.Queue(100)
  broadcast(name, name .. " has joined")
  local tasks = curio.TaskGroup { wait = "any", errors = "collect" }
  tasks:spawn(sender, client, queues[name])
  tasks:spawn(receiver, client, name)
  local _ <close> = setmetatable({}, { __close = function()
    queues[name] = nil
    broadcast(name, name .. " has left")
  end })
  tasks:join()
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), serve, { ready = function(addr)
  print("Server listening at " .. tostring(addr))
  io.stdout:flush()
end })
