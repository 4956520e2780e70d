-- Handshakes and ends; TLS over what is no socket.

local curio = require "curio"
local sockets = require "spec.sockets"
local testing = require "curio.testing"
local tls = require "spec.tls"

local run = sockets.run
local raises = sockets.raises
local ends = tls.ends(setup, teardown)
local made = ends.made
local pair = ends.pair
local exchange = tls.exchange
local socket = tls.socket

describe("A handshake", function()
  it("is done by the first read or write, by one task for all", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local client = assert(ends.client:wrap_socket(a,
      { server_hostname = "localhost", do_handshake_on_connect = false }))
    local server = assert(ends.server:wrap_socket(b, { do_handshake_on_connect = false }))
    local _ <close> = sockets.closer(client, server)
    assert.is_nil(client:version())
    assert.is_nil(client:getpeercert())
    local g <close> = curio.TaskGroup()
    g:spawn(client.sendall, client, "from the client")
    local reading = g:spawn(client.recv, client, 100)
    local other = g:spawn(server.recv, server, 100)
    g:spawn(server.sendall, server, "from the server")
    g:join()
    assert.equal("from the server", reading.result)
    assert.equal("from the client", other.result)
  end))

  it("that is cancelled can be gone on with by another task", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local client = assert(ends.client:wrap_socket(a,
      { server_hostname = "localhost", do_handshake_on_connect = false }))
    local first = curio.spawn(client.do_handshake, client)
    sockets.until_asleep(first, "READ_WAIT")
    local second = curio.spawn(client.recv, client, 100)
    sockets.until_asleep(second, "TLS_HANDSHAKE")
    first:cancel()
    local server = assert(ends.server:wrap_socket(b))
    local _ <close> = sockets.closer(client, server)
    server:sendall "hello"
    assert.equal("hello", second:join())
  end))

  it("is not begun with a socket that listens", run(function()
    local listener, _, _ <close> = sockets.listener()
    assert.error_matches(function()
      ends.client:wrap_socket(listener, { server_hostname = "localhost" })
    end, "the socket listens")
    assert(listener:getsockname())
  end))

  it("is not waited for by the callback that it waits for", run(function()
    local ctx = tls.server_context(made)
    for _, over in ipairs { "socket", "stream" } do
      for name, args in pairs { do_handshake = {}, recv = { 1 }, sendall = { "x" } } do
        local message
        ctx:set_servername_callback(function(sock)
          local _
          _, message = pcall(sock[name], sock, args[1])
        end)
        local a, b, _ <close> = sockets.tcp_pair()
        local accepting = curio.spawn(ctx.wrap_socket, ctx, over == "stream" and b:as_stream() or b)
        local client = assert(ends.client:wrap_socket(a, { server_hostname = "localhost" }))
        local _ <close> = sockets.closer(client, assert(accepting:join()))
        assert.matches("cannot be used before the handshake is over", message)
      end
    end
  end))

  it("times out, and is woken by closing", run(function()
    local a, _, _ <close> = sockets.tcp_pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, ends.client.wrap_socket, ends.client, a,
      { server_hostname = "localhost" })
    sockets.is_closed_error(a:recv(1)) -- moved, and closed
    local c, _, _ <close> = sockets.tcp_pair()
    local client = assert(ends.client:wrap_socket(c,
      { server_hostname = "localhost", do_handshake_on_connect = false }))
    sockets.closed("READ_WAIT", client, "do_handshake")
  end))

  it("with a peer who speaks something else fails", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    b:sendall "HTTP/1.1 400 Bad Request\r\n\r\n"
    tls.is_ssl_error("WRONG_VERSION_NUMBER", ends.client:wrap_socket(a,
      { server_hostname = "localhost" }))
  end))

  it("with a peer who goes away fails", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    b:shutdown "wr"
    tls.is_ssl_error("UNEXPECTED_EOF_WHILE_READING", ends.client:wrap_socket(a,
      { server_hostname = "localhost" }))
  end))
end)

describe("The end of a stream", function()
  local function cut(opts)
    local a, b = sockets.tcp_pair()
    local accepting = curio.spawn(ends.server.wrap_socket, ends.server, b,
      { do_handshake_on_connect = false })
    local server = assert(accepting:join())
    local shaking = curio.spawn(server.do_handshake, server)
    local fd = a:fileno()
    opts.server_hostname = "localhost"
    local client = assert(ends.client:wrap_socket(a, opts))
    assert(shaking:join())
    client:sendall "last words"
    return client, server, fd
  end

  -- Ends the connection below TLS, unseen by it.
  local function shut_below(sock)
    local plain = select(3, sock:_state())
    assert(plain:shutdown "wr")
  end

  it("that was cut is an error, behind what had come", run(function()
    local client, server = cut {}
    local _ <close> = sockets.closer(client, server)
    shut_below(client)
    assert.equal("last words", server:recv(100))
    for _ = 1, 2 do
      tls.is_ssl_error("UNEXPECTED_EOF_WHILE_READING", server:recv(100))
    end
    assert.error_matches(function()
      for _ in server:chunks() do
        error "no chunk"
      end
    end, "the connection was cut")
  end))

  it("that was cut is an end for who says so", run(function()
    local client, server = cut { suppress_ragged_eofs = true }
    local _ <close> = sockets.closer(client, server)
    shut_below(server)
    assert.same({ n = 1 }, table.pack(client:recv(100)))
    assert.same({ n = 1 }, table.pack(client:recv(100)))
  end))

  it("in one direction leaves the other open", run(function()
    local a, b, _ <close> = pair()
    assert.is_true(a:shutdown "wr")
    assert.is_nil(b:recv(100))
    b:sendall "still here"
    assert.equal("still here", a:recv(100))
    tls.is_ssl_error("PROTOCOL_IS_SHUTDOWN", a:sendall "x")
    assert.is_true(b:shutdown "wr")
    assert.is_nil(a:recv(100))
  end))

  it("is told by close, also when nobody reads", run(function()
    local a, b, _ <close> = pair()
    a:close()
    assert.same({ n = 1 }, table.pack(b:recv(100)))
    local c, d, _ <close> = pair()
    assert.is_true(curio.ignore_after { 0.05, c.sendall, c, sockets.BIG, timeout_result = true })
    assert.is_true(c:close()) -- at once
    assert.is_true(c:close())
    repeat
      local data = d:recv(100000)
    until not data
  end))

  it("gives the plain socket back", run(function()
    local a, b, _ <close> = pair()
    exchange(a, b)
    local unwrapping = curio.spawn(b.unwrap, b)
    local plain_a = assert(a:unwrap())
    local plain_b = assert(unwrapping:join())
    local _ <close> = sockets.closer(plain_a, plain_b)
    plain_a:sendall "in the clear"
    assert.equal("in the clear", plain_b:recv(100))
    sockets.is_closed_error(a:recv(1))
    local c, d, _ <close> = (function()
      local accepting = curio.spawn(ends.server.wrap_socket, ends.server, plain_b)
      local c = assert(ends.client:wrap_socket(plain_a, { server_hostname = "localhost" }))
      local d = assert(accepting:join())
      return c, d, sockets.closer(c, d)
    end)()
    exchange(c, d)
  end))

  it("that the peer does not tell can be waited for in vain", run(function()
    local a, _, _ <close> = pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, a.unwrap, a)
    sockets.cancelled("READ_WAIT", a.unwrap, a)
    assert.matches("unwrap: ", tostring(sockets.closed("READ_WAIT", a, "unwrap")))
  end))

  it("with data where the end was awaited is an error", run(function()
    local a, b, _ <close> = pair()
    b:sendall "unread"
    tls.is_ssl_error("APPLICATION_DATA_AFTER_CLOSE_NOTIFY", a:unwrap())
    tls.is_ssl_error("APPLICATION_DATA_AFTER_CLOSE_NOTIFY", a:recv(10)) -- it is lost
  end))

  it("gives what was received behind it", run(function()
    local a, b, _ <close> = pair()
    local unwrapping = curio.spawn(function()
      local plain = assert(b:unwrap())
      plain:sendall "plain already"
      return plain
    end)
    assert.is_nil(a:recv(100))
    curio.sleep(0.01)
    local plain, rest = a:unwrap()
    local other = unwrapping:join()
    local _ <close> = sockets.closer(plain, other)
    assert.equal("plain already", (rest or "") .. (rest and "" or plain:recv(100)))
  end))
end)

describe("STARTTLS", function()
  it("goes on by TLS where plain lines have been", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local server = curio.spawn(function()
      assert.equal("STARTTLS\n", b:recv(100))
      b:sendall "OK\n"
      local sock = assert(ends.server:wrap_socket(b))
      sock:sendall "secret"
      return sock
    end)
    a:sendall "STARTTLS\n"
    assert.equal("OK\n", a:recv(100))
    local sock = assert(ends.client:wrap_socket(a, { server_hostname = "localhost" }))
    local _ <close> = sockets.closer(sock, server:join())
    assert.equal("secret", sock:recv(100))
    sockets.is_closed_error(a:recv(1))
  end))

  it("tells who waits on the plain socket that it is gone", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local task = curio.spawn(a.recv, a, 100)
    sockets.until_asleep(task, "READ_WAIT")
    local accepting = curio.spawn(ends.server.wrap_socket, ends.server, b)
    local sock = assert(ends.client:wrap_socket(a, { server_hostname = "localhost" }))
    local _ <close> = sockets.closer(sock, assert(accepting:join()))
    task:join()
    sockets.is_closed_error(table.unpack(task.results))
  end))
end)

describe("TLS over what is no socket", function()
  local function over(one, other, opts)
    local accepting = curio.spawn(ends.server.wrap_socket, ends.server, other)
    opts = opts or {}
    opts.server_hostname = "localhost"
    local client = assert(ends.client:wrap_socket(one, opts))
    local server = assert(accepting:join())
    return client, server, sockets.closer(client, server)
  end

  local function talk(client, server)
    exchange(client, server)
    local big = ("0123456789abcdef"):rep(20000)
    local g <close> = curio.TaskGroup()
    for _, sock in ipairs { client, server } do
      g:spawn(function()
        assert(sock:sendall(big))
      end)
      g:spawn(function()
        local size = 0
        while size < #big do
          size = size + #assert(sock:recv(30000))
        end
      end)
    end
    g:join()
    server:shutdown "wr"
    assert.is_nil(client:recv(10))
  end

  it("works in memory", run(function()
    local client, server, _ <close> = over(testing.socketpair())
    assert.equal("localhost", client.server_hostname)
    assert.equal("server", client:getpeercert().subject.commonName)
    talk(client, server)
  end))

  it("works over streams", run(function()
    local a, b = sockets.tcp_pair()
    local client, server, _ <close> = over(a:as_stream(), b:as_stream())
    talk(client, server)
  end))

  it("works over TLS", run(function()
    local a, b = pair()
    local client, server, _ <close> = over(a, b)
    talk(client, server)
  end))

  it("answers KeyUpdates", run(function()
    local client, server, _ <close> = over(testing.socketpair())
    for _ = 1, 3 do
      assert(client:_update_keys(true))
      exchange(client, server)
    end
  end))

  it("tells a cut, and is closed with what lies below", run(function()
    local a, b = testing.socketpair()
    local client, server, _ <close> = over(a, b)
    a:shutdown "wr"
    tls.is_ssl_error("UNEXPECTED_EOF_WHILE_READING", server:recv(10))
    client:close()
    sockets.is_closed_error(client:recv(1))
    sockets.is_closed_error(a:recv(1))
  end))

  it("wakes who waits when it is closed", run(function()
    local client, _, _ <close> = over(testing.socketpair())
    sockets.closed("READ_WAIT", client, "recv", 10)
    local other, _, _ <close> = over(testing.socketpair())
    local task = curio.spawn(other.sendall, other, ("x"):rep(1000000))
    sockets.until_asleep(task, "WRITE_WAIT")
    other:close()
    task:join()
    assert.is_nil(task.results[1])
  end))

  it("times out; a write that does leaves it broken", run(function()
    local client, server, _ <close> = over(testing.socketpair())
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, client.recv, client, 10)
    local err = raises(curio.TaskTimeout, curio.timeout_after, 0.01, client.sendall, client,
      ("x"):rep(1000000))
    assert.equal("integer", math.type(err.bytes_sent))
    local done, problem = client:sendall "more"
    assert.is_nil(done)
    assert.is_true(curio.is(problem, curio.SSLError), tostring(problem))
    assert.is_truthy(server)
  end))
end)

describe("A stream over TLS", function()
  it("reads and writes lines", run(function()
    local a, b, _ <close> = pair()
    local one, other = a:as_stream(), b:as_stream()
    one:write("first\n", "second\n")
    one:flush()
    assert.equal("first", other:read "l")
    assert.equal("second", other:read "l")
    local big = ("x"):rep(1000000)
    local writing = curio.spawn(other.write, other, big, "\n")
    assert.equal(big, one:read "l")
    writing:join()
    other:close()
    assert.is_nil(one:read "l")
  end))

  it("tells errors of TLS", run(function()
    local a, b, _ <close> = pair()
    assert(select(3, a:_state()):shutdown "wr")
    tls.is_ssl_error("UNEXPECTED_EOF_WHILE_READING", b:as_stream():read(10))
  end))
end)

describe("A TLS socket", function()
  it("has what sockets have", run(function()
    local a, b, _ <close> = pair()
    assert.equal(tostring(a:getsockname()), tostring(b:getpeername()))
    assert.equal("integer", math.type(a:fileno()))
    assert(a:setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, true))
    assert.equal(1, a:getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert.same({ socket.AF_INET, socket.SOCK_STREAM }, { a.family, a.type })
    assert.matches("^curio.TLSSocket %(client, localhost%)$", tostring(a))
    a:close()
    assert.equal("curio.TLSSocket (closed)", tostring(a))
    sockets.is_closed_error(a:fileno())
    sockets.is_closed_error(a:getpeercert())
    sockets.is_closed_error(a:cipher())
    assert.is_nil(a.session)
  end))

  it("that is forgotten is closed by the collector", run(function()
    local b = select(2, pair())
    b:sendall "x"
    for _ = 1, 3 do
      collectgarbage()
    end
    assert.same({ n = 1 }, table.pack(b:recv(10)))
    b:close()
  end))
end)
