-- TLS with others: the openssl program, curl, Python's ssl; each from both sides, as far as it has
-- two.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"
local tls = require "spec.tls"

local run = sockets.run
local made = tls.certificates()

teardown(made.remove)

local PYTHON = "/usr/bin/python3" -- with a module ssl that is the system's
local PATIENCE = helper.PATIENCE

-- ---- their clients, our server ----

local function echo(client)
  for data in client:chunks(1000) do
    client:sendall(data)
  end
end

-- The port of a server of ours, and what ends it.
local function serve(handler, opts)
  local ctx = tls.server_context(made, opts)
  local listener, addr = sockets.listener()
  local server = curio.spawn(curio.run_server, listener, handler or echo, { ssl = ctx })
  return addr.port, helper.closing(function()
    server:cancel()
    listener:close()
  end), ctx
end

-- Runs a program to its end: its output, both kinds, and its exit status.
local function program(input, ...)
  local done = assert(subprocess.run {
    input = input, stdout = subprocess.PIPE, stderr = subprocess.STDOUT,
    "timeout", tostring(PATIENCE), ...
  })
  return done.stdout, done.returncode
end

-- s_client with shell commands for its input, whose end would end it: there `await TEXT` waits
-- until it has written that.
local function s_client(port, commands, ...)
  local command = [[
    : >%s
    await() {
      tries=0
      until [ "$(grep -c "$1" %s)" -ge "${2:-1}" ] || [ $((tries += 1)) -gt %d ]; do
        sleep 0.05
      done
    }
    { %s; } | timeout %d openssl s_client -connect 127.0.0.1:%d -CAfile %s \
      -verify_return_error -servername localhost %s >%s 2>&1
    cat %s]]
  local out = made.dir .. "/s_client"
  return program("", "sh", "-c", command:format(out, out, 20 * PATIENCE, commands, PATIENCE, port,
    made.ca.ca, table.concat({ ... }, " "), out, out))
end

describe("openssl s_client", function()
  for _, version in ipairs { "tls1_2", "tls1_3" } do
    it("speaks -" .. version .. " with our server", run(function()
      local port, _ <close> = serve()
      local text = s_client(port, "echo hello; await hello", "-" .. version)
      assert.matches("Verify return code: 0", text)
      assert.matches("hello\n", text)
    end))
  end

  it("resumes a session of our server's", run(function()
    local port, _ <close> = serve()
    local file = made.dir .. "/session"
    s_client(port, "echo hello; await hello", "-tls1_3 -sess_out " .. file)
    assert.matches("\nReused, TLSv1.3",
      s_client(port, "echo hello; await hello", "-sess_in " .. file))
    s_client(port, "echo hello; await hello", "-tls1_2 -sess_out " .. file)
    assert.matches("\nReused, TLSv1.2",
      s_client(port, "echo hello; await hello", "-tls1_2 -sess_in " .. file))
  end))

  it("agrees on a protocol with our server", run(function()
    local port, _ <close> = serve(nil, { alpn = { "h2", "http/1.1" } })
    assert.matches("ALPN protocol: http/1.1",
      s_client(port, "true", "-alpn spdy/3,http/1.1"))
  end))

  it("is asked for its certificate", run(function()
    local names = {}
    local port, _ <close> = serve(function(client)
      names[#names + 1] = client:getpeercert().subject.commonName
      echo(client)
    end, { cafile = made.ca.ca, verify_mode = "required" })
    local text = s_client(port, "echo hello; await hello", "-cert", made.client.cert, "-key",
      made.client.key)
    assert.matches("hello\n", text)
    assert.matches("Acceptable client certificate CA names\nCN = Spec CA", text)
    assert.same({ "client" }, names)
    local _, _ <close> = helper.logging()
    assert.matches("certificate required", s_client(port, "await required"))
  end))

  it("updates keys", run(function()
    local port, _ <close> = serve()
    local text = s_client(port, "echo first; await first; echo K; await KEYUPDATE; echo k; "
      .. "await KEYUPDATE 2; echo second; await second", "-tls1_3")
    assert.matches("KEYUPDATE", text)
    assert.matches("first\n", text)
    assert.matches("second\n", text)
  end))

  it("of an older version is refused", run(function()
    local lines, _ <close> = helper.logging()
    local port, _ <close> = serve()
    local text = s_client(port, "true", "-tls1_1 -cipher DEFAULT@SECLEVEL=0")
    assert.matches("alert protocol version", text)
    assert.matches("unsupported protocol", lines[1])
  end))
end)

describe("curl", function()
  local function http(client)
    local stream = client:as_stream()
    local request = assert(stream:read "l")
    for line in stream:lines "l" do
      if line == "\r" or line == "" then
        break
      end
    end
    local body = request .. "\n" .. ("x"):rep(200000)
    stream:write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ", #body,
      "\r\n\r\n", body)
    stream:flush()
    client:shutdown "wr"
  end

  it("gets a page from our server", run(function()
    local port, _ <close> = serve(http, { alpn = { "http/1.1" } })
    local text, status = program("", "curl", "-sS", "--noproxy", "*", "--cacert", made.ca.ca,
      ("https://localhost:%d/page"):format(port))
    assert.equal(0, status, text:sub(1, 200))
    assert.equal("GET /page HTTP/1.1\r\n" .. ("x"):rep(200000), text)
  end))

  it("shows a certificate to our server", run(function()
    local port, _ <close> = serve(http, { cafile = made.ca.ca, verify_mode = "required" })
    local text, status = program("", "curl", "-sS", "--noproxy", "*", "--cacert", made.ca.ca,
      "--cert", made.client.cert, "--key", made.client.key,
      ("https://127.0.0.1:%d/"):format(port))
    assert.equal(0, status, text:sub(1, 200))
    assert.matches("^GET / HTTP/1.1", text)
  end))

  it("refuses our server if it does not know its authority", run(function()
    local lines, _ <close> = helper.logging()
    local port, _ <close> = serve(http)
    local _, status = program("", "curl", "-sS", "--noproxy", "*", "--cacert", made.other.ca,
      ("https://localhost:%d/"):format(port))
    assert.equal(60, status)
    while #lines == 0 do
      curio.sleep(0.01)
    end
    assert.matches("unknown ca", lines[1])
  end))
end)

local PYTHON_CLIENT = [[
import socket, ssl, sys
port, ca, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ctx = ssl.create_default_context(cafile=ca)
ctx.minimum_version = ctx.maximum_version = getattr(ssl.TLSVersion, version)
session = None
for turn in range(2):
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with ctx.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
            big = b"0123456789" * 5000
            sock.sendall(big)
            got = b""
            while len(got) < len(big):
                got += sock.recv(100000)
            assert got == big
            print(sock.version(), sock.session_reused)
            session = sock.session
            sock.unwrap()
]]

local PYTHON_SERVER = [[
import socket, ssl, sys
cert, key, ca, turns = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
ctx = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
ctx.verify_mode = ssl.CERT_REQUIRED
ctx.load_cert_chain(cert, key)
ctx.set_alpn_protocols(["two", "one"])
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    for turn in range(turns):
        plain, _ = listener.accept()
        with ctx.wrap_socket(plain, server_side=True) as sock:
            while True:
                data = sock.recv(100000)
                if not data:
                    break
                sock.sendall(data)
            sock.unwrap()
]]

describe("Python's client", function()
  for _, version in ipairs { "TLSv1_2", "TLSv1_3" } do
    it(("speaks %s with our server, twice by one session"):format(version), run(function()
      local port, _ <close> = serve(function(client)
        echo(client)
        client:unwrap():close()
      end)
      local text, status = program("", PYTHON, "-c", PYTHON_CLIENT, tostring(port), made.ca.ca,
        version)
      assert.equal(0, status, text)
      local name = version:gsub("_", ".")
      assert.equal(("%s False\n%s True\n"):format(name, name), text)
    end))
  end
end)

-- ---- their servers, our client ----

-- A program that serves: its process, and its port, which it prints after the pattern.
local function start(pattern, ...)
  local process = assert(subprocess.Popen {
    stdin = subprocess.PIPE, stdout = subprocess.PIPE, stderr = subprocess.STDOUT,
    "timeout", tostring(PATIENCE), ...
  })
  local port
  while not port do
    port = assert(process.stdout:read "l"):match(pattern)
  end
  return tonumber(port), helper.closing(function()
    process:terminate()
    process:wait()
  end), process
end

local function s_server(options, cert)
  cert = cert or made.server
  return start("ACCEPT .*:(%d+)$", "openssl", "s_server", "-accept", "0", "-cert", cert.cert,
    "-key", cert.key, "-rev", table.unpack(options or {}))
end

local function connect(port, ctx, opts)
  opts = opts or {}
  opts.ssl = ctx or tls.client_context(made)
  opts.server_hostname = "localhost"
  return curio.open_connection("127.0.0.1", port, opts)
end

describe("openssl s_server", function()
  for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
    it(("speaks %s with our client, which resumes its session"):format(version), run(function()
      local port, _ <close> = s_server()
      local ctx = tls.client_context(made)
      ctx.maximum_version = version
      for turn = 1, 3 do
        local sock <close> = assert(connect(port, ctx))
        sock:sendall "hello\n"
        assert.equal("olleh\n", sock:recv(100))
        assert.same({ version, turn > 1 }, { sock:version(), sock:session_reused() })
      end
    end))
  end

  it("agrees on a protocol with our client, and wants its certificate", run(function()
    local port, _ <close> = s_server { "-alpn", "x,y", "-Verify", "3", "-CAfile", made.ca.ca,
      "-verify_return_error" }
    local ctx = tls.client_context(made, { certfile = made.client.cert, keyfile = made.client.key })
    local sock <close> = assert(connect(port, ctx, { alpn = { "y" } }))
    sock:sendall "hello\n"
    assert.equal("olleh\n", sock:recv(100))
    assert.equal("y", sock:selected_alpn_protocol())
    sock:close() -- it serves one after the other
    local nobody <close> = assert(connect(port))
    local data, err = nobody:recv(10)
    assert.is_nil(data)
    assert.matches("CERTIFICATE_REQUIRED", err.reason)
  end))

  it("with a weak key is refused", run(function()
    local weak = made.ca:issue("weak", { key = 1024 })
    local port, _ <close> = s_server({ "-cipher", "DEFAULT@SECLEVEL=0" }, weak)
    local sock, err = connect(port)
    tls.is_unverified(66, "EE certificate key too weak", sock, err)
  end))

  it("of an older version is refused", run(function()
    local port, _ <close> = s_server { "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0" }
    local sock, err = connect(port)
    assert.is_nil(sock)
    assert.is_true(curio.is(err, curio.SSLError), tostring(err))
    assert.matches("PROTOCOL", err.reason)
  end))
end)

describe("Python's server", function()
  it("speaks with our client, resumes its sessions, and ends TLS with it", run(function()
    local port, _ <close>, process = start("^(%d+)$", PYTHON, "-c", PYTHON_SERVER, made.server.cert,
      made.server.key, made.ca.ca, "3")
    local ctx = tls.client_context(made,
      { certfile = made.client.cert, keyfile = made.client.key, alpn = { "one", "two" } })
    for turn = 1, 3 do
      local sock <close> = assert(connect(port, ctx))
      local big = ("0123456789"):rep(10000)
      local writing = curio.spawn(sock.sendall, sock, big)
      local got = ""
      while #got < #big do
        got = got .. assert(sock:recv(100000))
      end
      assert.is_true(writing:join())
      assert.is_true(big == got)
      assert.equal("two", sock:selected_alpn_protocol())
      assert.equal(turn > 1, sock:session_reused())
      local plain = assert(sock:unwrap())
      plain:close()
    end
    process:wait()
    assert.equal(0, process.returncode)
  end))
end)
