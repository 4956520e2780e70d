-- Contexts, protocols, server names, sessions, certificates.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local tls = require "spec.tls"

local run = sockets.run
local ends = tls.ends(setup, teardown)
local made = ends.made
local exchange = tls.exchange
local ssl, socket = tls.ssl, tls.socket

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
      { "is not a host name", ctx.wrap_socket, ctx, (socket.socket()),
        { server_hostname = "a b" } },
      { "is not a host name", ctx.wrap_socket, ctx, (socket.socket()),
        { server_hostname = "b\195\188cher.example" } },
      { "the context is a client's", ctx.wrap_socket, ctx, (socket.socket()),
        { server_side = true } },
      { "the session is another context's", ctx.wrap_socket, ctx, (socket.socket()),
        { server_hostname = "a", session = 1 } },
      { "not a certificate's time", ssl.cert_time_to_seconds, "yesterday" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function()
        case[2](table.unpack(case, 3))
      end, case[1])
    end
    for _, name in ipairs { "", ".", ".example.com", "a..example.com", "*.example.com", "a\0b" } do
      assert.error_matches(function()
        ctx:wrap_socket((socket.socket()), { server_hostname = name })
      end, "is not a host name")
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
    local a, b, _ <close> = tls.pair(ctx, ends.server)
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
    local a, b, _ <close> = tls.pair(ends.client, ctx)
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
    local none, err = ssl.create_default_context { cafile = made.ca.ca, keylog = "/none/keys" }
    sockets.is_os_error("ENOENT", "open", none, err)
    local ctx = tls.client_context(made, { keylog = path })
    local a, b, _ <close> = tls.pair(ctx, ends.server)
    exchange(a, b)
    local text = helper.read(path)
    for _, word in ipairs { "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0" } do
      assert.matches("%f[^\n\0]" .. word .. " %x+ %x+\n", "\n" .. text)
    end
    assert.equal(path, ctx.keylog_filename)
    ctx.keylog_filename = nil
    local c, _, _ <close> = tls.pair(ctx, ends.server)
    assert.is_truthy(c)
    assert.equal(text, helper.read(path))
  end))

  it("logs keys where the environment says so", function()
    local code = [[print(require("curio.ssl").create_default_context().keylog_filename)]]
    local command = ("SSLKEYLOGFILE=%s/env LUA_PATH='%s' LUA_CPATH='%s' '%s' -e '%s'")
      :format(made.dir, package.path, package.cpath, helper.interpreter(), code)
    assert.equal(made.dir .. "/env\n", helper.output_of(command))
  end)

  it("restricts ciphers", run(function()
    local ctx = tls.client_context(made)
    assert(ctx:set_ciphers "TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
    local a, _, _ <close> = tls.pair(ctx, ends.server)
    assert.equal("TLS_CHACHA20_POLY1305_SHA256", (a:cipher()))
    ctx.maximum_version = "TLSv1.2"
    local b, _, _ <close> = tls.pair(ctx, ends.server)
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
    local a, b, _ <close> = tls.pair(tls.client_context(made, { alpn = { "a" } }), ends.server)
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
    local a, b, _ <close> = tls.pair(ends.client, default, { server_hostname = "chosen.example" })
    assert.same({ true, "chosen.example" }, { asked[1], asked[2] })
    assert.equal(default, asked[3])
    assert.equal(chosen, b.context)
    assert.equal("chosen", a:getpeercert().subject.commonName)
    exchange(a, b)
    local c, d, _ <close> = tls.pair(ends.client, default)
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
    local client = curio.spawn(ends.client.wrap_socket, ends.client, a,
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
      ends.client:wrap_socket(a, { session = session, server_hostname = "localhost" })
    end, "the session is another context's")
  end))

  it("that were made unverified do not stand for verified ones", run(function()
    local ctx = tls.client_context(made, { cafile = made.other.ca, verify_mode = "none" })
    local _, session = reused(ctx, ends.server)
    ctx.verify_mode = "required"
    local a, b, _ <close> = sockets.tcp_pair()
    local server = curio.spawn(ends.server.wrap_socket, ends.server, b)
    local sock, err = ctx:wrap_socket(a, { session = session, server_hostname = "localhost" })
    assert.is_nil(sock)
    assert.is_true(curio.is(err, curio.SSLCertVerificationError), tostring(err))
    server:wait()
    if server.results[1] then
      server.results[1]:close()
    end
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
    local server = curio.spawn(curio.run_server, listener, function() end, { ssl = ends.server })
    local pem = assert(ssl.get_server_certificate("127.0.0.1", addr.port, { timeout = 20 }))
    assert.equal(helper.read(made.server.cert), pem)
    server:cancel()
    local other, silent, _ <close> = sockets.listener()
    sockets.is_os_error("ETIMEDOUT", "get_server_certificate",
      ssl.get_server_certificate("127.0.0.1", silent.port, { timeout = 0.05 }))
    other:close()
  end))
end)

describe("TLS in several threads", function()
  -- Runs in a thread, with nothing but what it is given.
  local function work(cert, key, ca)
    local inner = require "curio"
    local pairs_of = require("curio.socket").socketpair
    local lib = require "curio.ssl"
    return inner.run(function()
      local done = 0
      for _ = 1, 5 do
        assert(lib.create_default_context()) -- the store of the system is shared
        local server_side = assert(lib.create_default_context {
          purpose = "server", certfile = cert, keyfile = key,
        })
        local client_side = assert(lib.create_default_context { cafile = ca })
        local a, b = pairs_of()
        local task = inner.spawn(function()
          local sock <close> = assert(server_side:wrap_socket(b))
          sock:sendall(assert(sock:recv(100)))
        end)
        local sock <close> = assert(client_side:wrap_socket(a, { server_hostname = "localhost" }))
        sock:sendall "hello"
        assert(sock:recv(100) == "hello")
        task:join()
        done = done + 1
      end
      return done
    end)
  end

  it("goes on side by side", run(function()
    local server, ca = made.server, made.ca.ca
    local g <close> = curio.TaskGroup()
    for _ = 1, 4 do
      g:spawn(curio.run_in_thread, work, server.cert, server.key, ca)
    end
    g:join()
    assert.same({ 5, 5, 5, 5, n = 4 }, g.results)
  end))
end)
