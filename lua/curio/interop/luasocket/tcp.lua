--- LuaSocket's tcp objects: masters, servers and clients. What they do when they have become one or
--- the other stands in stream.lua.

local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"
local options = require "curio.interop.luasocket.options"
local socket = require "curio.socket"
local stream = require "curio.interop.luasocket.stream"

local tcp = {}

local STREAM = socket.SOCK_STREAM

local Tcp = {}
local meta = object.class(Tcp)
object.add_methods(Tcp, "tcp", options.tcp)

local function new(class, family, sock)
  local self = limits.init { class = class, family = family, sock = sock }
  return setmetatable(stream.init(self), meta)
end

stream.add_methods(Tcp, "tcp", new)

-- ---- making ----

--- A master object. Without a family it has no socket before it is bound or connected.
---@param family integer?
function tcp.new(family)
  local self = new("tcp{master}")
  if family then
    local done, err = object.provide(self, family, STREAM)
    if not done then
      return nil, err
    end
  end
  return self
end

--- LuaSocket's connect: a client object, connected.
---@async
function tcp.connect(host, port, local_host, local_port, family)
  host = limits.string(host, 1, "connect")
  port = limits.string(port, 2, "connect")
  local families = { inet = socket.AF_INET, inet6 = socket.AF_INET6, unspec = false }
  local wanted = families[family or "unspec"]
  if wanted == nil then
    limits.misuse(5, "connect", ("invalid option '%s'"):format(family))
  end
  local self <const> = new("tcp{client}", wanted or nil)
  local guard <close> = socket._guard(self)
  local done, err = true, nil
  if local_host then
    done, err = object.bind(self, STREAM, local_host, local_port or "0")
  end
  if done then
    done, err = object.connect(self, STREAM, host, port)
  end
  if not done then
    return nil, err
  end
  guard.sock = nil
  return self
end

---@async
function Tcp:bind(host, port)
  object.check(self, "tcp", "tcp{master}", "bind")
  return object.bind(self, STREAM, limits.string(host, 2, "bind"), limits.string(port, 3, "bind"))
end
Tcp.setsockname = Tcp.bind

---@async
function Tcp:connect(host, port)
  object.check(self, "tcp", "tcp{any}", "connect")
  host, port = limits.string(host, 2, "connect"), limits.string(port, 3, "connect")
  self.class = "tcp{client}"
  return object.connect(self, STREAM, host, port)
end
Tcp.setpeername = Tcp.connect

function Tcp:getpeername()
  object.check(self, "tcp", "tcp{any}", "getpeername")
  return object.getpeername(self)
end

return tcp
