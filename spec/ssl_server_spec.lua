-- TLS servers, and the peers that they have to bear: silent, slow, senseless, gone, insistent.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local tls = require "spec.tls"

local run = sockets.run
local made = tls.certificates()
local ssl = tls.ssl

teardown(made.remove)

local function echo(client)
  for data in client:chunks(1000) do
    client:sendall(data)
  end
end

-- A server's task on a free port, and its address.
local function serve(opts, handler)
  local ready = curio.Event()
  local bound
  opts.ssl = opts.ssl or tls.server_context(made)
  opts.ready = function(addr)
    bound = addr
    ready:set()
  end
  local server = curio.spawn(curio.tcp_server, "127.0.0.1", 0, handler or echo, opts)
  ready:wait()
  return bound, server, helper.closing(function()
    server:cancel()
  end)
end

local function connect(addr, opts)
  opts = opts or {}
  opts.ssl = opts.ssl or tls.client_context(made)
  opts.server_hostname = opts.server_hostname or "localhost"
  return curio.open_connection(addr.host, addr.port, opts)
end

local function echoes(addr, opts)
  local client <close> = assert(connect(addr, opts))
  client:sendall "hello"
  assert.equal("hello", client:recv(100))
end

local function until_logged(lines, n)
  while #lines < n do
    curio.sleep(0.005)
  end
end

describe("A TLS client", function()
  it("leaves no connection behind when its options make no sense", run(function()
    local listener, addr, _ <close> = sockets.listener()
    local accepting = curio.spawn(function()
      local client <close> = listener:accept()
      return client:recv(10)
    end)
    collectgarbage "stop"
    local opts = { ssl = tls.client_context(made), server_hostname = ".localhost" }
    local done, err = pcall(curio.open_connection, addr.host, addr.port, opts)
    assert.is_false(done)
    assert.is_true(tostring(err):find "is not a host name" ~= nil)
    assert.is_nil(accepting:join())
    collectgarbage "restart"
  end))
end)

describe("A TLS server", function()
  it("serves clients side by side", run(function()
    local addr, _, _ <close> = serve {}
    local a <close> = assert(connect(addr))
    local b <close> = assert(connect(addr))
    b:sendall "b"
    assert.equal("b", b:recv(10))
    a:sendall "a"
    assert.equal("a", a:recv(10))
    assert.is_true(ssl.openssl_version():find "^OpenSSL 3" ~= nil)
  end))

  it("gives its handler the TLS socket, and closes it", run(function()
    local seen
    local addr, _, _ <close> = serve({}, function(client, from)
      seen = { client, tostring(from), client:version() }
      client:sendall "bye"
    end)
    local client <close> = assert(connect(addr))
    assert.equal("bye", client:recv(10))
    assert.is_nil(client:recv(10))
    assert.same({ tostring(client:getsockname()), "TLSv1.3" }, { seen[2], seen[3] })
    sockets.is_closed_error(seen[1]:recv(1))
  end))

  it("agrees on protocols for the connection's options", run(function()
    local ctx = tls.server_context(made, { alpn = { "h2", "http/1.1" } })
    local addr, _, _ <close> = serve { ssl = ctx }
    local client <close> = assert(connect(addr, { alpn = { "http/1.1", "spdy" } }))
    assert.equal("http/1.1", client:selected_alpn_protocol())
  end))

  it("at a Unix socket serves those who know its name", run(function()
    local path = sockets.unused_path()
    local ready = curio.Event()
    local server = curio.spawn(curio.unix_server, path, echo, {
      ssl = tls.server_context(made),
      ready = function()
        ready:set()
      end,
    })
    ready:wait()
    do
      local client <close> = assert(curio.open_unix_connection(path,
        { ssl = tls.client_context(made) }))
      client:sendall "hello"
      assert.equal("hello", client:recv(100))
      local big = curio.spawn(client.sendall, client, ("x"):rep(300000))
      local size = 0
      while size < 300000 do
        size = size + #assert(client:recv(100000))
      end
      assert.is_true(big:join())
    end
    server:cancel()
    os.remove(path)
  end))

  it("that refuses a handshake says so, and goes on", run(function()
    local lines, _ <close> = helper.logging()
    local addr, _, _ <close> = serve {}
    local stranger = tls.client_context(made, { cafile = made.other.ca })
    local client, err = connect(addr, { ssl = stranger })
    tls.is_unverified(20, "issuer", client, err)
    until_logged(lines, 1)
    assert.matches("^warning: TLS handshake with 127.0.0.1:%d+ failed: SSLError: do_handshake .*"
      .. "unknown ca", lines[1])
    echoes(addr)
    assert.equal(1, #lines)
  end))

  it("is not held up by silent, slow and senseless peers, and they lose their places",
    run(function()
      local lines, _ <close> = helper.logging()
      local addr, server, _ <close> = serve { handshake_timeout = 0.3, max_connections = 4 }
      local silent <close> = assert(curio.open_connection(addr.host, addr.port))
      local slow <close> = assert(curio.open_connection(addr.host, addr.port))
      local garbage <close> = assert(curio.open_connection(addr.host, addr.port))
      local hello = "\22\3\1\2\0\1\0\1\252\3\3" .. ("r"):rep(500)
      local dripping = curio.spawn(function()
        for i = 1, #hello do
          if not slow:sendall(hello:sub(i, i)) then
            break
          end
          curio.sleep(0.01)
        end
      end)
      garbage:sendall "GET / HTTP/1.0\r\n\r\n"
      echoes(addr) -- the fourth place is free
      until_logged(lines, 3)
      for _, sock in ipairs { silent, slow } do
        local data, err = sock:recv(1)
        assert.is_nil(data, err)
      end
      while garbage:recv(100) do -- an alert, perhaps
      end
      dripping:cancel()
      table.sort(lines)
      local all = table.concat(lines, "\n")
      assert.matches("do_handshake %S+: http request", all)
      local _, timeouts = all:gsub("nothing was agreed on within 0.3 s", "")
      assert.equal(2, timeouts)
      for _ = 1, 5 do -- all places are free
        echoes(addr)
      end
      assert.is_false(server.terminated)
    end))

  it("bears garbage of every kind", run(function()
    local lines, _ <close> = helper.logging()
    local addr, _, _ <close> = serve {}
    local kinds = {
      "", "\0", ("\0"):rep(1000), ("\255"):rep(20000), "\22\3\1\64\0" .. ("x"):rep(16384),
      "\22\3\1\0\4\1\255\255\255", "\21\3\1\0\2\2\40", "\23\3\3\0\5hello", "\128\46\1\3\1",
    }
    for i, text in ipairs(kinds) do
      local peer <close> = assert(curio.open_connection(addr.host, addr.port))
      peer:sendall(text)
      peer:shutdown "wr"
      repeat
        local data = peer:recv(1000)
      until not data
      until_logged(lines, i)
    end
    for _, line in ipairs(lines) do
      assert.matches("^warning: TLS handshake with .* failed: %w+Error: do_handshake", line)
    end
    echoes(addr)
  end))

  it("refuses to renegotiate", run(function()
    local _, _ <close> = helper.logging()
    local ctx = tls.server_context(made)
    ctx.maximum_version = "TLSv1.2"
    local addr, _, _ <close> = serve { ssl = ctx }
    for round = 1, 3 do
      -- openssl s_client renegotiates for a line that begins with R, and ends when it is refused.
      local log = ("%s/renegotiation%d"):format(made.dir, round)
      os.execute(("{ { echo R; sleep 20; } | timeout 20 openssl s_client -connect 127.0.0.1:%d "
        .. "-tls1_2; echo ended; } >%s 2>&1 &"):format(addr.port, log))
      local text = ""
      while not text:find "no renegotiation" do
        curio.sleep(0.02)
        text = helper.read(log)
        assert.is_nil(text:find "\nended\n" and not text:find "no renegotiation" or nil, text)
      end
    end
    echoes(addr, { ssl = tls.client_context(made) })
  end))

  it("waits for its handlers, and cancels handshakes, when it is cancelled", run(function()
    local addr, server, _ <close> = serve { handshake_timeout = 100 }
    local silent <close> = assert(curio.open_connection(addr.host, addr.port))
    curio.sleep(0.01)
    server:cancel()
    assert.is_nil(silent:recv(1))
  end))
end)

describe("A TLS server in several threads", function()
  it("resumes sessions in any of them", run(function()
    local addr, _, _ <close> = serve({ workers = 3 }, function(client)
      for data in client:chunks(1000) do
        client:sendall(data)
      end
    end)
    local ctx = tls.client_context(made)
    local resumed = 0
    for turn = 1, 12 do
      local client <close> = assert(connect(addr, { ssl = ctx }))
      client:sendall "hello"
      assert.equal("hello", client:recv(100))
      resumed = resumed + (client:session_reused() and 1 or 0)
      assert.is_true(turn == 1 or resumed > 0)
    end
    assert.equal(11, resumed)
  end))

  it("does not take a callback along", run(function()
    local ctx = tls.server_context(made)
    ctx:set_servername_callback(print)
    assert.error_matches(function()
      curio.tcp_server("127.0.0.1", 0, echo, { ssl = ctx, workers = 2 })
    end, "callback cannot go to threads")
  end))
end)

describe("open_connection with TLS", function()
  it("trusts whom the system trusts, so not the spec's authority", run(function()
    local _, _ <close> = helper.logging()
    local addr, _, _ <close> = serve {}
    local client, err = curio.open_connection("127.0.0.1", addr.port, { ssl = true })
    tls.is_unverified(20, "issuer", client, err)
  end))

  it("checks the host that it connects to", run(function()
    local addr, _, _ <close> = serve {}
    local ctx = tls.client_context(made)
    local client <close> = assert(curio.open_connection("127.0.0.1", addr.port, { ssl = ctx }))
    client:sendall "x"
    assert.equal("x", client:recv(1))
  end))

  it("gives up when the handshake takes too long", run(function()
    local listener, addr, _ <close> = sockets.listener()
    local client, err = connect(addr, { timeout = 0.05 })
    sockets.is_os_error("ETIMEDOUT", "connect", client, err)
    listener:close()
  end))
end)
