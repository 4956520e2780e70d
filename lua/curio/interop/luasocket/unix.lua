--- LuaSocket's module `socket.unix`: objects for streams and datagrams whose addresses are paths.
--
-- They are like those of tcp and udp, but for their names, and for what LuaSocket has left out:
-- getpeername, getoption. A path ends at its first NUL, so there are no abstract names.

local datagram = require "curio.interop.luasocket.datagram"
local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"
local options = require "curio.interop.luasocket.options"
local socket = require "curio.socket"
local stream = require "curio.interop.luasocket.stream"

local UNIX = socket.AF_UNIX

-- ---- addresses ----

local function address(path, position, method)
  return { limits.string(path, position, method):match "^[^\0]*" }
end

-- The path of an address, "" where there is none.
local function path_of(addr)
  return addr and addr[1]:match "^[^\0]*" or ""
end

-- ---- what both kinds do ----

local function alive(self)
  return self.sock and self.sock:fileno()
end

-- 1, or nil and LuaSocket's words; whose object has no socket any more then.
local function settled(self, done, err)
  if done then
    return 1
  elseif err ~= limits.TIMEOUT then
    self.sock:close()
  end
  return nil, limits.text(err)
end

local function bind(self, path)
  local addr = address(path, 2, "bind")
  if not alive(self) then
    return nil, limits.BAD_DESCRIPTOR
  end
  return settled(self, self.sock:bind(addr))
end

---@async
local function connect(self, path)
  local addr = address(path, 2, "connect")
  if not alive(self) then
    return nil, "closed"
  end
  limits.begin(self)
  return settled(self, object.connect_to(self, addr))
end

local function getsockname(self)
  local addr = alive(self) and self.sock:getsockname()
  if not addr then
    return nil, limits.BAD_DESCRIPTOR
  end
  return path_of(addr)
end

-- Their class: its methods, its metatable. `names` are what an object is called that may be bound,
-- that may be connected, and that has been.
local function class_of(kind, known, names)
  local methods = {}
  object.add_methods(methods, kind, known)
  methods.getfamily, methods.getoption = nil, nil
  function methods:getsockname()
    object.check(self, kind, kind .. "{any}", "getsockname")
    return getsockname(self)
  end
  function methods:bind(path)
    object.check(self, kind, names.bind, "bind")
    return bind(self, path)
  end
  ---@async
  function methods:connect(path)
    object.check(self, kind, names.connect, "connect")
    local done, err = connect(self, path)
    if done then
      self.class = names.connected
    end
    return done, err
  end
  methods.setsockname, methods.setpeername = methods.bind, methods.connect
  return methods, object.class(methods)
end

-- ---- streams ----

local Stream, stream_meta = class_of("unixstream", options.unixstream, {
  bind = "unixstream{master}", connect = "unixstream{master}", connected = "unixstream{client}",
})

local function new_stream(class, family, sock)
  local self = limits.init { class = class, family = family, sock = sock }
  return setmetatable(stream.init(self), stream_meta)
end

stream.add_methods(Stream, "unixstream", new_stream)

-- ---- datagrams ----

local Dgram, dgram_meta = class_of("unixdgram", options.unixdgram, {
  bind = "unixdgram{unconnected}", connect = "unixdgram{any}", connected = "unixdgram{connected}",
})
datagram.add_methods(Dgram, "unixdgram", path_of)

---@async
function Dgram:sendto(data, path)
  object.check(self, "unixdgram", "unixdgram{unconnected}", "sendto")
  data = limits.string(data, 2, "sendto")
  return datagram.send(self, data, address(path, 3, "sendto"))
end

-- ---- making ----

local unix = {}

-- An object with its socket, or nil and why there is none.
local function provided(self, type)
  local done, err = object.provide(self, UNIX, type)
  if not done then
    return nil, err
  end
  return self
end

--- A master object for streams. The module itself does the same when it is called.
function unix.stream()
  return provided(new_stream "unixstream{master}", socket.SOCK_STREAM)
end

--- An unconnected object for datagrams.
function unix.dgram()
  local self = setmetatable(limits.init { class = "unixdgram{unconnected}" }, dgram_meta)
  return provided(self, socket.SOCK_DGRAM)
end

unix.tcp, unix.udp = unix.stream, unix.dgram -- their older names

return setmetatable(unix, { __call = unix.stream })
