--- What LuaSocket's objects for datagrams share, those of udp and of Unix sockets.

local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"

local datagram = {}

--- Bytes that receive takes of a datagram unless told otherwise.
datagram.SIZE = 8192

-- LuaSocket's word for a closed socket, here. (Its receive gives "" then, again and again.)
local CLOSED = "refused"

-- The results of a verb, with its error as LuaSocket's.
local function told(value, err)
  if value then
    return value, err
  end
  local text = limits.text(err)
  return nil, text == "closed" and CLOSED or text
end

--- Sends within the object's limits, to an address if one is given.
---@async
function datagram.send(self, data, addr)
  if not self.sock then
    return nil, CLOSED
  end
  limits.begin(self)
  if addr then
    return told(limits.attempt(self, "write", self.sock.sendto, data, addr))
  end
  return told(limits.attempt(self, "write", self.sock.send, data))
end

local function check_size(size, method)
  size = math.floor(limits.number(size, datagram.SIZE, 2, method))
  if size < 0 then
    limits.misuse(2, method, "a size must not be negative")
  end
  return size
end

-- A datagram of which nothing is wanted is received all the same.
---@async
local function receive_from(self, size)
  if not self.sock then
    return nil, CLOSED
  end
  limits.begin(self)
  local data, from = told(limits.attempt(self, "read", self.sock.recvfrom, math.max(size, 1)))
  if data and #data > size then
    data = ""
  end
  return data, from
end

--- Adds the methods that need no address.
---@param methods table
---@param kind string       "udp"
---@param named function    what receivefrom tells of an address
function datagram.add_methods(methods, kind, named)
  ---@async
  function methods:send(data)
    object.check(self, kind, kind .. "{connected}", "send")
    return datagram.send(self, limits.string(data, 2, "send"))
  end

  ---@async
  function methods:receive(size)
    object.check(self, kind, kind .. "{any}", "receive")
    local data, err = receive_from(self, check_size(size, "receive"))
    if data then
      return data
    end
    return nil, err
  end

  ---@async
  function methods:receivefrom(size)
    object.check(self, kind, kind .. "{unconnected}", "receivefrom")
    local data, from = receive_from(self, check_size(size, "receivefrom"))
    if data then
      return data, named(from)
    end
    return nil, from
  end

  function methods:dirty()
    object.check(self, kind, kind .. "{any}", "dirty")
    return false
  end
end

return datagram
