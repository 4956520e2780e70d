--- What the tcp and udp objects of the LuaSocket bridge share: their classes, their names, and how
--- a host's name becomes a socket that is bound or connected.
--
-- An object is a table with curio's socket in `sock`, which is nil until the family is known. As
-- LuaSocket's it belongs to a class, "tcp{master}" for one, which changes with what is done to it;
-- a method called on an object of a wrong class raises.

local core = require "curio.core"
local limits = require "curio.interop.luasocket.limits"
local options = require "curio.interop.luasocket.options"
local socket = require "curio.socket"

local object = {}

-- ---- classes ----

local function to_text(self)
  return ("%s: %p"):format(self.class, self)
end

--- Makes the metatable of objects that have these methods. Garbage closes itself: it is `sock` that
---holds the descriptor.
function object.class(methods)
  return {
    __index = methods,
    __tostring = to_text,
    __close = function(self)
      self:close()
    end,
  }
end

--- Raises unless the object is of the class, or of the kind ("tcp{any}").
function object.check(self, kind, class, method)
  local own = type(self) == "table" and rawget(self, "class")
  if own ~= class and not (own and class == kind .. "{any}" and own:find(kind, 1, true) == 1) then
    error(("calling '%s' on bad self (%s expected)"):format(method, class), 3)
  end
end

-- ---- sockets ----

--- Drops the socket that an object has.
function object.drop(self)
  if self.sock then
    self.sock:close()
    self.sock = nil
  end
end

-- Gives the object a socket of that family, if it has not an open one already.
local function provide(self, family, type)
  if self.sock and self.family == family and self.sock:fileno() then
    return true
  end
  object.drop(self)
  local sock, err = socket.socket(family, type)
  if not sock then
    return nil, limits.text(err)
  end
  if family == socket.AF_INET6 then
    sock:setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, true)
  end
  self.sock, self.family = sock, family
  return true
end
object.provide = provide

--- The addresses of a host: a list as getaddrinfo's, or nil and an error.
---@async
function object.resolve(self, type, host, port, flags)
  local opts = { family = self.family, type = type, flags = flags }
  return socket.getaddrinfo(host, port, opts)
end

--- Binds the object to the first address of a host that lets it; "*" is every interface.
---@async
function object.bind(self, type, host, port)
  if host == "*" then
    host = nil
  end
  local targets, unresolved = object.resolve(self, type, host, port, socket.AI_PASSIVE)
  if not targets then
    return nil, limits.text(unresolved)
  end
  local done, err
  for _, target in ipairs(targets) do
    done, err = provide(self, target.family, type)
    if done then
      local failure
      done, failure = self.sock:bind(target.addr)
      if done then
        return 1
      end
      err = limits.text(failure)
    end
  end
  return nil, err
end

-- Without time: the system is asked to connect, and goes on doing so when the task that asked ends.
---@async
local function begin_connect(sock, addr)
  local task = core.spawn(sock.connect, sock, addr)
  core.schedule()
  if not task.terminated then
    task:cancel()
  end
  if task.cancelled then
    return nil, limits.TIMEOUT
  end
  return task:join()
end

--- Connects its socket within its limits.
---@async
function object.connect_to(self, addr)
  local left = limits.left(self)
  if left and left <= 0 then
    return begin_connect(self.sock, addr)
  end
  return limits.within(left, self.sock.connect, self.sock, addr)
end

--- Connects the object to the first address of a host that answers. The limits do not hold for
---finding the addresses, as in LuaSocket.
---@async
function object.connect(self, type, host, port)
  local targets, unresolved = object.resolve(self, type, host, port)
  if not targets then
    return nil, limits.text(unresolved)
  end
  limits.begin(self)
  local done, err
  for _, target in ipairs(targets) do
    local failure
    done, err = provide(self, target.family, type)
    if done then
      done, failure = object.connect_to(self, target.addr)
      if done then
        return 1
      end
      err = limits.text(failure)
      if limits.left(self) == 0 then
        break
      end
    end
  end
  return nil, err
end

-- ---- methods that all have ----

local FAMILIES = { [socket.AF_INET] = "inet", [socket.AF_INET6] = "inet6" }

local function name(self, method)
  if not (self.sock and self.sock:fileno()) then
    return nil, limits.BAD_DESCRIPTOR
  end
  local addr, err = self.sock[method](self.sock)
  if not addr then
    return nil, limits.text(err)
  end
  return addr.host, addr.port, FAMILIES[addr.family] or "unknown"
end

local function getfamily(self)
  return self.family == socket.AF_INET6 and "inet6" or "inet4"
end

local function getfd(self)
  return self.sock and self.sock:fileno() or -1
end

-- The descriptor that the object had stays open, as in LuaSocket: the caller has taken it.
local function setfd(self, fd)
  fd = math.tointeger(limits.number(fd, nil, 2, "setfd"))
  if self.sock then
    self.sock:detach()
    self.sock = nil
  end
  if fd and fd >= 0 then
    self.sock = assert(socket.fromfd(fd))
    self.family = self.sock.family
  end
end

local function close(self)
  if self.sock then
    self.sock:close()
  end
  return 1
end

--- Adds the methods that need nothing but the right kind of object.
---@param methods table
---@param kind string   "tcp"
---@param known table   its options
function object.add_methods(methods, kind, known)
  local any = kind .. "{any}"
  local function add(method, fn)
    methods[method] = function(self, ...)
      object.check(self, kind, any, method)
      return fn(self, ...)
    end
  end
  add("close", close)
  add("getfamily", getfamily)
  add("getfd", getfd)
  add("setfd", setfd)
  add("settimeout", limits.set)
  add("gettimeout", limits.get)
  add("getsockname", function(self)
    return name(self, "getsockname")
  end)
  add("setoption", function(self, option, value)
    return options.set(known, self, option, value)
  end)
  add("getoption", function(self, option)
    return options.get(known, self, option)
  end)
end

--- LuaSocket's getpeername, of an object that has been checked.
function object.getpeername(self)
  return name(self, "getpeername")
end

return object
