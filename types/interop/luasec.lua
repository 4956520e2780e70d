---@meta curio.interop.luasec
-- luacheck: no unused

--- LuaSec's module `ssl`, whose connections wait as tasks do.
local ssl = {}

---@type string
ssl._VERSION = nil

---@type string
ssl._COPYRIGHT = nil

--- What LuaSec was built with.
---@type table
ssl.config = nil

--- Puts this module in the place of `ssl`, and the bridge to LuaSocket in that of `socket`.
---@return table ssl
function ssl.install() end

--- Makes a context of LuaSec's parameters.
---@param params table
---@return userdata? ctx
---@return string? err
function ssl.newcontext(params) end

--- Makes a certificate of LuaSec's of a PEM text.
---@param pem string
---@return userdata? certificate
---@return string? err
function ssl.loadcertificate(pem) end

--- Makes a connection of a connected tcp object, whose descriptor it takes.
---@param sock table
---@param params table|userdata  parameters, or a context
---@return curio.luasec.connection? conn
---@return string? err
function ssl.wrap(sock, params) end

--- Methods that are not here are LuaSec's.
---@class curio.luasec.connection
local Connection = {}

---@async
---@return boolean done
---@return string? err
function Connection:dohandshake() end

---@async
---@param pattern string|number|nil
---@param prefix string?
---@return string? data
---@return string? err
---@return string? part
function Connection:receive(pattern, prefix) end

---@async
---@param data string
---@param first integer?
---@param last integer?
---@return integer? last
---@return string? err
---@return integer? sent
function Connection:send(data, first, last) end

--- Waits for room for the farewell, if need be.
---@async
function Connection:close() end

---@param seconds number?
---@param mode "b"|"t"|"r"|nil
---@return 1
function Connection:settimeout(seconds, mode) end

---@return integer received
---@return integer sent
---@return number age
function Connection:getstats() end

---@param received integer?
---@param sent integer?
---@param age number?
---@return 1
function Connection:setstats(received, sent, age) end

---@return boolean
function Connection:dirty() end

---@return integer fd  -1 when closed
function Connection:getfd() end

return ssl
