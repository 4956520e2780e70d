--- LuaSocket's udp objects, connected and unconnected.

local core = require "curio.core"
local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"
local options = require "curio.interop.luasocket.options"
local socket = require "curio.socket"

local udp = {}

local DGRAM = socket.SOCK_DGRAM
local NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

--- Bytes that receive takes of a datagram unless told otherwise.
udp.SIZE = 8192

local Udp = {}
local meta = object.class(Udp)
object.add_methods(Udp, "udp", options.udp)

--- An unconnected object. Without a family it has no socket before it is given an address.
---@param family integer?
function udp.new(family)
  local self = setmetatable(limits.init { class = "udp{unconnected}", family = nil }, meta)
  if family then
    local done, err = object.provide(self, family, DGRAM)
    if not done then
      return nil, err
    end
  end
  return self
end

---@async
function Udp:setsockname(host, port)
  object.check(self, "udp", "udp{unconnected}", "setsockname")
  host, port = limits.string(host, 2, "setsockname"), limits.string(port, 3, "setsockname")
  return object.bind(self, DGRAM, host, port)
end

---@async
function Udp:setpeername(host, port)
  object.check(self, "udp", "udp{any}", "setpeername")
  if limits.string(host, 2, "setpeername") == "*" then
    if self.sock and self.sock:fileno() then
      core.interop.disconnect(self.sock)
    end
    self.class = "udp{unconnected}"
    return 1
  end
  local done, err = object.connect(self, DGRAM, host, limits.string(port, 3, "setpeername"))
  if not done then
    return nil, err
  end
  self.class = "udp{connected}"
  return 1
end

function Udp:getpeername()
  object.check(self, "udp", "udp{connected}", "getpeername")
  return object.getpeername(self)
end

function Udp:dirty()
  object.check(self, "udp", "udp{any}", "dirty")
  return false
end

-- LuaSocket's word for a closed socket, here.
local CLOSED = "refused"

-- The results of a verb, with its error as LuaSocket's.
local function told(value, err)
  if value then
    return value, err
  end
  local text = limits.text(err)
  return nil, text == "closed" and CLOSED or text
end

---@async
function Udp:send(data)
  object.check(self, "udp", "udp{connected}", "send")
  data = limits.string(data, 2, "send")
  limits.begin(self)
  return told(limits.attempt(self, "write", self.sock.send, data))
end

---@async
function Udp:sendto(data, host, port)
  object.check(self, "udp", "udp{unconnected}", "sendto")
  data, host = limits.string(data, 2, "sendto"), limits.string(host, 3, "sendto")
  port = limits.string(port, 4, "sendto")
  local targets, unresolved = object.resolve(self, DGRAM, host, port, NUMERIC)
  if not targets then
    return nil, limits.words(unresolved) -- here LuaSocket has no words of its own
  end
  local done, err = self.sock, nil
  if not done then
    done, err = object.provide(self, targets[1].family, DGRAM)
  end
  if not done then
    return nil, err
  end
  limits.begin(self)
  return told(limits.attempt(self, "write", self.sock.sendto, data, targets[1].addr))
end

local function check_size(size, method)
  size = math.floor(limits.number(size, udp.SIZE, 2, method))
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

---@async
function Udp:receive(size)
  object.check(self, "udp", "udp{any}", "receive")
  local data, err = receive_from(self, check_size(size, "receive"))
  if data then
    return data
  end
  return nil, err
end

---@async
function Udp:receivefrom(size)
  object.check(self, "udp", "udp{unconnected}", "receivefrom")
  local data, from = receive_from(self, check_size(size, "receivefrom"))
  if data then
    return data, from.host, from.port
  end
  return nil, from
end

return udp
