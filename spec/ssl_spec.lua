-- Contexts, handshakes, sessions, names, ends; TLS over what is no socket.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local testing = require "curio.testing"
local tls = require "spec.tls"

local run = sockets.run
local raises = sockets.raises
local made = tls.certificates()
local ssl, socket = tls.ssl, tls.socket
local client_ctx, server_ctx

setup(function()
  server_ctx = tls.server_context(made)
  client_ctx = tls.client_context(made)
end)

teardown(made.remove)

local function pair(opts)
  return tls.pair(client_ctx, server_ctx, opts)
end

local function exchange(a, b)
  assert.is_true(a:sendall "ping")
  assert.equal("ping", b:recv(100))
  assert.is_true(b:sendall "pong")
  assert.equal("pong", a:recv(100))
end

describe("An SSLContext", function()
  it("is secure unless told otherwise", run(function()
    local ctx = assert(ssl.create_default_context())
    assert.same({ "client", "required", true, "TLSv1.2" },
      { ctx.purpose, ctx.verify_mode, ctx.check_hostname, ctx.minimum_version })
    assert.is_nil(ctx.maximum_version)
    local server = assert(ssl.SSLContext { purpose = "server" })
    assert.same({ "server", "none", false }, { server.purpose, server.verify_mode,
      server.check_hostname })
    assert.equal("SSLContext (server)", tostring(server))
  end))

  it("raises for what makes no sense", run(function()
    local ctx = assert(ssl.SSLContext())
    local cases = {
      { "unknown option 'pupose' %(known: purpose%)", ssl.SSLContext, { pupose = "client" } },
      { "'purpose' must be client, server, got both", ssl.SSLContext, { purpose = "both" } },
      { "'keyfile' without 'certfile'", ssl.create_default_context, { keyfile = "x" } },
      { "'certfile' is missing", ctx.load_cert_chain, ctx, {} },
      { "one of cafile, capath, cadata, crlfile", ctx.load_verify_locations, ctx, {} },
      { "'cafile' must be a string, got 5", ctx.load_verify_locations, ctx, { cafile = 5 } },
      { "a list of names of 1 to 255 bytes", ctx.set_alpn_protocols, ctx, { "" } },
      { "a list of protocols", ctx.set_alpn_protocols, ctx, "h2" },
      { "this context is a client's", ctx.set_servername_callback, ctx, print },
      { "a socket is expected", ctx.wrap_socket, ctx, {}, {} },
      { "'server_hostname' is needed", ctx.wrap_socket, ctx, (socket.socket()) },
      { "is not a host name", ctx.wrap_socket, ctx, (socket.socket()), { server_hostname = "a b" } },
      { "is not a host name", ctx.wrap_socket, ctx, (socket.socket()),
        { server_hostname = "b\195\188cher.example" } },
      { "the context is a client's", ctx.wrap_socket, ctx, (socket.socket()),
        { server_side = true } },
      { "not a certificate's time", ssl.cert_time_to_seconds, "yesterday" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function()
        case[2](table.unpack(case, 3))
      end, case[1])
    end
    for name, value in pairs { verify_mode = "some", minimum_version = "SSLv3", check_hostname = 1,
      verify_flags = { "all" }, alpn = {}, keylog_filename = 7 } do
      assert.is_false(pcall(function()
        ctx[name] = value
      end))
    end
    assert.error_matches(function()
      ctx.maximum_version = "TLSv1.2"
      ctx.minimum_version = "TLSv1.3"
    end, "minimum_version TLSv1.3 is above maximum_version TLSv1.2")
  end))

  it("says which file is missing, or bad", run(function()
    local ctx = assert(ssl.SSLContext { purpose = "server" })
    sockets.is_os_error("ENOENT", "open", ctx:load_cert_chain "/nowhere/x.pem")
    sockets.is_os_error("ENOENT", "open", ctx:load_verify_locations "/nowhere/x.pem")
    local bad = made.ca:write("bad.pem", "nonsense")
    local err = tls.is_ssl_error("NO_START_LINE", ctx:load_verify_locations(bad))
    assert.equal(bad, err.subject)
    tls.is_ssl_error("NO_START_LINE", ctx:load_cert_chain(bad))
    local other = made.ca:issue "another"
    tls.is_ssl_error("PRIVATE_KEY_MISMATCH", ctx:load_cert_chain(made.server.cert, other.key))
    tls.is_ssl_error("NO_CIPHER_MATCH", ctx:set_ciphers "nothing")
  end))

  it("takes PEM from memory as from files", run(function()
    local ca = helper.read(made.ca.ca)
    local server = assert(ssl.create_default_context {
      purpose = "server",
      certfile = helper.read(made.server.cert) .. helper.read(made.server.key),
    })
    local der = assert(ssl.certificate(ca, "der"))
    for _, opts in ipairs { { cafile = ca }, { cadata = ca }, { cadata = der } } do
      local a, b, _ <close> = tls.pair(assert(ssl.create_default_context(opts)), server)
      exchange(a, b)
    end
  end))

  it("finds authorities in a directory with hashed names", run(function()
    os.execute(("mkdir -p %s/hashed && cp %s %s/hashed/ca.pem && openssl rehash %s/hashed")
      :format(made.dir, made.ca.ca, made.dir, made.dir))
    local ctx = assert(ssl.create_default_context { capath = made.dir .. "/hashed" })
    local a, b, _ <close> = tls.pair(ctx, server_ctx)
    exchange(a, b)
  end))

  it("takes the password of an encrypted key, or a function that may block for it", run(function()
    made.ca:issue "locked"
    local key = made.ca:encrypt("locked", "sesame")
    local cert = made.ca.dir .. "/locked.pem"
    local ctx = assert(ssl.SSLContext { purpose = "server" })
    assert(ctx:load_cert_chain(cert, key, "sesame"))
    assert(ctx:load_cert_chain(cert, key, function()
      curio.sleep(0)
      return "sesame"
    end))
    assert(ctx:load_cert_chain(made.server.cert, made.server.key, function()
      error "not asked for"
    end))
    for _, password in ipairs { "wrong", false } do
      local done, err = ctx:load_cert_chain(cert, key, password or nil)
      assert.is_nil(done)
      assert.is_true(curio.is(err, curio.SSLError), tostring(err))
      assert.equal(key, err.subject)
    end
    assert.error_matches(function()
      ctx:load_cert_chain(cert, key, function()
        return nil
      end)
    end, "the password must be a string, got nil")
  end))

  it("reads its files again", run(function()
    local one, two = made.ca:issue "first", made.ca:issue "second"
    local cert = made.ca:write("current.pem", helper.read(one.cert))
    local key = made.ca:write("current.key", helper.read(one.key))
    local ctx = tls.server_context(made, { certfile = cert, keyfile = key })
    local a, b, _ <close> = tls.pair(client_ctx, ctx)
    made.ca:write("current.pem", helper.read(two.cert))
    made.ca:write("current.key", helper.read(two.key))
    assert.is_true(ctx:reload())
    exchange(a, b)
    assert.equal("first", a:getpeercert().subject.commonName)
    local fresh = tls.client_context(made)
    local c, _, _ <close> = tls.pair(fresh, ctx)
    assert.equal("second", c:getpeercert().subject.commonName)
    made.ca:write("current.pem", "nonsense")
    tls.is_ssl_error("NO_START_LINE", ctx:reload())
    local d, _, _ <close> = tls.pair(tls.client_context(made), ctx)
    assert.equal("second", d:getpeercert().subject.commonName)
  end))

  it("logs keys when asked to", run(function()
    local path = made.dir .. "/keys"
    local ctx = tls.client_context(made, { keylog = path })
    local a, b, _ <close> = tls.pair(ctx, server_ctx)
    exchange(a, b)
    local text = helper.read(path)
    for _, word in ipairs { "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0" } do
      assert.matches("%f[^\n\0]" .. word .. " %x+ %x+\n", "\n" .. text)
    end
    assert.equal(path, ctx.keylog_filename)
    ctx.keylog_filename = nil
    local c, _, _ <close> = tls.pair(ctx, server_ctx)
    assert.is_truthy(c)
    assert.equal(text, helper.read(path))
  end))

  it("restricts ciphers", run(function()
    local ctx = tls.client_context(made)
    assert(ctx:set_ciphers "TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
    local a, _, _ <close> = tls.pair(ctx, server_ctx)
    assert.equal("TLS_CHACHA20_POLY1305_SHA256", (a:cipher()))
    ctx.maximum_version = "TLSv1.2"
    local b, _, _ <close> = tls.pair(ctx, server_ctx)
    assert.same({ "ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", 128 }, { b:cipher() })
  end))
end)

describe("Application protocols", function()
  it("are the server's choice", run(function()
    local server = tls.server_context(made, { alpn = { "b", "a" } })
    local a, b, _ <close> = tls.pair(tls.client_context(made, { alpn = { "a", "b" } }), server)
    assert.equal("b", a:selected_alpn_protocol())
    assert.equal("b", b:selected_alpn_protocol())
  end))

  it("are none if one side has none", run(function()
    local a, b, _ <close> = tls.pair(tls.client_context(made, { alpn = { "a" } }), server_ctx)
    assert.is_nil(a:selected_alpn_protocol())
    assert.is_nil(b:selected_alpn_protocol())
  end))

  it("that do not overlap are refused", run(function()
    local server = tls.server_context(made, { alpn = { "b" } })
    local client, other = tls.shake(tls.client_context(made, { alpn = { "a" } }), server)
    tls.is_ssl_error("NO_APPLICATION_PROTOCOL", table.unpack(other))
    assert.is_nil(client[1])
  end))
end)

describe("The server name callback", function()
  local function ask(name, fn)
    local ctx = tls.server_context(made)
    ctx:set_servername_callback(fn)
    local client = tls.client_context(made)
    client.check_hostname = false
    return (tls.shake(client, ctx, { server_hostname = name }))
  end

  it("is told the name, may block, and chooses a context", run(function()
    local cert = made.ca:issue("chosen", { names = "DNS:chosen.example" })
    local chosen = tls.server_context(made, { certfile = cert.cert, keyfile = cert.key })
    local default = tls.server_context(made)
    local asked = {}
    default:set_servername_callback(function(sock, name, ctx)
      curio.sleep(0.001)
      asked = { sock.server_side, name, ctx }
      return name == "chosen.example" and chosen or nil
    end)
    local a, b, _ <close> = tls.pair(client_ctx, default, { server_hostname = "chosen.example" })
    assert.same({ true, "chosen.example" }, { asked[1], asked[2] })
    assert.equal(default, asked[3])
    assert.equal(chosen, b.context)
    assert.equal("chosen", a:getpeercert().subject.commonName)
    exchange(a, b)
    local c, d, _ <close> = tls.pair(client_ctx, default)
    assert.equal("server", c:getpeercert().subject.commonName)
    assert.equal(default, d.context)
  end))

  it("may refuse", run(function()
    local client = ask("bad.example", function()
      return false
    end)
    tls.is_ssl_error("TLSV1_UNRECOGNIZED_NAME", table.unpack(client))
  end))

  it("is told nil when the client asks for an address", run(function()
    local got = {}
    local client = ask("127.0.0.1", function(_, name)
      got = { name = name, called = true }
    end)
    assert.is_truthy(client[1], client[2])
    assert.same({ called = true }, got)
  end))

  it("whose failure is the handshake's", run(function()
    local ctx = tls.server_context(made)
    ctx:set_servername_callback(function()
      error "no idea"
    end)
    local a, b, _ <close> = sockets.tcp_pair()
    local client = curio.spawn(client_ctx.wrap_socket, client_ctx, a,
      { server_hostname = "localhost" })
    assert.error_matches(function()
      ctx:wrap_socket(b)
    end, "no idea")
    client:wait()
    assert.is_nil(client.results[1])
  end))

  it("chooses who must show a certificate", run(function()
    local strict = tls.server_context(made, { cafile = made.ca.ca, verify_mode = "required" })
    local client = ask("localhost", function()
      return strict
    end)
    local _, err = table.unpack(client.read or client)
    assert.matches("CERTIFICATE_REQUIRED", err.reason)
  end))
end)

describe("Sessions", function()
  local function reused(ctx, server, opts)
    local a, b, _ <close> = tls.pair(ctx, server, opts)
    exchange(a, b)
    assert.equal(a:session_reused(), b:session_reused())
    return a:session_reused(), a.session
  end

  -- A listener, so that the peer's address stays the same.
  local function server_of(ctx)
    local listener, addr, closer = sockets.listener()
    local task = curio.spawn(curio.run_server, listener, function(client)
      for data in client:chunks() do
        client:sendall(data)
      end
    end, { ssl = ctx })
    return addr, helper.closing(function()
      task:cancel()
      closer[1]:close()
    end)
  end

  local function connect(addr, ctx)
    local sock <close> = assert(curio.open_connection(addr.host, addr.port,
      { ssl = ctx, server_hostname = "localhost" }))
    sock:sendall "x"
    assert.equal("x", sock:recv(1))
    return sock:session_reused()
  end

  for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
    it("of " .. version .. " are resumed without being asked for", run(function()
      local server, ctx = tls.server_context(made), tls.client_context(made)
      ctx.maximum_version = version
      local addr, _ <close> = server_of(server)
      assert.is_false(connect(addr, ctx))
      for _ = 1, 3 do
        assert.is_true(connect(addr, ctx))
      end
      assert.is_false(connect(addr, tls.client_context(made)))
    end))
  end

  it("are not resumed when a context has come to trust others", run(function()
    local server, ctx = tls.server_context(made), tls.client_context(made)
    local addr, _ <close> = server_of(server)
    connect(addr, ctx)
    ctx.verify_mode = "none"
    assert.is_false(connect(addr, ctx))
    ctx.verify_mode = "required"
    assert.is_false(connect(addr, ctx))
    assert.is_true(connect(addr, ctx))
  end))

  it("can be given", run(function()
    local server, ctx = tls.server_context(made), tls.client_context(made)
    local first, session = reused(ctx, server)
    assert.is_false(first)
    assert.is_true(reused(ctx, server, { session = session }))
    assert.error_matches(function()
      local a, _, _ <close> = sockets.tcp_pair()
      client_ctx:wrap_socket(a, { session = session, server_hostname = "localhost" })
    end, "the session is another context's")
  end))

  it("that were made unverified do not stand for verified ones", run(function()
    local ctx = tls.client_context(made, { cafile = made.other.ca, verify_mode = "none" })
    local _, session = reused(ctx, server_ctx)
    ctx.verify_mode = "required"
    local a, b, _ <close> = sockets.tcp_pair()
    local server = curio.spawn(server_ctx.wrap_socket, server_ctx, b)
    local sock, err = ctx:wrap_socket(a, { session = session, server_hostname = "localhost" })
    assert.is_nil(sock)
    assert.is_true(curio.is(err, curio.SSLCertVerificationError), tostring(err))
    server:wait()
    if server.results[1] then
      server.results[1]:close()
    end
  end))
end)

describe("A handshake", function()
  it("is done by the first read or write, by one task for all", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local client = assert(client_ctx:wrap_socket(a,
      { server_hostname = "localhost", do_handshake_on_connect = false }))
    local server = assert(server_ctx:wrap_socket(b, { do_handshake_on_connect = false }))
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
    local client = assert(client_ctx:wrap_socket(a,
      { server_hostname = "localhost", do_handshake_on_connect = false }))
    local first = curio.spawn(client.do_handshake, client)
    sockets.until_asleep(first, "READ_WAIT")
    local second = curio.spawn(client.recv, client, 100)
    sockets.until_asleep(second, "TLS_HANDSHAKE")
    first:cancel()
    local server = assert(server_ctx:wrap_socket(b))
    local _ <close> = sockets.closer(client, server)
    server:sendall "hello"
    assert.equal("hello", second:join())
  end))

  it("times out, and is woken by closing", run(function()
    local a, _, _ <close> = sockets.tcp_pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, client_ctx.wrap_socket, client_ctx, a,
      { server_hostname = "localhost" })
    sockets.is_closed_error(a:recv(1)) -- moved, and closed
    local c, _, _ <close> = sockets.tcp_pair()
    local client = assert(client_ctx:wrap_socket(c,
      { server_hostname = "localhost", do_handshake_on_connect = false }))
    sockets.closed("READ_WAIT", client, "do_handshake")
  end))

  it("with a peer who speaks something else fails", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    b:sendall "HTTP/1.1 400 Bad Request\r\n\r\n"
    tls.is_ssl_error("WRONG_VERSION_NUMBER", client_ctx:wrap_socket(a,
      { server_hostname = "localhost" }))
  end))

  it("with a peer who goes away fails", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    b:shutdown "wr"
    tls.is_ssl_error("UNEXPECTED_EOF_WHILE_READING", client_ctx:wrap_socket(a,
      { server_hostname = "localhost" }))
  end))
end)

describe("The end of a stream", function()
  local function cut(opts)
    local a, b = sockets.tcp_pair()
    local accepting = curio.spawn(server_ctx.wrap_socket, server_ctx, b,
      { do_handshake_on_connect = false })
    local server = assert(accepting:join())
    local shaking = curio.spawn(server.do_handshake, server)
    local fd = a:fileno()
    opts.server_hostname = "localhost"
    local client = assert(client_ctx:wrap_socket(a, opts))
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
      local accepting = curio.spawn(server_ctx.wrap_socket, server_ctx, plain_b)
      local c = assert(client_ctx:wrap_socket(plain_a, { server_hostname = "localhost" }))
      local d = assert(accepting:join())
      return c, d, sockets.closer(c, d)
    end)()
    exchange(c, d)
  end))

  it("with data where the end was awaited is an error", run(function()
    local a, b, _ <close> = pair()
    b:sendall "unread"
    tls.is_ssl_error("APPLICATION_DATA_AFTER_CLOSE_NOTIFY", a:unwrap())
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
      local sock = assert(server_ctx:wrap_socket(b))
      sock:sendall "secret"
      return sock
    end)
    a:sendall "STARTTLS\n"
    assert.equal("OK\n", a:recv(100))
    local sock = assert(client_ctx:wrap_socket(a, { server_hostname = "localhost" }))
    local _ <close> = sockets.closer(sock, server:join())
    assert.equal("secret", sock:recv(100))
    sockets.is_closed_error(a:recv(1))
  end))

  it("tells who waits on the plain socket that it is gone", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local task = curio.spawn(a.recv, a, 100)
    sockets.until_asleep(task, "READ_WAIT")
    local accepting = curio.spawn(server_ctx.wrap_socket, server_ctx, b)
    local sock = assert(client_ctx:wrap_socket(a, { server_hostname = "localhost" }))
    local _ <close> = sockets.closer(sock, assert(accepting:join()))
    task:join()
    sockets.is_closed_error(table.unpack(task.results))
  end))
end)

describe("TLS over what is no socket", function()
  local function over(one, other, opts)
    local accepting = curio.spawn(server_ctx.wrap_socket, server_ctx, other)
    opts = opts or {}
    opts.server_hostname = "localhost"
    local client = assert(client_ctx:wrap_socket(one, opts))
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

describe("Certificates", function()
  it("are tables", run(function()
    local cert = made.ca:issue("full", {
      names = "DNS:a.example, DNS:*.b.example, IP:10.0.0.1, IP:::1, email:x@y.example, "
        .. "URI:https://c.example/",
      from = "200102030405Z", to = "400506070809Z",
    })
    local text = helper.read(cert.cert)
    local got = assert(ssl.certificate(text))
    assert.equal("full", got.subject.commonName)
    assert.same({ "commonName", "full" }, got.subject[1])
    assert.equal("Spec CA", got.issuer.commonName)
    assert.same({
      { "DNS", "a.example" }, { "DNS", "*.b.example" }, { "IP Address", "10.0.0.1" },
      { "IP Address", "::1" }, { "email", "x@y.example" }, { "URI", "https://c.example/" },
    }, got.subjectAltName)
    assert.equal("Jan  2 03:04:05 2020 GMT", got.notBefore)
    assert.equal("May  6 07:08:09 2040 GMT", got.notAfter)
    assert.equal(1577934245, ssl.cert_time_to_seconds(got.notBefore))
    assert.matches("^%x+$", got.serialNumber)
    assert.same({ 3, 256 }, { got.version, got.keyBits })
    local der = assert(ssl.certificate(text, "der"))
    assert.equal(text, ssl.certificate(der, "pem"))
    assert.is_nil((ssl.certificate "nonsense"))
    assert.is_nil((ssl.certificate(der:sub(1, -5))))
  end))

  it("of a server can be asked for, though nobody trusts it", run(function()
    local listener, addr, _ <close> = sockets.listener()
    local server = curio.spawn(curio.run_server, listener, function() end, { ssl = server_ctx })
    local pem = assert(ssl.get_server_certificate("127.0.0.1", addr.port, { timeout = 20 }))
    assert.equal(helper.read(made.server.cert), pem)
    server:cancel()
    local other, silent, _ <close> = sockets.listener()
    sockets.is_os_error("ETIMEDOUT", "get_server_certificate",
      ssl.get_server_certificate("127.0.0.1", silent.port, { timeout = 0.05 }))
    other:close()
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
    local a, b = pair()
    b:sendall "x"
    a = nil -- luacheck: ignore
    for _ = 1, 3 do
      collectgarbage()
    end
    assert.same({ n = 1 }, table.pack(b:recv(10)))
    b:close()
  end))
end)
