local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local pair = sockets.pair
local tcp_pair = sockets.tcp_pair
local fill = sockets.fill
local receive_all = sockets.receive_all
local reset = sockets.reset
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local cancelled = sockets.cancelled
local closed = sockets.closed
local BIG = sockets.BIG

describe("recv", function()
  it("gives what has arrived, as many bytes as are asked for at most", run(function()
    local a, b, _ <close> = tcp_pair()
    b:sendall("hello\0world")
    assert.equal("hello", a:recv(5))
    assert.equal("\0world", a:recv(100))
    b:sendall("more")
    assert.equal("more", a:recv())
  end))

  it("waits for data", run(function()
    local a, b, _ <close> = tcp_pair()
    local task = curio.spawn(a.recv, a, 100)
    until_asleep(task, "READ_WAIT")
    b:sendall("late")
    assert.equal("late", task:join())
  end))

  it("gives nil alone at the end of the stream, again and again", run(function()
    local a, b, _ <close> = tcp_pair()
    b:sendall("last")
    b:close()
    assert.equal("last", a:recv(100))
    assert.same({ n = 1 }, table.pack(a:recv(100)))
    assert.same({ n = 1 }, table.pack(a:recv(100)))
  end))

  it("gives the empty string for no bytes, without waiting", run(function()
    local a, b, _ <close> = tcp_pair()
    assert.equal("", a:recv(0))
    b:close()
    assert.equal("", a:recv(0))
  end))

  it("can look at data and leave it there", run(function()
    local a, b, _ <close> = tcp_pair()
    b:sendall("peek")
    assert.equal("peek", a:recv(100, socket.MSG_PEEK))
    assert.equal("peek", a:recv(100, socket.MSG_PEEK))
    assert.equal("peek", a:recv(100))
  end))

  it("never gives what was not received", run(function()
    local a, b, _ <close> = tcp_pair()
    b:sendall("data")
    assert.error_matches(function()
      a:recv(100, socket.MSG_TRUNC)
    end, "MSG_TRUNC gives no data")
    assert.equal("data", a:recv(100))
  end))

  it("gives an empty datagram as an empty string", run(function()
    local a <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    local b <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    assert(a:bind("127.0.0.1", 0))
    assert(b:connect(a:getsockname()))
    assert.equal(0, b:send(""))
    assert.equal(3, b:send("abc"))
    assert.equal("", a:recv(10))
    assert.equal("abc", a:recv(10))
  end))

  it("gives no more than the kernel's buffer holds, whatever is asked for", run(function()
    local a, b, _ <close> = pair()
    local task = curio.spawn(b.sendall, b, BIG)
    local total = 0
    while total < #BIG do
      local data = assert(a:recv(math.maxinteger))
      assert.is_true(#data <= 1024 * 1024)
      total = total + #data
    end
    task:join()
  end))

  it("raises for a size that makes no sense, and names it", run(function()
    local a, _, _ <close> = pair()
    assert.error_matches(function()
      a:recv(-5)
    end, "bad argument #1 to 'recv' %(the size must be 0 or more, not %-5%)")
    assert.error_matches(function()
      a:recv("all")
    end, "bad argument #1 to 'recv' %(number expected, got string%)")
  end))

  it("times out, and loses nothing by it", run(function()
    local a, b, _ <close> = tcp_pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, a.recv, a, 100)
    b:sendall("kept")
    assert.equal("kept", a:recv(100))
  end))

  it("is cancelled while asleep", run(function()
    local a, b, _ <close> = tcp_pair()
    cancelled("READ_WAIT", a.recv, a, 100)
    b:sendall("kept")
    assert.equal("kept", a:recv(100))
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, b, _ <close> = tcp_pair()
    closed("READ_WAIT", a, "recv", 100)
    assert.is_nil(b:recv(1))
  end))

  it("is a point of cancellation also when there is data", run(function()
    local a, b, _ <close> = tcp_pair()
    b:sendall("data")
    local task = curio.spawn(function()
      curio.current_task():cancel { blocking = false }
      return a:recv(100)
    end)
    task:wait()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    assert.equal("data", a:recv(100))
  end))

  it("raises ReadResourceBusy for a second reader that would wait", run(function()
    local a, b, _ <close> = tcp_pair()
    local first = curio.spawn(a.recv, a, 100)
    until_asleep(first, "READ_WAIT")
    local err = raises(curio.ReadResourceBusy, a.recv, a, 100)
    assert.is_true(curio.is(err, curio.ResourceBusy))
    b:sendall("for the first")
    assert.equal("for the first", first:join())
  end))

  it("lets one task read while another writes", run(function()
    local a, b, _ <close> = tcp_pair()
    local reader = curio.spawn(a.recv, a, 100)
    until_asleep(reader, "READ_WAIT")
    assert.is_true(a:sendall("out"))
    assert.equal("out", b:recv(100))
    b:sendall("in")
    assert.equal("in", reader:join())
  end))

  it("tells of a reset by the other end", run(function()
    local a, b, _ <close> = tcp_pair()
    local task = curio.spawn(a.recv, a, 100)
    until_asleep(task, "READ_WAIT")
    reset(b)
    task:join()
    is_os_error("ECONNRESET", "recv", table.unpack(task.results, 1, 2))
  end))

  it("finds data that arrived together with the end", run(function()
    local a, b, _ <close> = tcp_pair()
    local task = curio.spawn(receive_all, a)
    until_asleep(task, "READ_WAIT")
    b:sendall("all of it")
    b:close()
    assert.equal("all of it", task:join())
  end))
end)

describe("send", function()
  it("tells how many bytes went", run(function()
    local a, b, _ <close> = tcp_pair()
    assert.equal(5, a:send("hello"))
    assert.equal("hello", b:recv(100))
    local n = a:send(BIG)
    assert.is_true(n > 0 and n < #BIG)
  end))

  it("raises for what is no string, and names the call", run(function()
    local a, _, _ <close> = tcp_pair()
    assert.error_matches(function()
      a:send(nil)
    end, "bad argument #1 to 'send' %(string expected, got nil%)")
    assert.error_matches(function()
      a:sendall({})
    end, "bad argument #1 to 'sendall' %(string expected, got table%)")
  end))

  it("times out", run(function()
    local a, _, _ <close> = tcp_pair()
    fill(a)
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, a.send, a, "x")
  end))

  it("is cancelled while asleep", run(function()
    local a, _, _ <close> = tcp_pair()
    fill(a)
    cancelled("WRITE_WAIT", a.send, a, "x")
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = tcp_pair()
    fill(a)
    closed("WRITE_WAIT", a, "send", "x")
  end))

  it("raises WriteResourceBusy for a second writer that would wait", run(function()
    local a, _, _ <close> = tcp_pair()
    fill(a)
    local first = curio.spawn(a.send, a, "x")
    until_asleep(first, "WRITE_WAIT")
    raises(curio.WriteResourceBusy, a.send, a, "y")
    first:cancel()
  end))

  it("tells that nobody reads any more", run(function()
    local a, b, _ <close> = tcp_pair()
    reset(b)
    curio.sleep(0.01)
    local value, err = a:send("x")
    assert.is_nil(value)
    assert.is_true(err.code == "ECONNRESET" or err.code == "EPIPE")
    assert.equal("send", err.op)
    is_os_error("EPIPE", "send", a:send("x"))
  end))
end)

describe("sendall", function()
  it("sends all, however slowly the other end reads", run(function()
    local a, b, _ <close> = tcp_pair()
    local task = curio.spawn(function()
      local done = a:sendall(BIG)
      a:shutdown("wr")
      return done
    end)
    assert.is_true(BIG == receive_all(b))
    assert.is_true(task:join())
  end))

  it("sends nothing as readily", run(function()
    local a, _, _ <close> = tcp_pair()
    assert.is_true(a:sendall(""))
  end))

  it("times out, and the error tells how much was sent", run(function()
    local a, b, _ <close> = tcp_pair()
    local caught
    raises(curio.TaskTimeout, curio.timeout_after, 0.05, function()
      local done, err = pcall(a.sendall, a, BIG)
      caught = err
      error(not done and err or "sent", 0)
    end)
    a:shutdown("wr")
    assert.equal(#receive_all(b), caught.bytes_sent)
  end))

  it("is cancelled while asleep, and the error tells how much was sent", run(function()
    local a, b, _ <close> = tcp_pair()
    local err = cancelled("WRITE_WAIT", a.sendall, a, BIG)
    assert.is_true(err.bytes_sent > 0)
    a:shutdown("wr")
    assert.equal(#receive_all(b), err.bytes_sent)
  end))

  it("says that nothing was sent when cancelled before the first byte", run(function()
    local a, _, _ <close> = tcp_pair()
    fill(a)
    assert.equal(0, cancelled("WRITE_WAIT", a.sendall, a, "x").bytes_sent)
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = tcp_pair()
    local err = closed("WRITE_WAIT", a, "sendall", BIG)
    assert.is_true(err.bytes_sent > 0)
  end))

  it("tells of a reset while it sends", run(function()
    local a, b, _ <close> = tcp_pair()
    local task = curio.spawn(a.sendall, a, BIG)
    until_asleep(task, "WRITE_WAIT")
    reset(b)
    task:join()
    local err = is_os_error("ECONNRESET", "sendall", table.unpack(task.results, 1, 2))
    assert.is_true(err.bytes_sent > 0 and err.bytes_sent < #BIG)
  end))

  it("gives way to other tasks", run(function()
    local a, b, _ <close> = pair()
    local ran = 0
    local reader = curio.spawn(receive_all, b)
    local other = curio.spawn(function()
      while true do
        curio.schedule()
        ran = ran + 1
      end
    end)
    a:sendall(BIG)
    a:close()
    reader:join()
    other:cancel()
    assert.is_true(ran > 0)
  end))
end)

describe("chunks", function()
  it("goes through the data to the end of the stream", run(function()
    local a, b, _ <close> = tcp_pair()
    b:sendall("abcdef")
    b:close()
    local chunks = {}
    for chunk in a:chunks(4) do
      chunks[#chunks + 1] = chunk
    end
    assert.same({ "abcd", "ef" }, chunks)
  end))

  it("raises what goes wrong", run(function()
    local a, b, _ <close> = tcp_pair()
    reset(b)
    local err = raises(curio.OSError, receive_all, a)
    assert.equal("ECONNRESET", err.code)
  end))

  it("ends when the socket is closed meanwhile", run(function()
    local a, _, _ <close> = tcp_pair()
    local task = curio.spawn(receive_all, a)
    until_asleep(task, "READ_WAIT")
    a:close()
    assert.equal("", task:join())
  end))

  it("refuses chunks of no bytes", run(function()
    local a, _, _ <close> = pair()
    assert.error_matches(function()
      a:chunks(0)
    end, "the size must be 1 or more, not 0")
  end))
end)


describe("clients", function()
  it("gives each connection and its address, until the socket is closed", run(function()
    local sock, addr, _ <close> = sockets.listener()
    local task = curio.spawn(function()
      local from = {}
      for client, peer in sock:clients() do
        from[#from + 1] = peer
        client:close()
      end
      return from
    end)
    local ports = {}
    for i = 1, 3 do
      local client <close> = assert(socket.socket())
      assert(client:connect(addr))
      ports[i] = client:getsockname()
      assert.is_nil((client:recv(1)))
    end
    sock:close()
    assert.same(ports, task:join())
  end))

  it("names itself when the socket is closed already", run(function()
    local sock, _, _ <close> = sockets.listener()
    sock:close()
    local err = raises(curio.ClosedError, sock.clients, sock)
    assert.matches("^clients: ", err.message)
  end))
end)
