-- The system may send a part of what one sendfile or splice was asked for, find the connection
-- broken, raise SIGPIPE, and return the length of that part. The signal was taken back only where
-- the call failed with EPIPE, so the process was ended.

local helper = require "spec.helper"

local SCRIPT = [[
local curio = require "curio"
local socket = require "curio.socket"

-- Two sockets connected by TCP, of which the other one has been closed: the first bytes that are
-- sent have it answer that nobody is there.
local function half()
  local listener <close> = assert(curio.tcp_server_socket("127.0.0.1", 0))
  local a = assert(curio.open_connection("127.0.0.1", listener:getsockname().port))
  assert(listener:accept()):close()
  return a
end

curio.run(function()
  local file <close> = assert(io.tmpfile())
  file:write(("x"):rep(4 * 1024 * 1024)):flush()
  for _ = 1, 20 do
    local a <close> = half()
    local sent, err = a:sendfile(file)
    assert(sent == nil and (err.code == "EPIPE" or err.code == "ECONNRESET"), tostring(err))
    local b <close> = half()
    file:seek "set"
    local copied, why = curio.io.copy(file, b)
    assert(copied == nil and (why.code == "EPIPE" or why.code == "ECONNRESET"), tostring(why))
    local source, sink = assert(socket.socketpair())
    local feeder = curio.spawn(source.sendall, source, ("x"):rep(4 * 1024 * 1024))
    local c <close> = half()
    copied, why = curio.io.copy(sink, c)
    assert(copied == nil and (why.code == "EPIPE" or why.code == "ECONNRESET"), tostring(why))
    feeder:cancel()
    source:close()
    sink:close()
  end
  print "survived"
end)
]]

describe("a connection that breaks in the middle of a sendfile", function()
  it("is an error, not the end of the process", function()
    assert.equal("survived\nstatus 0\n", helper.child(SCRIPT))
  end)
end)
