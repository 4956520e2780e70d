---@meta curio.socket

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

--- Receives a datagram and tells where it came from. What does not fit is dropped.
---@async
---@param max integer?    65536 by default
---@param flags integer?  MSG_*
---@return string? data   "" is an empty datagram; nil without an error the end of a stream
---@return curio.address|curio.Error|nil from_or_err
function Socket:recvfrom(max, flags) end

--- Sends a datagram: sendto(data, address), sendto(data, flags, address), the address in any form.
---@async
---@param data string
---@param ... string|integer|table
---@return integer? sent
---@return curio.Error? err
function Socket:sendto(data, ...) end

--- An item of ancillary data: {level, type, data}.
---@class curio.AncillaryItem
---@field level integer
---@field type integer
---@field data string

--- Receives a message with its ancillary data.
---@async
---@param max integer?      65536 by default
---@param ancsize integer?  room for ancillary data, 0 by default
---@param flags integer?
---@return string? data
---@return curio.AncillaryItem[]|curio.Error|nil items_or_err
---@return integer? flags  MSG_TRUNC: the data were cut off; MSG_CTRUNC: the ancillary data
---@return curio.address? from
function Socket:recvmsg(max, ancsize, flags) end

--- Sends a message, with ancillary data.
---@async
---@param buffers string[]|string
---@param ancillary table[]?  of {level, type, data}
---@param flags integer?
---@param address string|table|nil
---@param port integer?
---@return integer? sent
---@return curio.Error? err
function Socket:sendmsg(buffers, ancillary, flags, address, port) end

--- Receives data and up to maxfds descriptors, which are the caller's; further ones are closed.
---@async
---@param max integer?
---@param maxfds integer
---@param flags integer?
---@return string? data
---@return integer[]|curio.Error|nil fds_or_err
---@return integer? flags
---@return curio.address? from
function Socket:recv_fds(max, maxfds, flags) end

--- Sends descriptors beside data.
---@async
---@param data string
---@param fds table       numbers, Lua files, objects with fileno
---@param flags integer?
---@param address string|table|nil
---@param port integer?
---@return integer? sent
---@return curio.Error? err
function Socket:send_fds(data, fds, flags, address, port) end

--- Sends n bytes of a regular file from offset on, or all to its end. Errors, and cancellations,
--- have bytes_sent.
---@async
---@param file integer|file*|table
---@param offset integer?  counted from 0; 0 by default
---@param n integer?
---@return integer? sent
---@return curio.Error? err
function Socket:sendfile(file, offset, n) end

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
---@param value integer|boolean|string|table  tables for SO_LINGER and multicast options
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
---@field IPPROTO_MPTCP integer?
---@field IPPROTO_RAW integer
---@field IPPROTO_SCTP integer?
---@field IPPROTO_TCP integer
---@field IPPROTO_UDP integer
---@field IPPROTO_UDPLITE integer?
---@field IPV6_ADD_MEMBERSHIP integer?
---@field IPV6_DONTFRAG integer?
---@field IPV6_DROP_MEMBERSHIP integer?
---@field IPV6_HOPLIMIT integer?
---@field IPV6_JOIN_GROUP integer
---@field IPV6_LEAVE_GROUP integer
---@field IPV6_MTU integer?
---@field IPV6_MTU_DISCOVER integer?
---@field IPV6_MULTICAST_ALL integer?
---@field IPV6_MULTICAST_HOPS integer
---@field IPV6_MULTICAST_IF integer
---@field IPV6_MULTICAST_LOOP integer
---@field IPV6_PKTINFO integer?
---@field IPV6_RECVERR integer?
---@field IPV6_RECVHOPLIMIT integer?
---@field IPV6_RECVPKTINFO integer?
---@field IPV6_RECVTCLASS integer?
---@field IPV6_TCLASS integer?
---@field IPV6_UNICAST_HOPS integer
---@field IPV6_V6ONLY integer
---@field IP_ADD_MEMBERSHIP integer
---@field IP_ADD_SOURCE_MEMBERSHIP integer?
---@field IP_BIND_ADDRESS_NO_PORT integer?
---@field IP_BLOCK_SOURCE integer?
---@field IP_DONTFRAG integer?
---@field IP_DROP_MEMBERSHIP integer
---@field IP_DROP_SOURCE_MEMBERSHIP integer?
---@field IP_FREEBIND integer?
---@field IP_HDRINCL integer?
---@field IP_MTU integer?
---@field IP_MTU_DISCOVER integer?
---@field IP_MULTICAST_ALL integer?
---@field IP_MULTICAST_IF integer
---@field IP_MULTICAST_LOOP integer
---@field IP_MULTICAST_TTL integer
---@field IP_OPTIONS integer?
---@field IP_ORIGDSTADDR integer?
---@field IP_PKTINFO integer?
---@field IP_PMTUDISC_DO integer?
---@field IP_PMTUDISC_DONT integer?
---@field IP_PMTUDISC_PROBE integer?
---@field IP_PMTUDISC_WANT integer?
---@field IP_RECVDSTADDR integer?
---@field IP_RECVERR integer?
---@field IP_RECVIF integer?
---@field IP_RECVOPTS integer?
---@field IP_RECVORIGDSTADDR integer?
---@field IP_RECVTOS integer?
---@field IP_RECVTTL integer?
---@field IP_RETOPTS integer?
---@field IP_TOS integer
---@field IP_TRANSPARENT integer?
---@field IP_TTL integer
---@field IP_UNBLOCK_SOURCE integer?
---@field MSG_BCAST integer?
---@field MSG_CMSG_CLOEXEC integer?
---@field MSG_CONFIRM integer?
---@field MSG_CTRUNC integer
---@field MSG_DONTROUTE integer
---@field MSG_DONTWAIT integer?
---@field MSG_EOF integer?
---@field MSG_EOR integer?
---@field MSG_ERRQUEUE integer?
---@field MSG_FASTOPEN integer?
---@field MSG_MCAST integer?
---@field MSG_MORE integer?
---@field MSG_NOSIGNAL integer?
---@field MSG_OOB integer
---@field MSG_PEEK integer
---@field MSG_TRUNC integer
---@field MSG_WAITALL integer
---@field MSG_WAITFORONE integer?
---@field MSG_ZEROCOPY integer?
---@field NI_DGRAM integer
---@field NI_NAMEREQD integer
---@field NI_NOFQDN integer
---@field NI_NUMERICHOST integer
---@field NI_NUMERICSERV integer
---@field SCM_CREDENTIALS integer?
---@field SCM_CREDS integer?
---@field SCM_RIGHTS integer
---@field SCM_TIMESTAMP integer?
---@field SCM_TIMESTAMPING integer?
---@field SCM_TIMESTAMPNS integer?
---@field SCM_TXTIME integer?
---@field SHUT_RD integer
---@field SHUT_RDWR integer
---@field SHUT_WR integer
---@field SOCK_CLOEXEC integer?
---@field SOCK_DGRAM integer
---@field SOCK_NONBLOCK integer?
---@field SOCK_RAW integer
---@field SOCK_SEQPACKET integer
---@field SOCK_STREAM integer
---@field SOL_IP integer?
---@field SOL_IPV6 integer?
---@field SOL_SOCKET integer
---@field SOL_TCP integer?
---@field SOL_UDP integer?
---@field SOMAXCONN integer
---@field SO_ACCEPTCONN integer
---@field SO_ATTACH_BPF integer?
---@field SO_ATTACH_FILTER integer?
---@field SO_ATTACH_REUSEPORT_CBPF integer?
---@field SO_ATTACH_REUSEPORT_EBPF integer?
---@field SO_BINDTODEVICE integer?
---@field SO_BINDTOIFINDEX integer?
---@field SO_BROADCAST integer
---@field SO_BSDCOMPAT integer?
---@field SO_BUF_LOCK integer?
---@field SO_BUSY_POLL integer?
---@field SO_BUSY_POLL_BUDGET integer?
---@field SO_CNX_ADVICE integer?
---@field SO_COOKIE integer?
---@field SO_DEBUG integer
---@field SO_DETACH_BPF integer?
---@field SO_DETACH_FILTER integer?
---@field SO_DETACH_REUSEPORT_BPF integer?
---@field SO_DOMAIN integer?
---@field SO_DONTROUTE integer
---@field SO_ERROR integer
---@field SO_GET_FILTER integer?
---@field SO_INCOMING_CPU integer?
---@field SO_INCOMING_NAPI_ID integer?
---@field SO_KEEPALIVE integer
---@field SO_LINGER integer
---@field SO_LOCK_FILTER integer?
---@field SO_MARK integer?
---@field SO_MAX_PACING_RATE integer?
---@field SO_MEMINFO integer?
---@field SO_NETNS_COOKIE integer?
---@field SO_NOFCS integer?
---@field SO_NOSIGPIPE integer?
---@field SO_NO_CHECK integer?
---@field SO_OOBINLINE integer
---@field SO_PASSCRED integer?
---@field SO_PASSSEC integer?
---@field SO_PEEK_OFF integer?
---@field SO_PEERCRED integer?
---@field SO_PEERGROUPS integer?
---@field SO_PEERNAME integer?
---@field SO_PEERSEC integer?
---@field SO_PREFER_BUSY_POLL integer?
---@field SO_PRIORITY integer?
---@field SO_PROTOCOL integer?
---@field SO_RCVBUF integer
---@field SO_RCVBUFFORCE integer?
---@field SO_RCVLOWAT integer
---@field SO_RCVTIMEO integer
---@field SO_RESERVE_MEM integer?
---@field SO_REUSEADDR integer
---@field SO_REUSEPORT integer?
---@field SO_REUSEPORT_LB integer?
---@field SO_RXQ_OVFL integer?
---@field SO_SELECT_ERR_QUEUE integer?
---@field SO_SETFIB integer?
---@field SO_SNDBUF integer
---@field SO_SNDBUFFORCE integer?
---@field SO_SNDLOWAT integer
---@field SO_SNDTIMEO integer
---@field SO_STYLE integer?
---@field SO_TIMESTAMP integer?
---@field SO_TIMESTAMPING integer?
---@field SO_TIMESTAMPNS integer?
---@field SO_TXTIME integer?
---@field SO_TYPE integer
---@field SO_USELOOPBACK integer?
---@field SO_WIFI_STATUS integer?
---@field SO_ZEROCOPY integer?
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
---@field UDP_CORK integer?
---@field UDP_GRO integer?
---@field UDP_SEGMENT integer?
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

--- Closes a descriptor that is a number.
---@param fd integer
---@return true? done
---@return curio.OSError? err
function socket.close(fd) end

--- Bytes of an item of ancillary data, without padding behind it.
---@param size integer
---@return integer
function socket.CMSG_LEN(size) end

--- Bytes of an item of ancillary data, with the padding that lets another follow.
---@param size integer
---@return integer
function socket.CMSG_SPACE(size) end

--- Connects to a host, trying its addresses one after the other.
---@async
---@param hostname string
---@param port integer|string
---@param opts { source: table? }?
---@return curio.socket? sock
---@return curio.OSError? err
function socket.create_connection(hostname, port, opts) end

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
---@overload async fun(host: string, port: integer, flags: integer?): string?, string|curio.OSError
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
