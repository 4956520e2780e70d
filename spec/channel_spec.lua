-- Channels: messages, values, authentication, and peers that are silent, slow or wrong.

local channel = require "curio.channel"
local core = require "curio.core"
local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "curio.socket"

local task_it = helper.task_it(it)

local LOOPBACK = { "127.0.0.1", 0 }
local KEY = "a key"

-- Two connections with each other, over a socket pair.
local function pair(opts)
  local a, b = sockets.socketpair()
  a, b = a:as_stream(), b:as_stream()
  return channel.Connection(a, a, opts), channel.Connection(b, b, opts), a, b
end

-- A bound channel, and fn(connect options) -> a connection to it.
local function bound()
  local ch = channel.Channel(LOOPBACK)
  assert(ch:bind())
  return ch, function(opts)
    return channel.Channel(ch.address):connect(opts)
  end
end

describe("a connection", function()
  task_it("sends bytes as messages", function()
    local a <close>, b = pair()
    local _ <close> = b
    for _, text in ipairs { "", "x", ("long"):rep(50000), "\0\255" } do
      local sender = curio.spawn(a.send_bytes, a, text)
      assert.equal(text, b:recv_bytes())
      assert.equal(#text, sender:join())
    end
    assert.equal(2, a:send_bytes("abcdef", 3, 4))
    assert.equal("cd", b:recv_bytes())
    assert.equal(3, a:send_bytes("abcdef", -3))
    assert.equal("def", b:recv_bytes())
  end)

  task_it("sends values", function()
    local a <close>, b = pair()
    local _ <close> = b
    local value = { 1, 2.5, "three", true, { x = { y = {} } }, ["key"] = "value", [7] = -1 }
    for _, v in ipairs { value, 1 << 62, -1, 1.5, "text", "\255\0", true, false, {} } do
      assert(a:send(v))
      assert.same(v, (b:recv()))
    end
    assert(a:send(nil))
    assert.same({ nil, nil, true, n = 3 }, table.pack(b:recv()))
  end)

  task_it("refuses to send what MessagePack has not", function()
    local a <close>, b = pair()
    local _ <close> = b
    assert.error_matches(function()
      a:send { f = print }
    end, "value.f")
    local loop = {}
    loop.loop = loop
    assert.has_error(function()
      a:send(loop)
    end)
    assert(a:send "still fit")
    assert.equal("still fit", b:recv())
  end)

  task_it("ends where the peer does", function()
    local a, b = pair()
    a:send_bytes "last"
    a:close()
    assert.equal("last", b:recv_bytes())
    assert.same({ nil, nil, n = 2 }, table.pack(b:recv_bytes()))
    assert.same({ nil, nil, n = 2 }, table.pack(b:recv()))
    b:close()
  end)

  task_it("tells a message that was cut short", function()
    for _, bytes in ipairs { "\0", "\0\0\0", "\0\0\0\5", "\0\0\0\5abc", "\255\255\255\255\0\0" } do
      local _, b, raw = pair()
      raw:write(bytes)
      raw:close()
      local data, err = b:recv_bytes()
      assert.is_nil(data)
      assert.is_true(curio.is(err, curio.OSError, curio.CurioError), ("%q"):format(bytes))
      assert.equal(err, select(2, b:recv_bytes()))
      b:close()
    end
  end)

  task_it("refuses a message that is too long before it is read", function()
    for _, header in ipairs {
      "\0\0\4\1", "\127\255\255\255", "\255\255\255\255" .. ("\255"):rep(8),
    } do
      local _, b, raw = pair { max_message = 1024 }
      raw:write(header)
      local data, err = b:recv_bytes()
      assert.is_nil(data)
      assert.equal("EMSGSIZE", err.code)
      assert.equal(err, select(2, b:recv_bytes()))
      raw:close()
      b:close()
    end
    local a, b = pair()
    a:send_bytes "12345"
    assert.equal("EMSGSIZE", select(2, b:recv_bytes(4)).code)
    a:close()
    b:close()
  end)

  task_it("refuses a negative length and what is no MessagePack", function()
    local _, b, raw = pair()
    raw:write "\128\0\0\0"
    assert.equal("EBADMSG", select(2, b:recv_bytes()).code)
    raw:close()
    b:close()
    local a, c = pair()
    for _, bytes in ipairs { "", "\xc1", "\x93\1", "\1\1", "\xdd\255\255\255\255" } do
      a:send_bytes(bytes)
      assert.equal("EBADMSG", select(2, c:recv()).code)
    end
    a:send "good"
    assert.equal("good", c:recv())
    a:close()
    c:close()
  end)

  task_it("loses nothing when a receive is cancelled", function()
    local _, b, raw = pair()
    local bytes = "\0\0\0\5hello"
    for i = 1, #bytes do
      raw:write(bytes:sub(i, i))
      if i < #bytes then
        assert.equal("late", curio.ignore_after { 0.001, b.recv_bytes, b, timeout_result = "late" })
      end
    end
    assert.equal("hello", b:recv_bytes())
    raw:write "\255\255\255\255\0\0"
    assert.equal("late", curio.ignore_after { 0.001, b.recv_bytes, b, timeout_result = "late" })
    raw:write "\0\0\0\0\0\2ok"
    assert.equal("ok", b:recv_bytes())
    raw:close()
    b:close()
  end)

  task_it("cannot go on after a message that was sent in part", function()
    local a, b = pair()
    local task = helper.spawn(a.send_bytes, a, ("x"):rep(10000000))
    task:cancel()
    local ok, err = a:send_bytes "next"
    assert.is_nil(ok)
    assert.is_true(curio.is(err, curio.ClosedError))
    a:close()
    b:close()
  end)

  task_it("keeps the messages of several tasks whole", function()
    local a, b = pair()
    local g <close> = curio.TaskGroup {}
    for i = 1, 10 do
      g:spawn(function()
        for _ = 1, 5 do
          a:send_bytes(tostring(i - 1):rep(100000))
        end
      end)
    end
    local seen = {}
    for _ = 1, 50 do
      local data = b:recv_bytes()
      local digit = data:sub(1, 1)
      assert.equal(digit:rep(100000), data)
      seen[digit] = (seen[digit] or 0) + 1
    end
    for i = 0, 9 do
      assert.equal(5, seen[tostring(i)])
    end
    g:join()
    a:close()
    b:close()
  end)

  task_it("is a cancellation point, wakes when closed, and says that it is closed", function()
    local a, b = pair()
    local waiter = helper.spawn(function()
      return a:recv_bytes()
    end)
    a:close()
    local data, err = waiter:join()
    assert.is_nil(data)
    assert.is_true(curio.is(err, curio.ClosedError))
    assert.is_true(curio.is(select(2, a:recv_bytes()), curio.ClosedError))
    assert.is_true(curio.is(select(2, a:send(1)), curio.ClosedError))
    assert.is_true(a:close())
    helper.can_be_interrupted("READ_WAIT", b.recv_bytes, channel.Connection(
      sockets.socketpair():as_stream(), nil))
    b:close()
  end)

  task_it("checks its arguments", function()
    local a, b = pair()
    assert.error_matches(function()
      a:send_bytes(5)
    end, "a string is expected, got number")
    assert.error_matches(function()
      a:recv_bytes(-1)
    end, "max must be a number of bytes, got %-1")
    assert.error_matches(function()
      a:authenticate_client()
    end, "the key must be a string, got nil")
    assert.error_matches(function()
      pair { max = 5 }
    end, "unknown option 'max'")
    a:close()
    b:close()
  end)
end)

-- The two results of the authentication, by a server and a client with these keys.
local function authenticate(server_key, client_key, server_opts, client_opts)
  local a, b = pair()
  local client = curio.spawn(function()
    local ok, err = b:authenticate_client(client_key, client_opts)
    if not ok then
      b:close()
    end
    return ok, err
  end)
  local ok, err = a:authenticate_server(server_key, server_opts)
  a:close()
  local client_ok, client_err = client:join()
  b:close()
  return ok, err, client_ok, client_err
end

describe("authentication", function()
  task_it("succeeds with the same key", function()
    local ok, err, client_ok, client_err = authenticate(KEY, KEY)
    assert.same({ true, true }, { ok, client_ok })
    assert.is_nil(err or client_err)
  end)

  task_it("fails on both sides with different keys", function()
    for _, keys in ipairs { { "a", "b" }, { "", "b" }, { KEY, KEY .. "x" } } do
      local ok, err, client_ok, client_err = authenticate(keys[1], keys[2])
      assert.is_nil(ok)
      assert.is_nil(client_ok)
      assert.is_true(curio.is(err, curio.AuthenticationError))
      assert.is_true(curio.is(client_err, curio.AuthenticationError))
    end
  end)

  -- What a server says to a peer that answers its challenge by this function.
  local function against(answer, opts)
    local a, b = pair()
    local peer = curio.spawn(function()
      local challenge = b:recv_bytes()
      b:send_bytes(answer(challenge:sub(#"#CHALLENGE#" + 1)))
      local verdict = b:recv_bytes()
      b:close()
      return verdict
    end)
    local ok, err = a:authenticate_server(KEY, opts)
    a:close()
    return ok, err, peer:join()
  end

  task_it("accepts the digests that Python has", function()
    for name, known in pairs {
      sha256 = "SHA256", sha384 = "SHA384", sha3_256 = "SHA3-256", sha3_384 = "SHA3-384",
    } do
      local _, err, verdict = against(function(challenge)
        return ("{%s}%s"):format(name, core.channel.hmac(known, KEY, challenge))
      end)
      assert.equal("#WELCOME#", verdict)
      assert.matches("no challenge came", tostring(err)) -- from a peer that leaves then
    end
  end)

  task_it("accepts MD5 only where that is allowed", function()
    local function old(challenge)
      return core.channel.hmac("MD5", KEY, challenge)
    end
    local function named(challenge)
      return "{md5}" .. old(challenge)
    end
    for _, answer in ipairs { old, named } do
      local _, err, verdict = against(answer)
      assert.equal("#FAILURE#", verdict)
      assert.matches("MD5 only", tostring(err))
      _, err, verdict = against(answer, { allow_md5 = true })
      assert.equal("#WELCOME#", verdict)
      assert.matches("no challenge came", tostring(err))
    end
  end)

  task_it("refuses answers that make no sense", function()
    for _, text in ipairs {
      "", "x", "{sha256}", "{sha256}short", "{none}" .. ("x"):rep(32), ("x"):rep(16),
      ("x"):rep(200), "{sha256" .. ("x"):rep(40),
    } do
      local ok, err, verdict = against(function()
        return text
      end)
      assert.is_nil(ok)
      assert.is_true(curio.is(err, curio.AuthenticationError))
      assert.equal("#FAILURE#", verdict)
    end
  end)

  task_it("refuses a message that is longer than any can be", function()
    local a, _, _, raw = pair()
    raw:write "\0\0\4\0"
    local ok, err = a:authenticate_server(KEY)
    assert.is_nil(ok)
    assert.matches("EMSGSIZE", tostring(err))
    raw:close()
    a:close()
  end)

  task_it("does not answer its own challenge", function()
    local a, b = pair()
    local mirror = curio.spawn(function()
      local challenge = b:recv_bytes()
      b:send_bytes "{sha256}guess"
      b:recv_bytes()
      b:send_bytes(challenge)
      b:close()
    end)
    assert.is_nil((a:authenticate_server(KEY)))
    mirror:join()
    a:close()
    local c, d = pair()
    local reflected = curio.spawn(function()
      d:send_bytes("#CHALLENGE#{sha256}" .. ("r"):rep(40))
      d:recv_bytes()
      d:send_bytes "#WELCOME#"
      local challenge = d:recv_bytes()
      d:send_bytes(challenge:sub(#"#CHALLENGE#" + 1))
      local verdict = d:recv_bytes()
      d:close()
      return verdict
    end)
    assert.is_nil((c:authenticate_client(KEY)))
    assert.equal("#FAILURE#", reflected:join())
    c:close()
  end)
end)

describe("a channel", function()
  task_it("connects programs, with and without a key", function()
    for _, opts in ipairs { {}, { authkey = KEY } } do
      local ch <close>, connect = bound()
      local client = curio.spawn(function()
        local c <close> = assert(connect(opts))
        assert(c:send { hello = "world" })
        return c:recv()
      end)
      local c <close> = assert(ch:accept(opts))
      assert.same({ hello = "world" }, (c:recv()))
      assert(c:send "answer")
      assert.equal("answer", client:join())
    end
  end)

  task_it("goes over Unix sockets", function()
    local path = os.tmpname()
    os.remove(path)
    local ch <close> = channel.Channel(path)
    assert(ch:bind())
    local client = curio.spawn(function()
      local c <close> = assert(channel.Channel(path):connect { authkey = KEY })
      return c:recv()
    end)
    local c <close> = assert(ch:accept { authkey = KEY })
    c:send(42)
    assert.equal(42, client:join())
    ch:close()
    assert.is_nil(io.open(path))
    local again <close> = channel.Channel(path)
    assert(again:bind())
  end)

  task_it("tells the port it has got, and binds when it first accepts", function()
    local ch <close> = channel.Channel(LOOPBACK)
    assert.equal(LOOPBACK, ch.address)
    local waiter = helper.spawn(ch.accept, ch)
    assert.is_true(ch.address.port > 0)
    assert.equal("Channel(127.0.0.1:" .. ch.address.port .. ")", tostring(ch))
    waiter:cancel()
  end)

  task_it("refuses a wrong key on both sides, and serves the next", function()
    local ch <close>, connect = bound()
    local wrong = curio.spawn(connect, { authkey = "wrong" })
    local c, err = ch:accept { authkey = KEY }
    assert.is_nil(c)
    assert.is_true(curio.is(err, curio.AuthenticationError))
    c, err = wrong:join()
    assert.is_nil(c)
    assert.is_true(curio.is(err, curio.AuthenticationError))
    local right = curio.spawn(connect, { authkey = KEY })
    assert(ch:accept { authkey = KEY }):close()
    assert(right:join()):close()
  end)

  task_it("is not held up by silent and slow peers", function()
    local ch <close>, connect = bound()
    local silent = {}
    for i = 1, 20 do
      silent[i] = assert(curio.open_connection(ch.address.host, ch.address.port))
    end
    local slow = curio.spawn { function()
      while true do
        silent[1]:sendall "\0"
        curio.sleep(0.001)
      end
    end, daemon = true }
    local client = curio.spawn(connect, { authkey = KEY })
    local c <close> = assert(ch:accept { authkey = KEY })
    local d <close> = assert(client:join())
    c:send "served"
    assert.equal("served", d:recv())
    slow:cancel()
    for _, sock in ipairs(silent) do
      sock:close()
    end
  end)

  task_it("serves others while more peers than there are places stay silent", function()
    local ch <close>, connect = bound()
    local acceptor = curio.spawn(ch.accept, ch, { authkey = KEY })
    local silent = {}
    for i = 1, 300 do
      silent[i] = assert(curio.open_connection(ch.address.host, ch.address.port))
    end
    local d <close> = assert(connect { authkey = KEY })
    local c <close> = assert(acceptor:join())
    c:send "served"
    assert.equal("served", d:recv())
    for _, sock in ipairs(silent) do
      sock:close()
    end
  end)

  task_it("gives up a peer that does not authenticate itself in time", function()
    local ch <close> = bound()
    local sock <close> = assert(curio.open_connection(ch.address.host, ch.address.port))
    local c, err = ch:accept { authkey = KEY, timeout = 0.01 }
    assert.is_nil(c)
    assert.matches("not authenticated itself within 0.01 s", tostring(err))
    while sock:recv() do -- the challenge, then the end
    end
    local server <close> = assert(curio.tcp_server_socket("127.0.0.1", 0))
    c, err = channel.Channel(server:getsockname()):connect { authkey = KEY, timeout = 0.01 }
    assert.is_nil(c)
    assert.is_true(curio.is(err, curio.AuthenticationError))
  end)

  task_it("keeps who comes while nobody accepts", function()
    local ch <close>, connect = bound()
    local first = curio.spawn(connect, { authkey = KEY })
    assert(ch:accept { authkey = KEY }):close()
    assert(first:join()):close()
    local second <close> = assert(connect { authkey = KEY })
    second:send "waited"
    local c <close> = assert(ch:accept { authkey = KEY })
    assert.equal("waited", c:recv())
  end)

  task_it("asks who came before there was a key for it", function()
    local ch <close>, connect = bound()
    assert(connect()):close()
    assert(ch:accept()):close()
    local second = curio.spawn(connect, { authkey = KEY })
    local intruder <close> = assert(connect())
    intruder:send "let me in"
    curio.sleep(0.01)
    local admitted, refused
    for _ = 1, 2 do
      local c, err = ch:accept { authkey = KEY }
      admitted, refused = admitted or c, refused or err
    end
    assert.is_true(curio.is(refused, curio.AuthenticationError))
    local d <close> = assert(second:join())
    local c <close> = admitted
    c:send "you it is"
    assert.equal("you it is", d:recv())
    -- and one that has proved another key does not count
    local third <close> = assert(connect { authkey = KEY })
    curio.sleep(0.01)
    local fourth = curio.spawn(connect, { authkey = "new" })
    local e <close> = assert(ch:accept { authkey = "new" })
    local f <close> = assert(fourth:join())
    f:send "new"
    assert.equal("new", e:recv())
    assert.is_nil(third:recv())
  end)

  task_it("wakes who waits when it is closed", function()
    local ch = bound()
    local waiter = helper.spawn(ch.accept, ch)
    ch:close()
    local c, err = waiter:join()
    assert.is_nil(c)
    assert.is_true(curio.is(err, curio.ClosedError))
    assert.is_true(curio.is(select(2, ch:accept()), curio.ClosedError))
    assert.is_true(ch:close())
  end)

  task_it("tells once why nobody can come any more, and is closed", function()
    local ch <close> = bound()
    local listener <close> = ch._sock
    ch._sock = { close = function() end, clients = function()
      error(curio.CurioError "no more")
    end }
    curio.timeout_after(helper.PATIENCE, function()
      assert.matches("no more", tostring(select(2, ch:accept())))
      assert.is_true(curio.is(select(2, ch:accept()), curio.ClosedError))
    end)
    assert.is_number(listener:fileno())
  end)

  task_it("can be interrupted while it waits", function()
    local ch <close> = bound()
    helper.can_be_interrupted("QUEUE_GET", ch.accept, ch)
  end)

  task_it("tells what connecting and binding failed with", function()
    local taken <close> = assert(curio.tcp_server_socket("127.0.0.1", 0))
    local addr = taken:getsockname()
    assert.equal("EADDRINUSE", select(2, channel.Channel(addr):bind()).code)
    assert.equal("ENOENT", select(2, channel.Channel("/nonexistent/x"):connect()).code)
    local free = { addr.host, addr.port }
    taken:close()
    assert.equal("ECONNREFUSED", select(2, channel.Channel(free):connect()).code)
    assert.error_matches(function()
      channel.Channel(5)
    end, "an address is {host, port} or a path, got number")
    for _, address in ipairs { "", { "127.0.0.1" }, { 1, 2 }, { "127.0.0.1", 65536 } } do
      assert.error_matches(function()
        channel.Channel(address)
      end, "^Channel: ")
    end
    assert.error_matches(function()
      channel.Channel(LOOPBACK):accept { key = 1 }
    end, "unknown option 'key'")
    assert.error_matches(function()
      channel.Channel(LOOPBACK):connect { timeout = 0 }
    end, "'timeout' must be a positive number")
  end)
end)
