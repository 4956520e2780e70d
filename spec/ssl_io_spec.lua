-- Reading and writing by TLS, both ends in this process.

local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"
local tls = require "spec.tls"

local run = sockets.run
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local BIG = sockets.BIG

local ends = tls.ends(setup, teardown)
local pair = ends.pair

describe("recv by TLS", function()
  it("gives what has arrived, as many bytes as are asked for at most", run(function()
    local a, b, _ <close> = pair()
    assert.is_true(b:sendall "hello\0world")
    assert.equal("hello", a:recv(5))
    assert.equal("\0world", a:recv(100))
    assert.is_true(a:sendall "more")
    assert.equal("more", b:recv())
  end))

  it("waits for data", run(function()
    local a, b, _ <close> = pair()
    local task = curio.spawn(a.recv, a, 100)
    until_asleep(task, "READ_WAIT")
    b:sendall "late"
    assert.equal("late", task:join())
  end))

  it("gives several records at once", run(function()
    local a, b, _ <close> = pair()
    for i = 1, 5 do
      b:sendall(tostring(i))
    end
    b:shutdown "wr"
    assert.equal("12345", sockets.receive_all(a))
  end))

  it("gives nil alone at the end of the stream, again and again", run(function()
    local a, b, _ <close> = pair()
    b:sendall "last"
    b:close()
    assert.equal("last", a:recv(100))
    assert.same({ n = 1 }, table.pack(a:recv(100)))
    assert.same({ n = 1 }, table.pack(a:recv(100)))
  end))

  it("gives the empty string for no bytes", run(function()
    local a, _, _ <close> = pair()
    assert.equal("", a:recv(0))
  end))

  it("raises for a size or flags that make no sense", run(function()
    local a, _, _ <close> = pair()
    assert.error_matches(function()
      a:recv(-5)
    end, "bad argument #1 to 'recv' %(the size must be 0 or more, not %-5%)")
    assert.error_matches(function()
      a:recv(5, 2)
    end, "TLS knows no flags")
  end))

  it("times out, and loses nothing by it", run(function()
    local a, b, _ <close> = pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, a.recv, a, 100)
    b:sendall "kept"
    assert.equal("kept", a:recv(100))
  end))

  it("is cancelled while asleep, and loses nothing by it", run(function()
    local a, b, _ <close> = pair()
    sockets.cancelled("READ_WAIT", a.recv, a, 100)
    b:sendall "kept"
    assert.equal("kept", a:recv(100))
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = pair()
    sockets.closed("READ_WAIT", a, "recv", 100)
    sockets.is_closed_error(a:recv(1))
  end))

  it("refuses a second reader", run(function()
    local a, _, _ <close> = pair()
    local task = curio.spawn(a.recv, a, 1)
    until_asleep(task, "READ_WAIT")
    raises(curio.ReadResourceBusy, a.recv, a, 1)
    task:cancel()
  end))
end)

describe("sendall by TLS", function()
  it("sends more than fits anywhere", run(function()
    local a, b, _ <close> = pair()
    local task = curio.spawn(b.sendall, b, BIG)
    local parts, size = {}, 0
    while size < #BIG do
      parts[#parts + 1] = assert(a:recv(100000))
      size = size + #parts[#parts]
    end
    assert.is_true(BIG == table.concat(parts))
    assert.is_true(task:join())
  end))

  it("sends both ways at once, by a reader and a writer on each end", run(function()
    local a, b, _ <close> = pair()
    local half = BIG:sub(1, #BIG // 2)
    local function receive(sock)
      local size = 0
      while size < #half do
        size = size + #assert(sock:recv(70000))
      end
      return size
    end
    local g <close> = curio.TaskGroup()
    for _, sock in ipairs { a, b } do
      g:spawn(sock.sendall, sock, half)
      g:spawn(receive, sock)
    end
    g:join()
    assert.equal(#half, g.tasks[2].result)
    assert.equal(#half, g.tasks[4].result)
  end))

  it("times out, says what surely was sent, and leaves the stream broken", run(function()
    local a, b, _ <close> = pair()
    local err = raises(curio.TaskTimeout, curio.timeout_after, 0.05, a.sendall, a, BIG)
    assert.is_true(err.bytes_sent > 0 and err.bytes_sent < #BIG)
    tls.is_ssl_error("WRITE_CANCELLED", a:sendall "more")
    tls.is_ssl_error("WRITE_CANCELLED", a:send "more")
    tls.is_ssl_error("WRITE_CANCELLED", a:shutdown "wr")
    b:sendall "read me"
    assert.equal("read me", a:recv(100))
  end))

  it("whose stream was left broken ends in an error for the peer", run(function()
    local a, b, _ <close> = pair()
    sockets.cancelled("WRITE_WAIT", a.sendall, a, BIG)
    a:close()
    local data, err
    repeat
      data, err = b:recv(100000)
    until not data
    assert.is_true(curio.is(err, curio.OSError), tostring(err))
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = pair()
    local err = sockets.closed("WRITE_WAIT", a, "sendall", BIG)
    assert.equal("integer", math.type(err.bytes_sent))
  end))

  it("refuses a second writer", run(function()
    local a, _, _ <close> = pair()
    local task = curio.spawn(a.sendall, a, BIG)
    until_asleep(task, "WRITE_WAIT")
    raises(curio.WriteResourceBusy, a.sendall, a, BIG)
    task:cancel()
  end))

  it("does nothing for no bytes", run(function()
    local a, _, _ <close> = pair()
    assert.is_true(a:sendall "")
    assert.equal(0, a:send "")
  end))
end)

describe("a KeyUpdate", function()
  it("of the peer is answered while a writer sleeps", run(function()
    local a, b, _ <close> = pair()
    local writer = curio.spawn(a.sendall, a, BIG)
    local reader = curio.spawn(a.recv, a, 100)
    until_asleep(writer, "WRITE_WAIT")
    for _ = 1, 3 do
      assert.is_true(b:_update_keys(true))
      assert.is_true(b:sendall "x")
      assert.equal("x", reader:join())
      reader = curio.spawn(a.recv, a, 100)
      until_asleep(reader, "READ_WAIT")
    end
    local size = 0
    while size < #BIG do
      size = size + #assert(b:recv(100000))
    end
    assert.is_true(writer:join())
    b:sendall "end"
    assert.equal("end", reader:join())
  end))
end)

describe("Two writers by TLS", function()
  -- A writer that was woken but has not run yet still has a record on its way.
  it("do not take each other's bytes for their own", run(function()
    local a, b, _ <close> = pair()
    local first = curio.spawn(a.sendall, a, BIG)
    until_asleep(first, "WRITE_WAIT")
    local second = curio.spawn(function()
      while first.state == "WRITE_WAIT" do
        curio.schedule()
      end
      return pcall(a.sendall, a, "second")
    end)
    local raw = assert(socket.fromfd(b:fileno()))
    for _ = 1, 10 do
      raw:recv(1 << 18)
    end
    raw:detach()
    second:join()
    local sent, err = table.unpack(second.results)
    assert.is_false(sent)
    assert.is_true(curio.is(err, curio.WriteResourceBusy), tostring(err))
    first:cancel()
  end))

  it("a shutdown does not come between the parts of a write", run(function()
    local a, b, _ <close> = pair()
    local first = curio.spawn(function()
      return a:sendall(BIG), a:shutdown "wr"
    end)
    until_asleep(first, "WRITE_WAIT")
    raises(curio.WriteResourceBusy, a.shutdown, a, "wr")
    raises(curio.WriteResourceBusy, a.unwrap, a)
    assert.is_true(sockets.receive_all(b) == BIG)
    assert.is_true(first:join())
  end))
end)
