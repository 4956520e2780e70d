-- Streams as objects: made, closed, printed; over sockets, pipes, files, memory.

local curio = require "curio"
local sockets = require "spec.sockets"
local testing = require "curio.testing"

local streams = curio.io
local run = sockets.run

describe("a stream", function()
  it("over a socket reads what was written to the other one", run(function()
    local a, b, _ <close> = sockets.pair()
    local x, y = a:as_stream(), streams.SocketStream(b)
    assert.equal(x, x:write("one\ntwo", "\n", 3, 4.5, "\nlast"))
    assert.equal("one", y:read())
    assert.equal("two\n", y:read("L"))
    x:close()
    assert.equal("34.5", y:readline())
    assert.equal("last", y:read(100))
    assert.same({ n = 1 }, table.pack(y:read()))
  end))

  it("over a socket in memory does the same", run(function()
    local a, b = testing.socketpair()
    local x, y = a:as_stream(), b:as_stream()
    x:write("one\ntwo", "\n", 3, 4.5, "\nlast")
    assert.equal("one", y:read())
    assert.equal("two\n", y:read("L"))
    x:close()
    assert.equal("34.5", y:readline())
    assert.equal("last", y:read(100))
    assert.same({ n = 1 }, table.pack(y:read()))
  end))

  it("over a pipe reads what a process prints", run(function()
    local stream <close> = assert(streams.FileStream(io.popen "printf 'a\\nb\\nc'"))
    local lines = {}
    for line in stream:lines() do
      lines[#lines + 1] = line
    end
    assert.same({ "a", "b", "c" }, lines)
  end))
end)
