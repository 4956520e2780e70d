-- Streams over TLS sockets: the transport is theirs, the stream the same as over any other.

local curio = require "curio"
local sockets = require "spec.sockets"
local tls = require "spec.tls"

local streams = curio.io
local run = sockets.run
local until_asleep = sockets.until_asleep
local BIG = sockets.BIG

local ends = tls.ends(setup, teardown)
local pair = ends.pair

describe("a stream over TLS", function()
  it("reads what was written to the other end", run(function()
    local a, b, _ <close> = pair()
    local x, y = a:as_stream(), streams.SocketStream(b)
    assert.equal(x, x:write("one\ntwo", "\n", 3, "\n12 rest"))
    assert.same({ "one", "two\n", "3" }, { y:read("l", "L", "l") })
    assert.equal(12, y:read "n")
    assert.equal(" rest", y:read_exactly(5))
    local task = curio.spawn(y.read, y)
    until_asleep(task, "READ_WAIT")
    x:close()
    task:join()
    assert.is_nil(task.results[1])
    assert.is_nil(task.results[2])
  end))

  it("carries much in both directions at once", run(function()
    local a, b, _ <close> = pair()
    local data = BIG:sub(1, 4 * 1024 * 1024)
    local function exchange(sock)
      local stream = sock:as_stream()
      local writer = curio.spawn(stream.write, stream, data:sub(1, 10), data:sub(11))
      assert.is_true(stream:read_exactly(#data) == data)
      writer:join()
    end
    local other = curio.spawn(exchange, b)
    exchange(a)
    other:join()
  end))

  it("loses nothing when a read is cancelled", run(function()
    local a, b, _ <close> = pair()
    local stream = b:as_stream()
    a:sendall "par"
    local task = curio.spawn(stream.read, stream)
    until_asleep(task, "READ_WAIT")
    task:cancel()
    a:sendall "tial\n"
    assert.equal("partial", stream:read())
  end))

  it("wakes who reads when it is closed", run(function()
    local a, _, _ <close> = pair()
    local stream = a:as_stream()
    local task = curio.spawn(stream.read, stream)
    until_asleep(task, "READ_WAIT")
    stream:close()
    task:join()
    sockets.is_closed_error(task.results[1], task.results[2])
  end))

  it("can be copied from and to", run(function()
    local a, b, _ <close> = pair()
    local c, d, _ <close> = sockets.pair()
    local data = BIG:sub(1, 1024 * 1024)
    local sender = curio.spawn(function()
      c:sendall(data)
      c:shutdown "wr"
    end)
    local there = curio.spawn(streams.copy, d, a)
    local back = curio.spawn(streams.copy, b, d, { n = #data })
    assert.is_true(c:as_stream():read_exactly(#data) == data)
    sender:join()
    assert.equal(#data, there:join())
    assert.equal(#data, back:join())
  end))
end)
