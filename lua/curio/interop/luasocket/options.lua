--- LuaSocket's setoption and getoption: its names for the system's options, and its forms of them.

local limits = require "curio.interop.luasocket.limits"
local socket = require "curio.socket"

local options = {}

-- ---- how values look: set(value) gives setsockopt's, get(sock, level, option) LuaSocket's ----

local boolean = {
  set = function(value)
    if type(value) ~= "boolean" then
      return nil, "boolean expected, got " .. type(value)
    end
    return value
  end,
  get = function(sock, level, option)
    local value, err = sock:getsockopt(level, option)
    return value and value ~= 0, err
  end,
}

local number = {
  set = function(value)
    return math.tointeger(tonumber(value) or 0) or math.floor(tonumber(value))
  end,
  get = function(sock, level, option)
    return sock:getsockopt(level, option)
  end,
}

local device = {
  set = function(value)
    if type(value) ~= "string" then
      return nil, "string expected, got " .. type(value)
    end
    return value .. "\0"
  end,
  get = function(sock, level, option)
    local value, err = sock:getsockopt(level, option, 64)
    return value and value:match "^[^\0]*", err
  end,
}

local linger = {
  set = function(value)
    if type(value) ~= "table" then
      return nil, "table expected, got " .. type(value)
    elseif type(value.on) ~= "boolean" then
      return nil, "boolean 'on' field expected"
    elseif type(value.timeout) ~= "number" then
      return nil, "number 'timeout' field expected"
    end
    return { value.on, math.floor(value.timeout) }
  end,
  get = function(sock, level, option)
    local bytes, err = sock:getsockopt(level, option, string.packsize "ii")
    if not bytes then
      return nil, err
    end
    local on, seconds = ("ii"):unpack(bytes)
    return { on = on ~= 0, timeout = seconds }
  end,
}

local failure = {
  get = function(sock, level, option)
    local code, err = sock:getsockopt(level, option)
    if not code then
      return nil, err
    end
    return limits.number_text(code)
  end,
}

local any = { ["*"] = "0.0.0.0" }

local function is_ip(text)
  return type(text) == "string" and text:find "^%d+%.%d+%.%d+%.%d+$" ~= nil
end

local interface = {
  set = function(value)
    value = any[value] or value
    if not is_ip(value) then
      return nil, "ip expected"
    end
    return { value }
  end,
  get = function(sock, level, option)
    local bytes, err = sock:getsockopt(level, option, 4)
    return bytes and ("%d.%d.%d.%d"):format(bytes:byte(1, 4)), err
  end,
}

local membership4 = {
  set = function(value)
    if type(value) ~= "table" then
      return nil, "table expected, got " .. type(value)
    elseif type(value.multiaddr) ~= "string" then
      return nil, "string 'multiaddr' field expected"
    elseif not is_ip(value.multiaddr) then
      return nil, "invalid 'multiaddr' ip address"
    elseif type(value.interface) ~= "string" then
      return nil, "string 'interface' field expected"
    end
    return { value.multiaddr, any[value.interface] or value.interface }
  end,
}

local membership6 = {
  set = function(value)
    if type(value) ~= "table" then
      return nil, "table expected, got " .. type(value)
    elseif type(value.multiaddr) ~= "string" then
      return nil, "string 'multiaddr' field expected"
    elseif value.interface ~= nil and type(value.interface) ~= "number" then
      return nil, "number 'interface' field expected"
    end
    return { value.multiaddr, math.tointeger(value.interface) }
  end,
}

-- ---- the options ----

local SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
local IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6

local common = {
  ["reuseaddr"] = { SOL, "SO_REUSEADDR", boolean },
  ["reuseport"] = { SOL, "SO_REUSEPORT", boolean },
  ["recv-buffer-size"] = { SOL, "SO_RCVBUF", number },
  ["send-buffer-size"] = { SOL, "SO_SNDBUF", number },
  ["ipv6-v6only"] = { IPV6, "IPV6_V6ONLY", boolean },
  ["error"] = { SOL, "SO_ERROR", failure },
}

local function with_common(own)
  return setmetatable(own, { __index = common })
end

options.tcp = with_common {
  ["bindtodevice"] = { SOL, "SO_BINDTODEVICE", device },
  ["keepalive"] = { SOL, "SO_KEEPALIVE", boolean },
  ["linger"] = { SOL, "SO_LINGER", linger },
  ["tcp-nodelay"] = { TCP, "TCP_NODELAY", boolean },
  ["tcp-keepidle"] = { TCP, "TCP_KEEPIDLE", number },
  ["tcp-keepcnt"] = { TCP, "TCP_KEEPCNT", number },
  ["tcp-keepintvl"] = { TCP, "TCP_KEEPINTVL", number },
  ["tcp-defer-accept"] = { TCP, "TCP_DEFER_ACCEPT", number },
  ["tcp-fastopen"] = { TCP, "TCP_FASTOPEN", number },
  ["tcp-fastopen-connect"] = { TCP, "TCP_FASTOPEN_CONNECT", number },
}

options.udp = with_common {
  ["dontroute"] = { SOL, "SO_DONTROUTE", boolean },
  ["broadcast"] = { SOL, "SO_BROADCAST", boolean },
  ["ip-multicast-if"] = { IP, "IP_MULTICAST_IF", interface },
  ["ip-multicast-ttl"] = { IP, "IP_MULTICAST_TTL", number },
  ["ip-multicast-loop"] = { IP, "IP_MULTICAST_LOOP", boolean },
  ["ip-add-membership"] = { IP, "IP_ADD_MEMBERSHIP", membership4 },
  ["ip-drop-membership"] = { IP, "IP_DROP_MEMBERSHIP", membership4 },
  ["ipv6-unicast-hops"] = { IPV6, "IPV6_UNICAST_HOPS", number },
  ["ipv6-multicast-hops"] = { IPV6, "IPV6_MULTICAST_HOPS", number },
  ["ipv6-multicast-loop"] = { IPV6, "IPV6_MULTICAST_LOOP", boolean },
  ["ipv6-add-membership"] = { IPV6, "IPV6_JOIN_GROUP", membership6 },
  ["ipv6-drop-membership"] = { IPV6, "IPV6_LEAVE_GROUP", membership6 },
}

options.unixstream = {
  ["keepalive"] = { SOL, "SO_KEEPALIVE", boolean },
  ["linger"] = { SOL, "SO_LINGER", linger },
  ["reuseaddr"] = { SOL, "SO_REUSEADDR", boolean },
}

options.unixdgram = { ["reuseaddr"] = { SOL, "SO_REUSEADDR", boolean } }

-- The level, the option's number and its form; misuse where there is none, or not in that verb.
local function find(known, name, verb, method)
  local entry = known[limits.string(name, 2, method)]
  local option = entry and socket[entry[2]]
  if not (option and entry[3][verb]) then
    error(("bad argument #2 to '%s' (unsupported option `%.35s')"):format(method, name), 4)
  end
  return entry[1], option, entry[3]
end

--- Sets an option of an object: 1, or nil and LuaSocket's words.
function options.set(known, object, name, value)
  local level, option, form = find(known, name, "set", "setoption")
  local wanted, wrong = form.set(value)
  if wrong then
    error("bad argument #3 to 'setoption' (" .. wrong .. ")", 3)
  end
  if object.sock and object.sock:setsockopt(level, option, wanted) then
    return 1
  end
  return nil, "setsockopt failed"
end

--- An option of an object: its value, or nil and LuaSocket's words. (`error` is nil where there is
---none.)
function options.get(known, object, name)
  local level, option, form = find(known, name, "get", "getoption")
  if not object.sock then
    return nil, "getsockopt failed"
  end
  local value, err = form.get(object.sock, level, option)
  if err then
    return nil, "getsockopt failed"
  end
  return value
end

return options
