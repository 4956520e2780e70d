-- The examples about TLS, each as a process of its own.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"
local tls = require "spec.tls"

local run = sockets.run
local made = tls.certificates()
local interpreter = helper.interpreter

teardown(made.remove)

local function example(name, ...)
  return "timeout", tostring(helper.PATIENCE), interpreter(), ("examples/%s.lua"):format(name), ...
end

-- An example that serves, its port, and what ends it.
local function start(...)
  local process = assert(subprocess.Popen {
    stdout = subprocess.PIPE, stderr = subprocess.STDOUT, example(...)
  })
  local line = assert(process.stdout:read "l")
  return assert(line:match "Server listening at %S+:(%d+)$", line), helper.closing(function()
    process:terminate()
    process:wait()
  end), process
end

local function output_of(env, ...)
  local variables = { PATH = os.getenv "PATH", LUA_PATH = package.path, LUA_CPATH = package.cpath }
  for name, value in pairs(env) do
    variables[name] = value
  end
  local done = assert(subprocess.run {
    stdout = subprocess.PIPE, stderr = subprocess.STDOUT, env = variables, example(...)
  })
  return done.stdout, done.returncode
end

describe("The example", function()
  it("ssl_echo.lua echoes what ssl_echo_client.lua sends", run(function()
    local port, _ <close> = start("ssl_echo", made.server.cert, made.server.key, "0")
    local text, status = output_of({}, "ssl_echo_client", made.ca.ca, "localhost", port)
    assert.equal(0, status, text)
    assert.matches("^Connected to server by TLSv1.3; it is valid until %a+ +%d+ ", text)
    assert.matches("echo: line 1\necho: line 2\n.*echo: line 5\n$", text)
  end))

  it("https_server.lua answers https_request.lua, and reads its certificate anew",
    run(function()
      local cert = made.ca:write("live.pem", helper.read(made.server.cert))
      local key = made.ca:write("live.key", helper.read(made.server.key))
      local port, _ <close>, process = start("https_server", cert, key, "0")
      local text, status = output_of({}, "https_request", "localhost", "/page", port, made.ca.ca)
      assert.equal(0, status, text)
      assert.matches("^HTTP/1.1 200 OK\nYou are %S+ and asked for /page by TLSv1.3 with TLS_", text)
      local fresh = made.ca:issue "fresh"
      made.ca:write("live.pem", helper.read(fresh.cert))
      made.ca:write("live.key", helper.read(fresh.key))
      process:send_signal(require("curio.signal").SIGHUP)
      assert.equal("Certificate read:\ttrue", process.stdout:read "l")
      local pem = assert(tls.ssl.get_server_certificate("localhost", tonumber(port)))
      assert.equal(helper.read(fresh.cert), pem)
    end))

  it("starttls.lua goes on by TLS", run(function()
    local ctx = tls.server_context(made)
    local listener, addr, _ <close> = sockets.listener()
    local server = curio.spawn(curio.run_server, listener, function(client)
      client:sendall "220 mail ready\r\n"
      client:recv(100)
      client:sendall "250-mail\r\n250 STARTTLS\r\n"
      client:recv(100)
      client:sendall "220 go on\r\n"
      local sock <close> = assert(ctx:wrap_socket(client))
      sock:recv(100)
      sock:sendall "250 secret mail\r\n"
      sock:recv(100)
      sock:sendall "221 bye\r\n"
    end)
    local text, status = output_of({}, "starttls", "localhost", tostring(addr.port), made.ca.ca)
    assert.equal(0, status, text)
    assert.equal("In the clear: 220 mail ready\nBy TLSv1.3: 250 secret mail\n", text)
    server:cancel()
  end))

  it("certcheck.lua lists the days that are left", run(function()
    local _, _ <close> = helper.logging()
    local ports, servers = {}, {}
    local old = made.ca:issue("old", { from = "200101000000Z", to = "210101000000Z" })
    for i, cert in ipairs { made.server, old } do
      local listener, addr = sockets.listener()
      ports[i] = addr.port
      servers[i] = curio.spawn(curio.run_server, listener, function(client)
        client:recv(1)
      end, { ssl = tls.server_context(made, { certfile = cert.cert, keyfile = cert.key }) })
    end
    local text, status = output_of({ CAFILE = made.ca.ca }, "certcheck",
      "localhost:" .. ports[1], "localhost:" .. ports[2], "127.0.0.1:1")
    assert.equal(0, status, text)
    assert.matches(("localhost:%d +%%d+ days\n"):format(ports[1]), text)
    assert.matches(("localhost:%d +FAILED: certificate has expired\n"):format(ports[2]), text)
    assert.matches("127.0.0.1:1 +FAILED: ECONNREFUSED\n", text)
    for _, server in ipairs(servers) do
      server:cancel()
    end
  end))

  it("is short", function()
    for _, name in ipairs {
      "ssl_echo", "ssl_echo_client", "https_request", "https_server", "starttls", "certcheck",
    } do
      local _, lines = helper.read("examples/" .. name .. ".lua"):gsub("\n", "")
      assert.is_true(lines <= 60, name)
    end
  end)
end)
