---@meta curio.interop.luasocket

--- LuaSocket's module `socket`, on curio's sockets.
local socket = {}

---@type string
socket._VERSION = nil

--- Bytes that sources ask for at a time.
---@type integer
socket.BLOCKSIZE = nil

---@type integer
socket._SETSIZE = nil

---@type integer
socket._SOCKETINVALID = nil

---@type integer
socket._DATAGRAMSIZE = nil

--- Puts this module in the place of `socket` and `socket.core`.
---@return table socket
function socket.install() end

-- ---- objects ----

---@class curio.luasocket.any
local Any = {}

---@return 1
function Any:close() end

---@return "inet4"|"inet6"
function Any:getfamily() end

---@return integer fd  -1 where there is none
function Any:getfd() end

--- Takes a descriptor, or with -1 gives up the one there is, which stays open.
---@param fd integer
function Any:setfd(fd) end

---@param seconds number?      nil or negative: no limit
---@param mode "b"|"t"|"r"|nil "b" bounds each wait, the others the whole call
---@return 1
function Any:settimeout(seconds, mode) end

---@return number block
---@return number total
function Any:gettimeout() end

---@return string? host
---@return integer|string port_or_err
---@return string? family
function Any:getsockname() end

---@return string? host
---@return integer|string port_or_err
---@return string? family
function Any:getpeername() end

---@param name string
---@param value any
---@return 1|nil done
---@return string? err
function Any:setoption(name, value) end

---@param name string
---@return any value
---@return string? err
function Any:getoption(name) end

--- Does it hold data that have been received and not yet asked for?
---@return boolean
function Any:dirty() end

---@async
---@param host string
---@param port integer|string
---@return 1|nil done
---@return string? err
function Any:setpeername(host, port) end

---@async
---@param host string
---@param port integer|string
---@return 1|nil done
---@return string? err
function Any:setsockname(host, port) end

---@class curio.luasocket.tcp: curio.luasocket.any
local Tcp = {}

---@async
---@return curio.luasocket.tcp? client
---@return string? err
function Tcp:accept() end

---@async
---@param host string  "*": every interface
---@param port integer|string
---@return 1|nil done
---@return string? err
function Tcp:bind(host, port) end

---@async
---@param host string
---@param port integer|string
---@return 1|nil done
---@return string? err
function Tcp:connect(host, port) end

---@param backlog integer?  32 by default
---@return 1|nil done
---@return string? err
function Tcp:listen(backlog) end

---@async
---@param pattern "*l"|"*a"|integer|nil
---@param prefix string?
---@return string? data
---@return string? err
---@return string? partial
function Tcp:receive(pattern, prefix) end

---@async
---@param data string
---@param first integer?
---@param last integer?
---@return integer? last_sent
---@return string? err
---@return integer? last_sent_until_then
function Tcp:send(data, first, last) end

---@param how "receive"|"send"|"both"|nil
---@return 1
function Tcp:shutdown(how) end

---@return integer received
---@return integer sent
---@return number age  seconds
function Tcp:getstats() end

---@param received integer?
---@param sent integer?
---@param age number?
---@return 1
function Tcp:setstats(received, sent, age) end

---@class curio.luasocket.udp: curio.luasocket.any
local Udp = {}

---@async
---@param data string
---@return integer? sent
---@return string? err
function Udp:send(data) end

---@async
---@param data string
---@param ip string
---@param port integer|string
---@return integer? sent
---@return string? err
function Udp:sendto(data, ip, port) end

---@async
---@param size integer?  8192 by default
---@return string? data
---@return string? err
function Udp:receive(size) end

---@async
---@param size integer?
---@return string? data
---@return string ip_or_err
---@return integer? port
function Udp:receivefrom(size) end

-- ---- making them ----

---@return curio.luasocket.tcp
function socket.tcp() end

---@return curio.luasocket.tcp? master
---@return string? err
function socket.tcp4() end

---@return curio.luasocket.tcp? master
---@return string? err
function socket.tcp6() end

---@return curio.luasocket.udp
function socket.udp() end

---@return curio.luasocket.udp? unconnected
---@return string? err
function socket.udp4() end

---@return curio.luasocket.udp? unconnected
---@return string? err
function socket.udp6() end

---@async
---@param host string
---@param port integer|string
---@param local_host string?
---@param local_port integer|string|nil
---@param family "inet"|"inet6"|"unspec"|nil
---@return curio.luasocket.tcp? client
---@return string? err
function socket.connect(host, port, local_host, local_port, family) end

---@async
---@param host string
---@param port integer|string
---@param local_host string?
---@param local_port integer|string|nil
---@return curio.luasocket.tcp? client
---@return string? err
function socket.connect4(host, port, local_host, local_port) end

---@async
---@param host string
---@param port integer|string
---@param local_host string?
---@param local_port integer|string|nil
---@return curio.luasocket.tcp? client
---@return string? err
function socket.connect6(host, port, local_host, local_port) end

---@async
---@param host string
---@param port integer|string
---@param backlog integer?
---@return curio.luasocket.tcp? server
---@return string? err
function socket.bind(host, port, backlog) end

-- ---- functions ----

---@async
---@param readers table?
---@param writers table?
---@param timeout number?
---@return table readable
---@return table writable
---@return string? err
function socket.select(readers, writers, timeout) end

---@async
---@param seconds number
function socket.sleep(seconds) end

--- Seconds since 1970.
---@return number
function socket.gettime() end

---@param n integer
---@param ... any
---@return any ...
function socket.skip(n, ...) end

---@param finalizer function?
---@return fun(...): ...
function socket.newtry(finalizer) end

---@param ... any
---@return any ...
function socket.try(...) end

---@param fn function
---@return function
function socket.protect(fn) end

---@param known table<string, function>
---@return function
function socket.choose(known) end

---@param name string
---@param object table
---@param length integer?
---@return function source
function socket.source(name, object, length) end

---@param name string
---@param object table
---@return function sink
function socket.sink(name, object) end

---@type table<string, function>
socket.sourcet = nil

---@type table<string, function>
socket.sinkt = nil

-- ---- names ----

socket.dns = {}

---@async
---@param host string
---@return string? ip
---@return table|string resolved_or_err
function socket.dns.toip(host) end

---@async
---@param address string
---@return string? name
---@return table|string resolved_or_err
function socket.dns.tohostname(address) end

---@async
---@param host string
---@return { family: string, addr: string }[]? list
---@return string? err
function socket.dns.getaddrinfo(host) end

---@async
---@param host string?
---@param service string|integer|nil
---@return string[]? names
---@return string? service_or_err
function socket.dns.getnameinfo(host, service) end

---@return string
function socket.dns.gethostname() end

return socket
