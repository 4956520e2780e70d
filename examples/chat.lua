-- A chat server: each line that a client sends goes to all the others. A client has a queue of what
-- is to be sent to it, so one that does not read holds up nobody; and its lines are bounded, so one
-- that never ends a line cannot fill the memory.
--
--     curio examples/chat.lua [PORT]      then, in several terminals: nc localhost 25000

local curio = require "curio"

local LONGEST_LINE = 4096

local queues = {} -- by name

local function broadcast(from, text)
  for name, queue in pairs(queues) do
    if name ~= from and not queue:try_put(from .. " " .. text .. "\n") then
      queues[name] = nil
      queue:close() -- too slow: its sender ends, and with it the client
    end
  end
end

local function receive(name, stream)
  while true do
    local line = stream:readline { max = LONGEST_LINE }
    if not line then
      return
    end
    broadcast(name, "says: " .. line:gsub("\r$", ""))
  end
end

local function send(queue, stream)
  for text in queue:iter() do
    assert(stream:write(text))
  end
end

local function serve(client, addr)
  local name, stream = tostring(addr), client:as_stream()
  local queue <close> = curio.Queue(100)
  queues[name] = queue
  broadcast(name, "has joined")
  do
    local tasks <close> = curio.TaskGroup { wait = "any", errors = "collect" }
    tasks:spawn(send, queue, stream)
    tasks:spawn(receive, name, stream)
  end -- when either has ended, or this is cancelled
  queues[name] = nil
  broadcast(name, "has left")
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), serve, { ready = function(addr)
  io.stdout:write("Server listening at ", tostring(addr), "\n"):flush()
end })
