--- LuaSocket's module `socket` on curio's sockets.
--
-- What was written for LuaSocket and is itself Lua - its own socket.http, socket.ftp, socket.smtp;
-- redis-lua - runs unchanged in tasks: what blocked the thread suspends the task. `install` puts
-- this module in LuaSocket's place. Names, results and messages are LuaSocket's 3.1; cancellations
-- and curio's own deadlines pass through all of it as exceptions, and are never an error string.

local core = require "curio.core"
local curio_socket = require "curio.socket"
local datagram = require "curio.interop.luasocket.datagram"
local dns = require "curio.interop.luasocket.dns"
local except = require "curio.interop.luasocket.except"
local limits = require "curio.interop.luasocket.limits"
local select_module = require "curio.interop.luasocket.select"
local tcp = require "curio.interop.luasocket.tcp"
local udp = require "curio.interop.luasocket.udp"
local unix = require "curio.interop.luasocket.unix"

local socket = {
  _VERSION = "LuaSocket 3.1.0 (curio)",
  _SETSIZE = math.maxinteger, -- select has no limit
  _SOCKETINVALID = -1,
  _DATAGRAMSIZE = datagram.SIZE,
  BLOCKSIZE = 2048,
  dns = dns,
  newtry = except.newtry,
  protect = except.protect,
  try = except.newtry(),
  select = select_module.select,
  gettime = core.interop.realtime,
  connect = tcp.connect,
}

-- ---- objects ----

local function maker(new, family)
  return function()
    return new(family)
  end
end

socket.tcp = maker(tcp.new)
socket.tcp4 = maker(tcp.new, curio_socket.AF_INET)
socket.tcp6 = maker(tcp.new, curio_socket.AF_INET6)
socket.udp = maker(udp.new)
socket.udp4 = maker(udp.new, curio_socket.AF_INET)
socket.udp6 = maker(udp.new, curio_socket.AF_INET6)

---@async
function socket.connect4(host, port, local_host, local_port)
  return tcp.connect(host, port, local_host, local_port, "inet")
end

---@async
function socket.connect6(host, port, local_host, local_port)
  return tcp.connect(host, port, local_host, local_port, "inet6")
end

local makers = { inet = socket.tcp4, inet6 = socket.tcp6 }

---@async
local function listen(server, addr, port, backlog)
  local done, err = server:setoption("reuseaddr", true)
  if done then
    done, err = server:bind(addr, port)
  end
  if done then
    done, err = server:listen(backlog)
  end
  if done then
    return server
  end
  server:close()
  return nil, err
end

--- LuaSocket's bind: a server object that listens.
---@async
function socket.bind(host, port, backlog)
  host = limits.string(host, 1, "bind")
  local targets, err = dns.getaddrinfo(host == "*" and "0.0.0.0" or host)
  for _, target in ipairs(targets or {}) do
    local server
    server, err = makers[target.family]()
    if server then
      server, err = listen(server, target.addr, port, backlog)
    end
    if server then
      return server
    end
  end
  return nil, err
end

-- ---- functions ----

---@async
function socket.sleep(seconds)
  core.sleep(math.max(limits.number(seconds, nil, 1, "sleep"), 0))
end

function socket.skip(n, ...)
  return select(math.max(math.floor(limits.number(n, nil, 1, "skip")), 0) + 1, ...)
end

-- LuaSocket's module has it, and so have modules that are built alike.
function socket.choose(known)
  return function(name, ...)
    local fn = known[name]
    if type(name) ~= "string" then
      return known.default(name, ...)
    elseif not fn then
      error(("unknown key (%s)"):format(name), 2)
    end
    return fn(...)
  end
end

-- ---- sources and sinks (LTN12) ----

-- A function by its call, which select can wait for as for the object itself.
local function selectable(object, fn)
  return setmetatable({
    getfd = function()
      return object:getfd()
    end,
    dirty = function()
      return object:dirty()
    end,
  }, { __call = fn })
end

socket.sinkt = {}

socket.sinkt["keep-open"] = function(object)
  return selectable(object, function(_, chunk)
    if chunk then
      return object:send(chunk)
    end
    return 1
  end)
end

socket.sinkt["close-when-done"] = function(object)
  return selectable(object, function(_, chunk)
    if chunk then
      return object:send(chunk)
    end
    object:close()
    return 1
  end)
end

socket.sinkt.default = socket.sinkt["keep-open"]
socket.sink = socket.choose(socket.sinkt)

socket.sourcet = {}

socket.sourcet["by-length"] = function(object, length)
  return selectable(object, function()
    if length <= 0 then
      return nil
    end
    local chunk, err = object:receive(math.min(socket.BLOCKSIZE, length))
    if not chunk then
      return nil, err
    end
    length = length - #chunk
    return chunk
  end)
end

socket.sourcet["until-closed"] = function(object)
  local done = false
  return selectable(object, function()
    if done then
      return nil
    end
    local chunk, err, part = object:receive(socket.BLOCKSIZE)
    if chunk then
      return chunk
    elseif err ~= "closed" then
      return nil, err
    end
    object:close()
    done = true
    return part
  end)
end

socket.sourcet.default = socket.sourcet["until-closed"]
socket.source = socket.choose(socket.sourcet)

-- ---- putting it in place ----

-- What is bound to the module `socket` once it is loaded.
local dependents = {
  "socket.http", "socket.smtp", "socket.ftp", "socket.tp", "socket.url", "socket.headers",
  "socket.mbox",
}

--- Puts this module in the place of `socket` and `socket.core`, and what it has for Unix sockets in
---that of `socket.unix`. LuaSocket's own modules that were
---loaded already, bound to another `socket`, are forgotten, so that the next require loads them
---anew. What a program has in its variables stays what it was; so call it first.
---@return table socket
function socket.install()
  if package.loaded["socket"] ~= socket then
    for _, name in ipairs(dependents) do
      package.loaded[name] = nil
    end
  end
  package.loaded["socket"] = socket
  package.loaded["socket.core"] = socket
  package.loaded["socket.unix"] = unix
  return socket
end

return socket
