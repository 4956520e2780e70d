-- Which TCP ports of a host answer, a hundred tried at once: a group with a limit is all it takes,
-- as spawn waits while that many run.
--
--     curio examples/portscan.lua [HOST [FIRST [LAST]]]

local curio = require "curio"
local socket = require "curio.socket"

local function is_open(host, port)
  local sock = curio.ignore_after(2, socket.create_connection, host, port)
  if sock then
    sock:close()
  end
  return sock ~= nil
end

local function scan(host, first, last)
  local open = {}
  do
    local group <close> = curio.TaskGroup { limit = 100 }
    for port = first, last do
      group:spawn(function()
        if is_open(host, port) then
          table.insert(open, port)
        end
      end)
    end
  end -- leaving the block waits for all
  table.sort(open)
  return open
end

curio.run(function()
  local host = arg[1] or "127.0.0.1"
  local first = tonumber(arg[2] or 1)
  for _, port in ipairs(scan(host, first, tonumber(arg[3] or arg[2] or 1024))) do
    print(("%s:%d is open"):format(host, port))
  end
end)
