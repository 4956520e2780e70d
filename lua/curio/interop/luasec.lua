--- LuaSec in tasks: its module `ssl`, whose connections wait without blocking the thread.
--
-- TLS is LuaSec's own: contexts, certificates, options and what it calls errors are those of the
-- library that is installed, and so none of it is missing here or different. What is ours is the
-- waiting. LuaSec can be told never to wait, and says then which direction it wants; the rest of a
-- connection - lines, partial results, limits - is that of the bridge to LuaSocket.

local connection = require "curio.interop.luasec.connection"
local luasocket = require "curio.interop.luasocket"
local ssl = require "ssl"

local luasec = {
  _VERSION = ssl._VERSION .. " (curio)",
  _COPYRIGHT = ssl._COPYRIGHT,
  config = ssl.config,
  loadcertificate = ssl.loadcertificate,
  newcontext = ssl.newcontext,
}

--- Makes a TLS connection of a connected tcp object, which gives its descriptor away.
---@param sock table  an object of curio.interop.luasocket
---@param cfg table|userdata  LuaSec's parameters, or a context of newcontext
---@return table? conn
---@return string? err
function luasec.wrap(sock, cfg)
  local raw, err = ssl.wrap(sock, cfg)
  if not raw then
    return nil, err
  end
  return connection.new(raw)
end

--- Puts this module in the place of `ssl`, and the bridge to LuaSocket in that of `socket`. A
---module `ssl.https` that was loaded already, with others, is forgotten, so that the next require
---loads it anew.
---@return table ssl
function luasec.install()
  if package.loaded["ssl"] ~= luasec or package.loaded["socket"] ~= luasocket then
    package.loaded["ssl.https"] = nil
  end
  luasocket.install()
  package.loaded["ssl"] = luasec
  return luasec
end

return luasec
