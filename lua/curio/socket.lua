--- Sockets for tasks: Python's socket module, where what blocks suspends the task, not the thread.
--
-- The objects and their methods are the C host's (src/sock*lib.c). What the system or a peer
-- refuses is returned as nil and an OSError, which tells .code, .op and .subject; a closed socket
-- gives nil and a ClosedError; nil alone is the end of the stream.

local core = require "curio.core"
local errors = require "curio.errors"

local sockets = core.socket
local resolve = core.resolve

local socket = {}

-- AF_*, SOCK_*, SOL_*, SO_*, IPPROTO_*, TCP_*, MSG_*, SHUT_*, AI_*, NI_*: under their C names.
for name, value in pairs(sockets) do
  if math.type(value) then
    socket[name] = value
  end
end

---@class curio.address          {host, port}, or {path}
---@field host string?           nil of a Unix address
---@field port integer?          likewise
---@field path string?           of a Unix address; an abstract one begins with a NUL byte
---@field family integer         socket.AF_INET, AF_INET6 or AF_UNIX
---@field flowinfo integer?      of an IPv6 address
---@field scopeid integer?       of an IPv6 address

-- What blocks is marked async. An error follows nil, but for the end of a stream.
---@class curio.socket
---@field family integer
---@field type integer
---@field proto integer
---@field recv async fun(self: curio.socket, max: integer?, flags: integer?): string?, table?
---@field chunks fun(self: curio.socket, max: integer?): async fun(): string?
---@field send async fun(self: curio.socket, data: string, flags: integer?): integer?, table?
---@field sendall async fun(self: curio.socket, data: string, flags: integer?): true?, table?
---@field recvfrom async fun(self: curio.socket, max: integer?, flags: integer?): string?, any
---@field recvmsg async fun(self: curio.socket, max: integer?, ancsize: integer?, ...): ...
---@field recv_fds async fun(self: curio.socket, max: integer?, maxfds: integer, ...): ...
---@field sendto async fun(self: curio.socket, data: string, ...): integer?, table?
---@field sendmsg async fun(self: curio.socket, buffers: table|string, ...): integer?, table?
---@field send_fds async fun(self: curio.socket, data: string, fds: table, ...): integer?, table?
---@field sendfile async fun(self: curio.socket, file: any, offset: integer?, n: integer?): ...
---@field accept async fun(self: curio.socket): curio.socket?, curio.address|table
---@field connect async fun(self: curio.socket, host: string|table, port: integer?): true?, table?
---@field bind async fun(self: curio.socket, host: string|table, port: integer?): true?, table?
---@field listen fun(self: curio.socket, backlog: integer?): true?, table?
---@field shutdown fun(self: curio.socket, how: "rd"|"wr"|"rdwr"): true?, table?
---@field as_stream fun(self: curio.socket): curio.stream
---@field close fun(self: curio.socket): true
---@field detach fun(self: curio.socket): integer?, table?
---@field fileno fun(self: curio.socket): integer?, table?
---@field setsockopt fun(self: curio.socket, level: integer, opt: integer, value: any): true?, any
---@field getsockopt fun(self: curio.socket, level: integer, opt: integer, size: integer?): any
---@field getsockname fun(self: curio.socket): curio.address?, table?
---@field getpeername fun(self: curio.socket): curio.address?, table?
local methods = sockets.methods

-- ---- making sockets ----

--- Makes a socket. Does not block.
---@param family integer?  AF_INET by default
---@param type integer?    SOCK_STREAM by default
---@param proto integer?   0 by default: the usual one
---@return curio.socket? sock
---@return table? err
socket.socket = sockets.socket

--- Makes two sockets connected with each other.
---@param family integer?  AF_UNIX by default
---@param type integer?    SOCK_STREAM by default
---@param proto integer?
---@return curio.socket? a
---@return curio.socket|table b_or_err
socket.socketpair = sockets.socketpair

--- Makes a socket of a descriptor, which then belongs to it: it is made non-blocking, and closed
---with the socket. On failure the descriptor stays the caller's, as it was.
---@param fd integer
---@return curio.socket? sock
---@return table? err  ENOTSOCK, EBADF
socket.fromfd = sockets.fromfd

--- Closes a descriptor that is a number, as those that recv_fds gives. Does not block.
---@type fun(fd: integer): true?, table?
socket.close = sockets.close

--- Bytes that ancillary data of a size takes in recvmsg's room: the last item's, and one that
---others follow.
---@type fun(size: integer): integer
socket.CMSG_LEN = sockets.CMSG_LEN
---@type fun(size: integer): integer
socket.CMSG_SPACE = sockets.CMSG_SPACE

local Guard = {
  __close = function(guard)
    if guard.sock then
      guard.sock:close()
    end
  end,
}

-- To be held in a to-be-closed variable: closes guard.sock, unless that was set to nil before.
function socket._guard(sock)
  return setmetatable({ sock = sock }, Guard)
end

-- Connects to one of getaddrinfo's targets. Whatever else ends it closes the socket.
---@async
function socket._connect(target, source)
  local sock, err = socket.socket(target.family, target.type, target.proto)
  if not sock then
    return nil, err
  end
  local guard <close> = socket._guard(sock)
  local done = true
  if source then
    done, err = sock:bind(source)
  end
  if done then
    done, err = sock:connect(target.addr)
  end
  if not done then
    return nil, err
  end
  guard.sock = nil
  return sock
end

--- Connects to a host, trying its addresses one after the other. Where some of them do not answer
---curio.open_connection is quicker.
---@async
---@param hostname string
---@param port integer|string
---@param opts table?  source = {host, port} to connect from
---@return curio.socket? sock
---@return table? err  what the last address failed with
function socket.create_connection(hostname, port, opts)
  opts = core.args.options(opts, "create_connection", { "source" })
  local targets, err = socket.getaddrinfo(hostname, port, { type = socket.SOCK_STREAM })
  if not targets then
    return nil, err
  end
  for _, target in ipairs(targets) do
    local sock
    sock, err = socket._connect(target, opts.source)
    if sock then
      return sock
    end
  end
  return nil, err
end

-- ---- accepting in a loop ----

-- accept(2): these concern one connection, which went wrong before it was taken.
socket._passing = {
  ECONNABORTED = true,
  EHOSTDOWN = true,
  EHOSTUNREACH = true,
  ENETDOWN = true,
  ENETUNREACH = true,
  ENONET = true,
  ENOPROTOOPT = true,
  EPERM = true, -- a firewall's
  EPROTO = true,
}

---@async
local function next_client(sock)
  while true do
    local client, addr = sock:accept()
    if client then
      return client, addr
    elseif errors.is(addr, errors.ClosedError) then
      return nil
    elseif not socket._passing[addr.code] then
      error(addr, 0)
    end
    core.schedule()
  end
end

--- for client, addr in sock:clients() do: accepts connections until the socket is closed. An error
---that concerns the socket, not one connection, is raised.
---@return fun(sock: curio.socket): curio.socket?, curio.address?
---@return curio.socket
function methods:clients()
  if not self:fileno() then
    error(errors.ClosedError "clients: the socket is closed", 0)
  end
  return next_client, self
end

--- A stream over the socket (curio.io). Closing it closes the socket.
---@param self curio.socket
---@return curio.stream
methods.as_stream = core.stream.socket

-- ---- names ----

--- The addresses of a host and service. What is numeric is answered at once, names are asked for in
---a thread. getaddrinfo(3).
---@async
---@param host string?          nil: this machine (with AI_PASSIVE: all interfaces)
---@param port integer|string?  a number, or the name of a service
---@param opts table?           family=, type=, proto=, flags= (AI_*)
---@return table? list          of {family=, type=, proto=, canonname=, addr=}
---@return table? err           ResolveError: .code "EAI_NONAME"
socket.getaddrinfo = resolve.getaddrinfo

--- The names of an address. getnameinfo(3).
---@async
---@param addr table     {host, port}; the host numeric
---@param flags integer? NI_*
---@return string? host
---@return string|table service_or_err
socket.getnameinfo = resolve.getnameinfo

--- The name of this machine. Does not block.
---@return string
socket.gethostname = resolve.gethostname

--- The first IPv4 address of a host.
---@async
---@param name string
---@return string? address
---@return table? err
function socket.gethostbyname(name)
  local opts = { family = socket.AF_INET, type = socket.SOCK_STREAM }
  local targets, err = socket.getaddrinfo(name, nil, opts)
  if not targets then
    return nil, err
  end
  return targets[1].addr.host
end

--- The name that belongs to an address.
---@async
---@param address string  or a name, whose address is then asked for first
---@return string? name
---@return table aliases_or_err  empty: getnameinfo tells none
---@return table? addresses      the address
function socket.gethostbyaddr(address)
  local targets, err = socket.getaddrinfo(address, nil, { type = socket.SOCK_STREAM })
  if not targets then
    return nil, err
  end
  local addr = targets[1].addr
  local name, failure = socket.getnameinfo(addr, socket.NI_NAMEREQD)
  if not name then
    return nil, failure
  end
  return name, {}, { addr.host }
end

--- A host's name with its domain, as far as it can be found out; else the name as given.
---@async
---@param name string?  this machine's by default
---@return string
function socket.getfqdn(name)
  if name == nil or name == "" or name == "0.0.0.0" or name == "::" then
    name = socket.gethostname()
  end
  local full = socket.gethostbyaddr(name)
  return full and full:find(".", 1, true) and full or name
end

return socket
