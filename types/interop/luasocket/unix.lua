---@meta curio.interop.luasocket.unix
-- luacheck: no unused

--- LuaSocket's module `socket.unix`, on curio's sockets. To call it is to call `stream`.
---@overload fun(): curio.luasocket.unixstream?, string?
local unix = {}

---@class curio.luasocket.unix
local Any = {}

---@return 1
function Any:close() end

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

---@return string? path  "" where there is none
---@return string? err
function Any:getsockname() end

---@param path string
---@return 1|nil done
---@return string? err
function Any:bind(path) end

---@param path string
---@return 1|nil done
---@return string? err
function Any:setsockname(path) end

---@async
---@param path string
---@return 1|nil done
---@return string? err
function Any:connect(path) end

---@async
---@param path string
---@return 1|nil done
---@return string? err
function Any:setpeername(path) end

---@param name "keepalive"|"linger"|"reuseaddr"
---@param value any
---@return 1|nil done
---@return string? err
function Any:setoption(name, value) end

--- Does it hold data that have been received and not yet asked for?
---@return boolean
function Any:dirty() end

---@class curio.luasocket.unixstream: curio.luasocket.unix
local Stream = {}

---@async
---@return curio.luasocket.unixstream? client
---@return string? err
function Stream:accept() end

---@param backlog integer?  32 by default
---@return 1|nil done
---@return string? err
function Stream:listen(backlog) end

---@async
---@param pattern "*l"|"*a"|integer|nil
---@param prefix string?
---@return string? data
---@return string? err
---@return string? partial
function Stream:receive(pattern, prefix) end

---@async
---@param data string
---@param first integer?
---@param last integer?
---@return integer? last_sent
---@return string? err
---@return integer? last_sent_until_then
function Stream:send(data, first, last) end

---@param how "receive"|"send"|"both"|nil
---@return 1
function Stream:shutdown(how) end

---@return integer received
---@return integer sent
---@return number age  seconds
function Stream:getstats() end

---@param received integer?
---@param sent integer?
---@param age number?
---@return 1
function Stream:setstats(received, sent, age) end

---@class curio.luasocket.unixdgram: curio.luasocket.unix
local Dgram = {}

---@async
---@param data string
---@return integer? sent
---@return string? err
function Dgram:send(data) end

---@async
---@param data string
---@param path string
---@return integer? sent
---@return string? err
function Dgram:sendto(data, path) end

---@async
---@param size integer?  8192 by default
---@return string? data
---@return string? err
function Dgram:receive(size) end

---@async
---@param size integer?
---@return string? data
---@return string path_or_err  "" where the sender has none
function Dgram:receivefrom(size) end

---@return curio.luasocket.unixstream? master
---@return string? err
function unix.stream() end

--- The older name of stream.
---@return curio.luasocket.unixstream? master
---@return string? err
function unix.tcp() end

---@return curio.luasocket.unixdgram? unconnected
---@return string? err
function unix.dgram() end

--- The older name of dgram.
---@return curio.luasocket.unixdgram? unconnected
---@return string? err
function unix.udp() end

return unix
