---@meta curio.socket
-- luacheck: no unused

--- An address that was returned.
---@class curio.address
---@field host string?       nil of a Unix address
---@field port integer?      likewise
---@field path string?       of a Unix address; an abstract one begins with a NUL byte
---@field family integer     AF_INET, AF_INET6 or AF_UNIX
---@field flowinfo integer?  of an IPv6 address
---@field scopeid integer?   of an IPv6 address

---@class curio.socket
---@field family integer
---@field type integer
---@field proto integer
local Socket = {}

--- Receives up to max bytes, as soon as there are any.
---@async
---@param max integer?    65536 by default
---@param flags integer?  MSG_*
---@return string? data   nil without an error: the end of the stream
---@return curio.Error? err
function Socket:recv(max, flags) end

--- for data in sock:chunks(n) do: until the end of the stream or close; the loop blocks.
---@param max integer?
---@return async fun(sock: curio.socket): string?
---@return curio.socket
function Socket:chunks(max) end

--- Sends what can be sent at once, waits only when that is nothing.
---@async
---@param data string
---@param flags integer?
---@return integer? sent
---@return curio.Error? err
function Socket:send(data, flags) end

--- Sends all of it. Errors, and cancellations, have bytes_sent.
---@async
---@param data string
---@param flags integer?
---@return true? done
---@return curio.Error? err
function Socket:sendall(data, flags) end

--- Takes the next connection.
---@async
---@return curio.socket? client
---@return curio.address|curio.Error addr_or_err
function Socket:accept() end

--- A stream over the socket. Closing it closes the socket.
---@return curio.stream
function Socket:as_stream() end

--- for client, addr in sock:clients() do: until close; the loop blocks.
---@return async fun(sock: curio.socket): curio.socket?, curio.address?
---@return curio.socket
function Socket:clients() end

--- Connects.
---@async
---@param address string|table  host, path, or {host, port}
---@param port integer?
---@return true? done
---@return curio.Error? err
function Socket:connect(address, port) end

--- Gives the socket an address. Blocks only for a host name.
---@async
---@param address string|table
---@param port integer?
---@return true? done
---@return curio.Error? err
function Socket:bind(address, port) end

---@param backlog integer?  128 by default
---@return true? done
---@return curio.Error? err
function Socket:listen(backlog) end

---@param how "rd"|"wr"|"rdwr"|integer
---@return true? done
---@return curio.Error? err
function Socket:shutdown(how) end

--- Closes it; wakes who waits with nil and a ClosedError. Harmless the second time.
---@return true
function Socket:close() end

--- Takes the descriptor out.
---@return integer? fd
---@return curio.Error? err
function Socket:detach() end

---@return integer? fd
---@return curio.Error? err
function Socket:fileno() end

---@return curio.address? addr
---@return curio.Error? err
function Socket:getsockname() end

---@return curio.address? addr
---@return curio.Error? err
function Socket:getpeername() end

---@param level integer
---@param option integer
---@param value integer|boolean|string
---@return true? done
---@return curio.Error? err
function Socket:setsockopt(level, option, value) end

---@param level integer
---@param option integer
---@param size integer?  for options that are structs: their bytes are returned
---@return integer|string|nil value
---@return curio.Error? err
function Socket:getsockopt(level, option, size) end

---@class curio.AddrInfo
---@field family integer
---@field type integer
---@field proto integer
---@field canonname string?
---@field addr curio.address

---@class curio.socketmodule
---@field AF_INET integer
---@field AF_INET6 integer
---@field AF_NETLINK integer?
---@field AF_PACKET integer?
---@field AF_UNIX integer
---@field AF_UNSPEC integer
---@field AF_VSOCK integer?
---@field AI_ADDRCONFIG integer
---@field AI_ALL integer
---@field AI_CANONNAME integer
---@field AI_NUMERICHOST integer
---@field AI_NUMERICSERV integer
---@field AI_PASSIVE integer
---@field AI_V4MAPPED integer
---@field ETIMEDOUT integer
---@field IPPROTO_ICMP integer
---@field IPPROTO_ICMPV6 integer?
---@field IPPROTO_IP integer
---@field IPPROTO_IPV6 integer
---@field IPPROTO_RAW integer
---@field IPPROTO_TCP integer
---@field IPPROTO_UDP integer
---@field IPV6_JOIN_GROUP integer
---@field IPV6_LEAVE_GROUP integer
---@field IPV6_MULTICAST_HOPS integer
---@field IPV6_MULTICAST_IF integer
---@field IPV6_MULTICAST_LOOP integer
---@field IPV6_TCLASS integer?
---@field IPV6_UNICAST_HOPS integer
---@field IPV6_V6ONLY integer
---@field IP_ADD_MEMBERSHIP integer
---@field IP_DROP_MEMBERSHIP integer
---@field IP_FREEBIND integer?
---@field IP_MULTICAST_IF integer
---@field IP_MULTICAST_LOOP integer
---@field IP_MULTICAST_TTL integer
---@field IP_TOS integer
---@field IP_TRANSPARENT integer?
---@field IP_TTL integer
---@field MSG_CTRUNC integer
---@field MSG_DONTROUTE integer
---@field MSG_DONTWAIT integer?
---@field MSG_EOR integer?
---@field MSG_ERRQUEUE integer?
---@field MSG_MORE integer?
---@field MSG_NOSIGNAL integer?
---@field MSG_OOB integer
---@field MSG_PEEK integer
---@field MSG_TRUNC integer
---@field MSG_WAITALL integer
---@field NI_DGRAM integer
---@field NI_NAMEREQD integer
---@field NI_NOFQDN integer
---@field NI_NUMERICHOST integer
---@field NI_NUMERICSERV integer
---@field SHUT_RD integer
---@field SHUT_RDWR integer
---@field SHUT_WR integer
---@field SOCK_CLOEXEC integer?
---@field SOCK_DGRAM integer
---@field SOCK_NONBLOCK integer?
---@field SOCK_RAW integer
---@field SOCK_SEQPACKET integer
---@field SOCK_STREAM integer
---@field SOL_SOCKET integer
---@field SOMAXCONN integer
---@field SO_ACCEPTCONN integer
---@field SO_BINDTODEVICE integer?
---@field SO_BROADCAST integer
---@field SO_DEBUG integer
---@field SO_DOMAIN integer?
---@field SO_DONTROUTE integer
---@field SO_ERROR integer
---@field SO_INCOMING_CPU integer?
---@field SO_KEEPALIVE integer
---@field SO_LINGER integer
---@field SO_MARK integer?
---@field SO_NOSIGPIPE integer?
---@field SO_OOBINLINE integer
---@field SO_PASSCRED integer?
---@field SO_PEERCRED integer?
---@field SO_PRIORITY integer?
---@field SO_PROTOCOL integer?
---@field SO_RCVBUF integer
---@field SO_RCVLOWAT integer
---@field SO_RCVTIMEO integer
---@field SO_REUSEADDR integer
---@field SO_REUSEPORT integer?
---@field SO_SNDBUF integer
---@field SO_SNDLOWAT integer
---@field SO_SNDTIMEO integer
---@field SO_TYPE integer
---@field TCP_CONGESTION integer?
---@field TCP_CORK integer?
---@field TCP_DEFER_ACCEPT integer?
---@field TCP_FASTOPEN integer?
---@field TCP_INFO integer?
---@field TCP_KEEPCNT integer?
---@field TCP_KEEPIDLE integer?
---@field TCP_KEEPINTVL integer?
---@field TCP_MAXSEG integer
---@field TCP_NODELAY integer
---@field TCP_NOPUSH integer?
---@field TCP_NOTSENT_LOWAT integer?
---@field TCP_QUICKACK integer?
---@field TCP_SYNCNT integer?
---@field TCP_USER_TIMEOUT integer?
local socket = {}

--- Makes a socket.
---@param family integer?  AF_INET by default
---@param type integer?    SOCK_STREAM by default
---@param proto integer?
---@return curio.socket? sock
---@return curio.OSError? err
function socket.socket(family, type, proto) end

--- Makes two sockets connected with each other.
---@param family integer?  AF_UNIX by default
---@param type integer?
---@param proto integer?
---@return curio.socket? a
---@return curio.socket|curio.OSError b_or_err
function socket.socketpair(family, type, proto) end

--- Makes a socket of a descriptor, which belongs to it from then on.
---@param fd integer
---@return curio.socket? sock
---@return curio.OSError? err
function socket.fromfd(fd) end

--- Connects to a host, trying its addresses one after the other.
---@async
---@param host string
---@param port integer|string
---@param opts { source: table? }?
---@return curio.socket? sock
---@return curio.OSError? err
function socket.create_connection(host, port, opts) end

--- The addresses of a host and service.
---@async
---@param host string?
---@param port integer|string|nil
---@param opts { family: integer?, type: integer?, proto: integer?, flags: integer? }?
---@return curio.AddrInfo[]? list
---@return curio.OSError? err  ResolveError
function socket.getaddrinfo(host, port, opts) end

--- The names of an address.
---@async
---@param addr table     {host, port}; the host numeric
---@param flags integer? NI_*
---@return string? host
---@return string|curio.OSError service_or_err
function socket.getnameinfo(addr, flags) end

--- The name of this machine.
---@return string
function socket.gethostname() end

--- The first IPv4 address of a host.
---@async
---@param name string
---@return string? address
---@return curio.OSError? err
function socket.gethostbyname(name) end

--- The name that belongs to an address.
---@async
---@param address string
---@return string? name
---@return table|curio.OSError aliases_or_err
---@return string[]? addresses
function socket.gethostbyaddr(address) end

--- A host's name with its domain, as far as it can be found out.
---@async
---@param name string?  this machine's by default
---@return string
function socket.getfqdn(name) end

return socket
