-- LuaSec's connections in tasks, and its https as it is, against nginx and against itself.

local curio = require "curio"
local example = require "spec.example"
local helper = require "spec.helper"
local servers = require "spec.servers"
local sockets = require "spec.sockets"
local testing = require "curio.testing"
local tls = require "spec.tls"
local luasec = require "curio.interop.luasec"
local luasocket = require "curio.interop.luasocket"

local run = sockets.run
local made, before

setup(function()
  made, before = tls.certificates(), {}
  for _, name in ipairs { "socket", "socket.core", "ssl", "ssl.https", "socket.http" } do
    before[name] = package.loaded[name] or false
  end
  luasec.install()
end)

teardown(function()
  made.remove()
  for name, module in pairs(before) do
    package.loaded[name] = module or nil
  end
end)

local function server_params(more)
  local params = {
    mode = "server", protocol = "any", certificate = made.server.cert, key = made.server.key,
  }
  for key, value in pairs(more or {}) do
    params[key] = value
  end
  return params
end

local function client_params(more)
  local params = { mode = "client", protocol = "any", verify = "peer", cafile = made.ca.ca }
  for key, value in pairs(more or {}) do
    params[key] = value
  end
  return params
end

-- Two connections before their handshake, client and server, and what closes them.
local function wrapped(client, server)
  local listener <close> = assert(luasocket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  local a = assert(luasocket.connect("127.0.0.1", port))
  local b = assert(listener:accept())
  a = assert(luasec.wrap(a, client_params(client)))
  b = assert(luasec.wrap(b, server_params(server)))
  return a, b, sockets.closer(a, b)
end

-- The same, connected.
local function pair(client, server)
  local a, b, closer = wrapped(client, server)
  local shaking = curio.spawn(b.dohandshake, b)
  assert(a:dohandshake())
  assert(shaking:join())
  return a, b, closer
end

-- Sends until there is no room; what would have been next.
local function fill(conn)
  conn:settimeout(0.02)
  local done, err, last
  repeat
    done, err, last = conn:send(sockets.BIG)
  until not done
  assert.equal("wantwrite", err)
  conn:settimeout(nil)
  return sockets.BIG:sub(last + 1)
end

describe("a connection", function()
  it("carries lines, numbers of bytes and all the rest both ways", run(function()
    local a, b, _ <close> = pair()
    assert.matches("^SSL connection: 0x%x+$", tostring(a))
    local text = ("0123456789"):rep(300000)
    local sender = curio.spawn(function()
      assert.equal(6, (b:send "first\n"))
      assert.equal(10, (b:send("a second\r\nxyz", 1, 10)))
      assert.equal(#text + 1, (b:send("-" .. text, 2)))
      assert.equal(1, (b:send "\n"))
      b:close()
    end)
    assert.equal("first", a:receive())
    assert.equal("> a second", a:receive("*l", "> "))
    assert.equal(text:sub(1, 5), a:receive(5))
    assert.is_true(a:dirty())
    local rest, err = a:receive "*a"
    assert.is_nil(err)
    assert.is_true(rest == text:sub(6) .. "\n")
    assert.same({ nil, "closed", "" }, { a:receive() })
    sender:join()
    assert.equal(6 + 10 + #text + 1, (a:getstats()))
  end))

  it("tells what LuaSec knows of it", run(function()
    local a, b, _ <close> = wrapped({ alpn = { "h2", "http/1.1" } }, { alpn = { "http/1.1" } })
    assert.same({ nil, "closed" }, { a:getpeercertificate() })
    a:sni "localhost"
    local shaking = curio.spawn(b.dohandshake, b)
    assert.is_true(a:dohandshake())
    shaking:join()
    assert.equal("TLSv1.3", a:info "protocol")
    assert.equal("http/1.1", a:getalpn())
    assert.equal("localhost", b:getsniname())
    assert.is_true(a:getpeerverification())
    assert.equal("server", a:getpeercertificate():subject()[1].value)
    assert.equal(a:getfinished(), b:getpeerfinished())
    assert.equal(a:exportkeyingmaterial("EXPERIMENTAL x", 32),
      b:exportkeyingmaterial("EXPERIMENTAL x", 32))
    assert.equal("nothing", a:want())
    assert.is_true(a:getfd() >= 0)
  end))

  it("is refused with LuaSec's words", run(function()
    local a, b, _ <close> = wrapped { cafile = made.other.ca }
    local shaking = curio.spawn(b.dohandshake, b)
    assert.same({ false, "certificate verify failed" }, { a:dohandshake() })
    assert.same({ false, "certificate verify failed" }, { a:dohandshake() })
    a:close()
    assert.same({ false, "tlsv1 alert unknown ca" }, { shaking:join() })
    assert.same({ nil, "closed", "" }, { a:receive() })
    local sock = assert(luasocket.tcp())
    assert.same({ nil, "invalid protocol (tlsv9)" }, { luasec.wrap(sock, { protocol = "tlsv9" }) })
    local _, err = luasec.newcontext(client_params { cafile = "/no/such/file" })
    assert.matches("^error loading CA locations", err)
    sock:close()
  end))

  it("says that the other side went without a word", run(function()
    local a, b, _ <close> = pair()
    b:send "part"
    local fd = b:getfd()
    local plain = assert(require("curio.socket").fromfd(fd))
    plain:shutdown "rdwr"
    plain:detach()
    assert.same({ nil, "unexpected eof while reading", "part" }, { a:receive "*l" })
    assert.same({ nil, "unexpected eof while reading", "" }, { a:receive(1) })
    assert.same({ nil, "unexpected eof while reading", 0 }, { a:send "x" })
    assert.same({ nil, "unexpected eof while reading", 0 }, { a:send "y" }) -- LuaSec's hung
  end))

  it("of contexts made beforehand, chosen by the name that is asked for", run(function()
    local other = made.ca:issue("other", { names = "DNS:other.example", subject = "other" })
    local contexts = {
      ["other.example"] = assert(luasec.newcontext(server_params {
        certificate = other.cert, key = other.key,
      })),
    }
    for name, subject in pairs { ["other.example"] = "other", ["localhost"] = "server" } do
      local a, b, _ <close> = wrapped()
      b:sni(contexts)
      a:sni(name)
      local shaking = curio.spawn(b.dohandshake, b)
      assert.is_true(a:dohandshake())
      assert.is_true(shaking:join())
      assert.equal(subject, a:getpeercertificate():subject()[1].value)
    end
  end))
end)

describe("a limit", function()
  it("is told as what is waited for, with what has come", run(function()
    local a, b, _ <close> = wrapped()
    a:settimeout(0.01)
    assert.same({ false, "wantread" }, { a:dohandshake() })
    a:settimeout(0)
    assert.same({ false, "wantread" }, { a:dohandshake() })
    local shaking = curio.spawn(b.dohandshake, b)
    a:settimeout(nil)
    assert.is_true(a:dohandshake())
    shaking:join()
    b:send "some"
    assert.equal("s", a:receive(1))
    a:settimeout(0.01)
    assert.same({ nil, "wantread", "ome" }, { a:receive(10) })
    a:settimeout(0.01, "t")
    assert.same({ nil, "wantread", "" }, { a:receive "*a" })
    a:settimeout(0)
    assert.same({ nil, "wantread", "" }, { a:receive "*l" })
  end))

  it("bounds sending, which can go on from the last byte that was sent", run(function()
    local a, b, _ <close> = pair()
    a:settimeout(0.01)
    local text = sockets.BIG:rep(4)
    local done, err, last = a:send(text)
    assert.same({ nil, "wantwrite" }, { done, err })
    a:settimeout(0)
    repeat
      done, err, last = a:send(text, last + 1)
    until err
    assert.same({ nil, "wantwrite" }, { done, err })
    a:settimeout(nil)
    local sender = curio.spawn(a.send, a, text, last + 1)
    assert.is_true(b:receive(#text) == text)
    assert.equal(#text, (sender:join()))
  end))

  it("of no time lets others run", run(function()
    local a, b, _ <close> = pair()
    a:settimeout(0)
    local turns = 0
    local task = curio.spawn(function()
      curio.sleep(0.01)
      b:send "now\n"
    end)
    local line
    while not line do
      line, turns = a:receive(), turns + 1
    end
    assert.equal("now", line)
    assert.is_true(turns > 1)
    task:join()
  end))
end)

describe("a task that waits", function()
  it("to receive is ended by time, by cancellation, and by closing", run(function()
    local a, b, _ <close> = pair()
    helper.can_be_interrupted("READ_WAIT", a.receive, a, 10)
    helper.is_cancellation_point(a.receive, a, 10)
    b:send "half"
    local task = helper.spawn(a.receive, a, 8)
    task:cancel()
    b:send "rest"
    assert.equal("halfrest", a:receive(8)) -- a cancelled receive loses nothing
    task = helper.spawn(a.receive, a, 10)
    a:close()
    assert.same({ nil, "closed", "" }, { task:join() })
  end))

  it("to send is ended by time, by cancellation, and by closing", run(function()
    local a, _, _ <close> = pair()
    local rest = fill(a)
    helper.can_be_interrupted("WRITE_WAIT", a.send, a, rest)
    helper.is_cancellation_point(a.send, a, rest)
    local task = helper.spawn(a.send, a, rest)
    helper.raises(curio.WriteResourceBusy, a.send, a, "y")
    local closing = curio.spawn(a.close, a) -- has to wait for room itself
    local sent, err, last = task:join()
    assert.same({ nil, "closed", "integer" }, { sent, err, math.type(last) })
    closing:cancel()
    assert.equal(-1, a:getfd())
  end))

  it("for a handshake is ended by time, by cancellation, and by closing", run(function()
    local a, _, _ <close> = wrapped()
    helper.can_be_interrupted("READ_WAIT", a.dohandshake, a)
    helper.is_cancellation_point(a.dohandshake, a)
    local task = helper.spawn(a.dohandshake, a)
    a:close()
    assert.same({ false, "closed" }, { task:join() })
    a:close()
    assert.matches("%(closed%)$", tostring(a))
  end))

  it("cannot where Lua cannot yield, and closes all the same", run(function()
    local a, _, _ <close> = pair()
    assert.error_matches(function()
      table.sort({ 1, 2 }, function()
        return a:receive()
      end)
    end, "luasec:receive: cannot block here")
    table.sort({ 1, 2 }, function()
      a:close()
    end)
    assert.equal(-1, a:getfd())
  end))
end)

it("one direction does not wait for the other", run(function()
  local a, b, _ <close> = pair()
  local reader = helper.spawn(a.receive, a)
  local echo = curio.spawn(function()
    b:send(b:receive() .. "\n")
  end)
  assert.equal(6, (a:send "hello\n"))
  assert.equal("hello", (reader:join()))
  echo:join()
end))

it("a hundred thousand bytes come through many connections at once, and no descriptor stays",
  run(function()
    local lowest = helper.lowest_fd()
    do
      local group <close> = curio.TaskGroup()
      for i = 1, 10 do
        group:spawn(function()
          local a, b, _ <close> = pair()
          local text = tostring(i):rep(100000)
          local sender = curio.spawn(a.send, a, text)
          assert.is_true(b:receive(#text) == text)
          sender:join()
        end)
      end
      group:join()
    end
    testing.wait_all_blocked()
    assert.equal(lowest, helper.lowest_fd())
  end))

-- The scripts of spec/torture have allocations fail too, of which LuaSec loses some objects of
-- OpenSSL's. Lua's own buffers do not try again after a collection, so little is sent.
it("collections at any time do not disturb a connection", function()
  if not helper.under_program then
    return -- the allocator is the program's
  end
  local script = ([[
    local curio = require "curio"
    local ssl = require "curio.interop.luasec"
    local socket = require "curio.interop.luasocket"
    local server <close> = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    curio.spawn(function()
      local conn <close> = assert(ssl.wrap(assert(server:accept()), {
        mode = "server", protocol = "any", certificate = "%s", key = "%s",
      }))
      assert(conn:dohandshake())
      assert(conn:send("hello\r\n" .. ("x"):rep(200)))
    end)
    local conn <close> = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)), {
      mode = "client", protocol = "any", verify = "peer", cafile = "%s",
    }))
    assert(conn:dohandshake())
    print(conn:receive(), #conn:receive "*a")
  ]]):format(made.server.cert, made.server.key, made.ca.ca)
  for i = 1, helper.fewer(7) do
    assert.equal("hello\t200\nstatus 0\n",
      helper.child(script, ("env CURIO_TORTURE=gc:7+%d"):format(i)))
  end
end)

-- ---- ssl.https, as it is ----

local function https_server(lines)
  return servers.nginx(("ssl on; ssl_certificate %s; ssl_certificate_key %s;\n%s"):format(
    made.server.cert, made.server.key, lines))
end

describe("LuaSec's https", function()
  -- What stands before nginx's TLS: http on the same nginx.
  local function proxied(n)
    local seen, all_here = { now = 0 }, curio.Event()
    local backend, stop = servers.lines(function(read, write)
      local request = read()
      repeat until read() == ""
      seen.now = seen.now + 1
      if seen.now == n then
        all_here:set()
      end
      all_here:wait()
      local body = "you asked for " .. request:match "^GET (%S+)"
      write("HTTP/1.0 200 OK\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
    end)
    return backend, stop, seen
  end

  it("fetches 50 pages through nginx, all at once, and verifies it", run(function()
    local https = require "ssl.https"
    local backend <const>, _ <close>, seen = proxied(50)
    local nginx <close> = https_server(([[
      location / {
        proxy_pass http://127.0.0.1:%d;
        proxy_read_timeout 60s;
      }]]):format(backend))
    local ltn12 = require "ltn12"
    local group <close> = curio.TaskGroup()
    for i = 1, 50 do
      group:spawn(function()
        local parts = {}
        local done, code, headers = https.request {
          url = ("https://127.0.0.1:%d/page/%d"):format(nginx.port, i),
          verify = "peer", cafile = made.ca.ca, protocol = "any",
          sink = ltn12.sink.table(parts),
        }
        assert.same({ 1, 200 }, { done, code })
        assert.matches("nginx", headers.server)
        return table.concat(parts)
      end)
    end
    group:join()
    for i = 1, 50 do
      assert.equal("you asked for /page/" .. i, group.results[i])
    end
    assert.equal(50, seen.now)
  end))

  it("is told of a bad certificate, and of a server that is not there, in words", run(function()
    local https = require "ssl.https"
    local nginx <close> = https_server("")
    local url = ("https://127.0.0.1:%d/"):format(nginx.port)
    local params = { url = url, verify = "peer", cafile = made.other.ca }
    assert.same({ nil, "certificate verify failed" }, { https.request(params) })
    params = { url = url .. "nothing", protocol = "tlsv1_2", options = "all" }
    assert.equal(404, (select(2, https.request(params))))
    assert.same({ nil, "connection refused" }, { https.request "https://127.0.0.1:1/" })
  end))

  it("is cancelled, and closes its connection", run(function()
    local https = require "ssl.https"
    local listener <close> = assert(luasocket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local asked = curio.Event()
    local server = curio.spawn(function()
      local conn <close> = assert(luasec.wrap(assert(listener:accept()), server_params()))
      assert(conn:dohandshake())
      asked:set(conn:receive())
      conn:receive "*a" -- until the other side closes
    end)
    local client = curio.spawn(https.request, ("https://127.0.0.1:%d/"):format(port))
    asked:wait()
    client:cancel()
    assert.is_true(curio.is(client.exception, curio.TaskCancelled))
    server:join()
  end))
end)

it("examples/luasec.lua tells when certificates expire", run(function()
  local dated = made.ca:issue("dated", { from = "200101000000Z", to = "391231235959Z" })
  local lines = "ssl on; ssl_certificate %s; ssl_certificate_key %s;"
  local nginx <close> = servers.nginx(lines:format(dated.cert, dated.key))
  local target = "127.0.0.1:" .. nginx.port
  assert.matches("^127.0.0.1:%d+\tTLSv1.%d, dated, until Dec 31 23:59:59 2039 GMT\n$",
    (example.run("luasec", "-" .. made.ca.ca, target)))
  assert.same({ target .. "\tfailed: certificate verify failed\n", 0 },
    { example.run("luasec", "-" .. made.other.ca, target) })
end))

it("docs/reference.md and types/ leave no name of the bridge out", function()
  local reference = (helper.read "docs/reference.md" .. "\n## "):match "\n## LuaSec\n(.-)\n## "
  local types = helper.read "types/interop/luasec.lua"
  for name in pairs(luasec) do
    assert.matches("`[ssl.]*" .. name, reference)
    assert.matches("ssl%." .. name .. "[ (]", types)
  end
end)
