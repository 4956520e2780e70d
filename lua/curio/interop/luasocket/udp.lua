--- LuaSocket's udp objects, connected and unconnected.

local core = require "curio.core"
local datagram = require "curio.interop.luasocket.datagram"
local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"
local options = require "curio.interop.luasocket.options"
local socket = require "curio.socket"

local udp = {}

local DGRAM = socket.SOCK_DGRAM
local NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

local Udp = {}
local meta = object.class(Udp)
object.add_methods(Udp, "udp", options.udp)
datagram.add_methods(Udp, "udp", function(addr)
  return addr.host, addr.port
end)

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
  return datagram.send(self, data, targets[1].addr)
end

return udp
