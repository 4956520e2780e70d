-- Happy Eyeballs (RFC 8305) written out with a TaskGroup, as in curio's README: connection attempts
-- that start one after the other, of which the first to succeed wins. curio.open_connection has it
-- built in.
--
--     curio examples/happy.lua [HOST [PORT]]

local curio = require "curio"
local socket = require "curio.socket"

-- The families take turns.
local function interleave(targets)
  local families, by_family, mixed = {}, {}, {}
  for _, target in ipairs(targets) do
    if not by_family[target.family] then
      by_family[target.family] = {}
      table.insert(families, target.family)
    end
    table.insert(by_family[target.family], target)
  end
  for turn = 1, #targets do
    for _, family in ipairs(families) do
      table.insert(mixed, by_family[family][turn])
    end
  end
  return mixed
end

local function open_tcp_stream(hostname, port, delay)
  local targets = assert(socket.getaddrinfo(hostname, port, { type = socket.SOCK_STREAM }))
  local errors = {}

  -- Returns the socket if it could connect. Whatever else happens, cancellation too, closes it.
  local function try_connect(target)
    local sock = assert(socket.socket(target.family, target.type, target.proto))
    local done, connected, err = pcall(sock.connect, sock, target.addr)
    if done and connected then
      return sock
    end
    sock:close()
    table.insert(errors, tostring(done and err or connected))
  end

  -- The group waits for the first result that is not nil and cancels the tasks that remain.
  local group <close> = curio.TaskGroup { wait = "object" }
  for _, target in ipairs(interleave(targets)) do
    group:spawn(try_connect, target)
    local task = curio.ignore_after(delay or 0.25, group.next_done, group)
    if task and task.result then
      return task.result
    end
  end
  group:join()
  return group.completed and group.result or error(table.concat(errors, "\n"), 0)
end

curio.run(function()
  local sock <close> = open_tcp_stream(arg[1] or "www.python.org", tonumber(arg[2] or 80))
  print("Connected to " .. tostring(sock:getpeername()))
end)
