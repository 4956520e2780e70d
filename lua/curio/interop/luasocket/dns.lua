--- LuaSocket's table `dns`. Names are asked for in a thread; only the calling task waits.

local limits = require "curio.interop.luasocket.limits"
local socket = require "curio.socket"

local dns = {}

local FAMILIES = { [socket.AF_INET] = "inet", [socket.AF_INET6] = "inet6" }

-- gethostbyname's word for it, which these two functions still use.
local function host_failed(err)
  if err.code == "EAI_NONAME" or err.code == "EAI_NODATA" then
    return nil, "host not found"
  end
  return nil, limits.text(err)
end

---@async
local function resolve(name)
  local targets, err = socket.getaddrinfo(name, nil, {
    family = socket.AF_INET,
    type = socket.SOCK_STREAM,
    flags = socket.AI_CANONNAME,
  })
  if not targets then
    return host_failed(err)
  end
  local resolved = { name = targets[1].canonname or name, alias = {}, ip = {} }
  for i, target in ipairs(targets) do
    resolved.ip[i] = target.addr.host
  end
  return resolved
end

--- The first IPv4 address of a host, and a table {name=, alias=, ip=} with all of them.
---@async
function dns.toip(name)
  local resolved, err = resolve(limits.string(name, 1, "toip"))
  if not resolved then
    return nil, err
  end
  return resolved.ip[1], resolved
end

--- The name of a host or IPv4 address, and a table as toip's.
---@async
function dns.tohostname(address)
  local resolved, err = resolve(limits.string(address, 1, "tohostname"))
  if not resolved then
    return nil, err
  end
  if resolved.ip[1] == address then
    local name, failure = socket.getnameinfo({ address, 0 }, socket.NI_NAMEREQD)
    if not name then
      return host_failed(failure)
    end
    resolved.name = name
  end
  return resolved.name, resolved
end

dns.gethostname = socket.gethostname

--- All addresses of a host: a list of {family="inet"|"inet6", addr=}.
---@async
function dns.getaddrinfo(name)
  name = limits.string(name, 1, "getaddrinfo")
  local targets, err = socket.getaddrinfo(name, nil, { type = socket.SOCK_STREAM })
  if not targets then
    return nil, limits.text(err)
  end
  local list = {}
  for i, target in ipairs(targets) do
    list[i] = { family = FAMILIES[target.family] or "unknown", addr = target.addr.host }
  end
  return list
end

--- The names of a host's addresses, and the name of a service. One of the two may be nil.
---@async
function dns.getnameinfo(host, service)
  if host == nil and service == nil then
    error("host and serv cannot be both nil", 2)
  end
  local targets, err = socket.getaddrinfo(host, service, { type = socket.SOCK_STREAM })
  if not targets then
    return nil, limits.text(err)
  end
  local names, last = {}, nil
  for i, target in ipairs(targets) do
    local name, service_name = socket.getnameinfo(target.addr, 0)
    if not name then
      return nil, limits.text(service_name)
    end
    names[i], last = host and name, service_name
  end
  if service == nil then
    return names
  end
  return names, last
end

return dns
