-- A TCP proxy: each connection is passed on to another server, both ways at once. When one side has
-- said all it has to say, the other is told so and may still answer.
--
--     curio examples/proxy.lua [PORT [HOST PORT]]      by default 25000 to localhost 25001

local curio = require "curio"

local host, port = arg[2] or "localhost", tonumber(arg[3] or 25001)

-- One direction. The bytes are moved by the system, they do not pass through Lua.
local function pump(from, to)
  if curio.io.copy(from, to) then
    to:shutdown "wr"
  else -- broken: so is the other direction
    from:close()
    to:close()
  end
end

local function serve(client)
  local server <close> = assert(curio.open_connection(host, port))
  local both <close> = curio.TaskGroup()
  both:spawn(pump, client, server)
  both:spawn(pump, server, client)
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), serve, { ready = function(addr)
  io.stdout:write("Server listening at ", tostring(addr), "\n"):flush()
end })
