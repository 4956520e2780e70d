local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local closer = sockets.closer
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local cancelled = sockets.cancelled
local closed = sockets.closed

local function udp(host)
  local sock = assert(socket.socket(host == "::1" and socket.AF_INET6 or nil, socket.SOCK_DGRAM))
  assert(sock:bind(host or "127.0.0.1", 0))
  return sock, assert(sock:getsockname())
end

local function udp_pair()
  local a, at_a = udp()
  local b, at_b = udp()
  return a, b, closer(a, b), at_a, at_b
end

local function unix_dgram(name)
  local sock = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
  if name then
    assert(sock:bind(name))
  end
  return sock
end

-- Fills the queue of the receiver until sending would block.
local function clog(sock, ...)
  local n = 0
  while curio.ignore_after(0.05, sock.sendto, sock, "x", ...) do
    n = n + 1
  end
  return n
end

local unique = 0
local function abstract()
  unique = unique + 1
  return ("\0curio-spec-%s-%d"):format(tostring(unix_dgram), unique)
end

describe("recvfrom", function()
  it("gives a datagram and where it came from", run(function()
    local a, b, _ <close>, at_a, at_b = udp_pair()
    assert.equal(5, b:sendto("hello", at_a))
    local data, from = a:recvfrom()
    assert.equal("hello", data)
    assert.equal(at_b, from)
    assert.equal(5, a:sendto("again", from))
    assert.equal("again", (b:recvfrom(100)))
  end))

  it("keeps datagrams apart, the empty ones too", run(function()
    local a, b, _ <close>, at_a, at_b = udp_pair()
    for _, text in ipairs { "", "one", "", "two" } do
      assert.equal(#text, b:sendto(text, at_a))
    end
    for _, text in ipairs { "", "one", "", "two" } do
      local data, from = a:recvfrom(100)
      assert.equal(text, data)
      assert.equal(at_b, from)
    end
  end))

  it("cuts off what is longer than asked for, as recvfrom(2)", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    b:sendto("0123456789", at_a)
    b:sendto("next", at_a)
    assert.equal("0123", (a:recvfrom(4)))
    assert.equal("next", (a:recvfrom(100)))
  end))

  it("asked for no bytes takes a datagram all the same", run(function()
    local a, b, _ <close>, at_a, at_b = udp_pair()
    b:sendto("dropped", at_a)
    b:sendto("kept", at_a)
    local data, from = a:recvfrom(0)
    assert.equal("", data)
    assert.equal(at_b, from)
    assert.equal("kept", (a:recvfrom()))
  end))

  it("gives a datagram that is larger than the kernel's buffer whole", run(function()
    local a, b = assert(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    local _ <close> = closer(a, b)
    assert(a:setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024))
    local big = ("0123456789abcdef"):rep(20 * 1024)
    local sent, err = a:send(big)
    if not sent then
      assert.equal("EMSGSIZE", err.code) -- the system's limit is lower
      return
    end
    assert.is_true(big == b:recvfrom(1024 * 1024))
    assert.equal(#big, a:send(big))
    assert.is_true(big == b:recv(math.maxinteger))
    assert.equal(#big, a:send(big))
    assert.is_true(big == b:recvmsg(math.maxinteger))
    a:send("small")
    assert.equal("small", b:recv(1024 * 1024))
  end))

  it("can look at a datagram and leave it there", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    b:sendto("peek", at_a)
    assert.equal("peek", (a:recvfrom(100, socket.MSG_PEEK)))
    assert.equal("peek", (a:recvfrom(100)))
    assert.error_matches(function()
      a:recvfrom(100, socket.MSG_TRUNC)
    end, "MSG_TRUNC gives no data")
  end))

  it("is recv on a stream: nil alone at its end", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    b:sendall("data")
    local data, from = a:recvfrom(100)
    assert.equal("data", data)
    assert.is_nil(from)
    assert.equal("", (a:recvfrom(0)))
    b:close()
    assert.same({ n = 1 }, table.pack(a:recvfrom(100)))
  end))

  it("waits for a datagram", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    local task = curio.spawn(a.recvfrom, a)
    until_asleep(task, "READ_WAIT")
    b:sendto("", at_a)
    assert.equal("", task:join())
  end))

  it("times out", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, a.recvfrom, a)
    b:sendto("kept", at_a)
    assert.equal("kept", (a:recvfrom()))
  end))

  it("is cancelled while asleep", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    cancelled("READ_WAIT", a.recvfrom, a)
    b:sendto("kept", at_a)
    assert.equal("kept", (a:recvfrom()))
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = udp_pair()
    closed("READ_WAIT", a, "recvfrom")
  end))

  it("lets one task at a time wait", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    local task = curio.spawn(a.recvfrom, a)
    until_asleep(task, "READ_WAIT")
    raises(curio.ReadResourceBusy, a.recvfrom, a)
    b:sendto("x", at_a)
    task:join()
  end))

  it("raises for arguments that make no sense", run(function()
    local a, _, _ <close> = udp_pair()
    assert.error_matches(function() a:recvfrom(-1) end, "the size must be 0 or more, not %-1")
    assert.error_matches(function() a:recvfrom(1, "x") end, "bad argument #2 to 'recvfrom'")
  end))
end)

describe("sendto", function()
  it("takes an address in each of its forms, with flags or without", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    for _, args in ipairs {
      { at_a }, { at_a.host, at_a.port }, { { at_a.host, at_a.port } }, { 0, at_a },
      { socket.MSG_DONTROUTE, at_a.host, at_a.port }, { 0, { "127.0.0.1", at_a.port } },
    } do
      assert.equal(4, b:sendto("text", table.unpack(args)))
      assert.equal("text", (a:recvfrom()))
    end
  end))

  it("resolves a host's name", run(function()
    local a, b, _ <close>, at_a = udp_pair()
    assert.equal(2, b:sendto("by", "localhost", at_a.port))
    assert.equal("by", (a:recvfrom()))
    local value, err = b:sendto("x", "no-such-host.invalid", 9)
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ResolveError))
  end))

  it("tells EMSGSIZE of a datagram that is too long, and where it should have gone", run(function()
    local _, b, _ <close>, at_a = udp_pair()
    local err = is_os_error("EMSGSIZE", "sendto", b:sendto(("x"):rep(70000), at_a))
    assert.equal(tostring(at_a), err.subject)
  end))

  it("raises for what is no address or no data", run(function()
    local _, b, _ <close> = udp_pair()
    assert.error_matches(function() b:sendto("x") end,
      "bad argument #2 to 'sendto' %(the host must be a string, not nil%)")
    assert.error_matches(function() b:sendto("x", 0) end, "the host must be a string, not nil")
    assert.error_matches(function() b:sendto("x", "127.0.0.1") end, "the port must be 0 to 65535")
    assert.error_matches(function() b:sendto("x", "127.0.0.1", 70000) end, "not 70000")
    assert.error_matches(function() b:sendto({}, "127.0.0.1", 1) end, "string expected, got table")
  end))

  it("waits for a Unix socket's queue, which others have filled", run(function()
    local name = abstract()
    local to <close> = unix_dgram(name)
    local other <close> = unix_dgram()
    local from <close> = unix_dgram()
    local n = clog(other, name)
    assert.is_true(n > 0)
    local task = curio.spawn(from.sendto, from, "last", name)
    until_asleep(task, "WRITE_WAIT")
    for _ = 1, n do
      assert.equal("x", (to:recvfrom()))
    end
    assert.equal(4, task:join())
    assert.equal("last", (to:recvfrom()))
  end))

  it("times out", run(function()
    local name = abstract()
    local to <close> = unix_dgram(name)
    local from <close> = unix_dgram()
    local n = clog(from, name)
    raises(curio.TaskTimeout, curio.timeout_after, 0.03, from.sendto, from, "lost", name)
    for _ = 1, n do
      assert.equal("x", (to:recvfrom()))
    end
    assert.is_nil(curio.ignore_after(0.01, to.recvfrom, to))
  end))

  it("is cancelled while asleep", run(function()
    local name = abstract()
    local _ <close> = unix_dgram(name)
    local from <close> = unix_dgram()
    clog(from, name)
    cancelled("WRITE_WAIT", from.sendto, from, "lost", name)
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local name = abstract()
    local _ <close> = unix_dgram(name)
    local from <close> = unix_dgram()
    clog(from, name)
    closed("WRITE_WAIT", from, "sendto", "lost", name)
  end))

  it("is a cancellation point while it resolves", run(function()
    local _, b, _ <close> = udp_pair()
    local task = curio.spawn(b.sendto, b, "x", "no-such-host.invalid", 9)
    task:cancel()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
  end))
end)

describe("A connected datagram socket", function()
  it("sends to its peer and hears it alone", run(function()
    local a, b, _ <close>, at_a, at_b = udp_pair()
    local other <close> = udp()
    assert.is_true(a:connect(at_b))
    assert.equal(at_b, a:getpeername())
    other:sendto("stranger", at_a)
    b:sendto("friend", at_a)
    assert.equal("friend", a:recv(100))
    assert.equal(2, a:send("hi"))
    assert.is_true(a:sendall("ho"))
    assert.equal("hi", b:recv(100))
    assert.equal("ho", b:recv(100))
  end))

  it("is told that nobody listens there, once for each datagram", run(function()
    local a, at = udp()
    a:close()
    local b <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    assert(b:connect(at))
    local task = curio.spawn(b.recv, b, 100)
    until_asleep(task, "READ_WAIT")
    assert.equal(1, b:send("x"))
    task:wait()
    local err = is_os_error("ECONNREFUSED", "recv", table.unpack(task.results, 1, 2))
    assert.equal(tostring(at), err.subject)
    assert.equal(1, b:send("y"))
    is_os_error("ECONNREFUSED", "recvfrom", b:recvfrom(100))
    assert.equal(1, b:send("z"))
    is_os_error("ECONNREFUSED", "recvmsg", b:recvmsg(100))
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, b.recv, b, 100) -- told once
  end))

  it("waits while its Unix peer's queue is full", run(function()
    local a, b = assert(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    local _ <close> = closer(a, b)
    local n = 0
    while curio.ignore_after(0.05, a.send, a, "x") do
      n = n + 1
    end
    local task = curio.spawn(a.send, a, "last")
    until_asleep(task, "WRITE_WAIT")
    for _ = 1, n do
      assert.equal("x", b:recv(10))
    end
    assert.equal(4, task:join())
    assert.equal("last", b:recv(10))
  end))
end)

describe("Unix datagrams", function()
  it("travel between abstract names", run(function()
    local here, there = abstract(), abstract()
    local a <close> = unix_dgram(here)
    local b <close> = unix_dgram(there)
    assert.equal(3, a:sendto("one", there))
    local data, from = b:recvfrom()
    assert.equal("one", data)
    assert.equal(here, from.path)
    assert.equal("@" .. here:sub(2), tostring(from))
    assert.equal(3, b:sendto("two", from))
    assert.equal("two", (a:recvfrom()))
  end))

  it("travel between paths", run(function()
    local path = sockets.unused_path()
    local a <close> = unix_dgram(path)
    local b <close> = unix_dgram()
    assert.equal(1, b:sendto("x", path))
    local data, from = a:recvfrom()
    assert.equal("x", data)
    assert.is_nil(from) -- b has no name
    os.remove(path)
    is_os_error("ENOENT", "sendto", b:sendto("x", path))
  end))

  it("find nobody behind a name that is free", run(function()
    local a <close> = unix_dgram()
    local name = abstract()
    local err = is_os_error("ECONNREFUSED", "sendto", a:sendto("x", name))
    assert.equal("@" .. name:sub(2), err.subject)
  end))
end)

describe("IPv6", function()
  local function six(fn)
    return run(function()
      local sock <close> = assert(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
      if sock:bind("::1", 0) then -- else there is none here
        fn()
      end
    end)
  end

  it("carries datagrams", six(function()
    local a <close>, at_a = udp "::1"
    local b <close>, at_b = udp "::1"
    b:sendto("six", at_a)
    local data, from = a:recvfrom()
    assert.equal("six", data)
    assert.equal(at_b, from)
  end))

  it("takes scopes by name, by number and in the address", six(function()
    local index = assert(io.open("/sys/class/net/lo/ifindex")):read("n")
    local sock <close> = assert(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    for _, host in ipairs { { "ff02::1%lo", 9 }, { "ff02::1%" .. index, 9 },
                            { "ff02::1", 9, 0, index } } do
      local done, err = sock:connect(host) -- there may be no way there
      assert.equal("[ff02::1%lo]:9", done and tostring(sock:getpeername()) or err.subject)
    end
  end))
end)

describe("Multicast", function()
  local IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6

  it("reaches the members of a group", run(function()
    local group = "239.255.77.1"
    local a <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    assert(a:bind(group, 0))
    assert(a:setsockopt(IP, socket.IP_ADD_MEMBERSHIP, { group, "127.0.0.1" }))
    local port = a:getsockname().port
    local b <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    assert(b:setsockopt(IP, socket.IP_MULTICAST_IF, { "127.0.0.1" }))
    assert(b:setsockopt(IP, socket.IP_MULTICAST_LOOP, true))
    assert(b:setsockopt(IP, socket.IP_MULTICAST_TTL, 0))
    assert.equal(5, b:sendto("group", group, port))
    assert.equal("group", (a:recvfrom()))
    assert(a:setsockopt(IP, socket.IP_DROP_MEMBERSHIP, { group, "127.0.0.1" }))
    is_os_error("EADDRNOTAVAIL", "setsockopt",
      a:setsockopt(IP, socket.IP_DROP_MEMBERSHIP, { group, "127.0.0.1" }))
  end))

  it("takes interfaces by name and number, and sources", run(function()
    local a <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    for _, interface in ipairs { "lo", 1 } do
      assert(a:setsockopt(IP, socket.IP_ADD_MEMBERSHIP, { "239.255.77.2", interface }))
      assert(a:setsockopt(IP, socket.IP_DROP_MEMBERSHIP, { "239.255.77.2", interface }))
      assert(a:setsockopt(IP, socket.IP_MULTICAST_IF, { interface }))
    end
    local membership = { "239.255.77.3", "127.0.0.1", "127.0.0.1" }
    assert(a:setsockopt(IP, socket.IP_ADD_SOURCE_MEMBERSHIP, membership))
    assert(a:setsockopt(IP, socket.IP_DROP_SOURCE_MEMBERSHIP, membership))
  end))

  it("knows groups of IPv6", run(function()
    local a <close> = assert(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    if not a:bind("::1", 0) then
      return -- no IPv6 here
    end
    for _, value in ipairs { { "ff02::77", "lo" }, { "ff02::77", 1 }, { "ff02::77%lo" } } do
      assert(a:setsockopt(IPV6, socket.IPV6_JOIN_GROUP, value))
      assert(a:setsockopt(IPV6, socket.IPV6_LEAVE_GROUP, value))
    end
    assert(a:setsockopt(IPV6, socket.IPV6_MULTICAST_IF, { "lo" }))
    assert.equal(1, a:getsockopt(IPV6, socket.IPV6_MULTICAST_IF))
  end))

  it("tells of what is no group and no interface", run(function()
    local a <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    local join = socket.IP_ADD_MEMBERSHIP
    is_os_error("EINVAL", "setsockopt", a:setsockopt(IP, join, { "group" }))
    is_os_error("EINVAL", "setsockopt", a:setsockopt(IP, join, { "10.0.0.1", "lo" }))
    is_os_error("ENODEV", "setsockopt", a:setsockopt(IP, join, { "239.255.77.1", "nowhere7" }))
    is_os_error("ENODEV", "setsockopt", a:setsockopt(IP, join, { "239.255.77.1", 99999 }))
    is_os_error("EINVAL", "setsockopt", a:setsockopt(IPV6, socket.IPV6_JOIN_GROUP, {}))
    assert.error_matches(function()
      a:setsockopt(IP, socket.IP_TTL, { 1 })
    end, "this option takes no table")
    assert.error_matches(function()
      a:setsockopt(IP, join, { {} })
    end, "the first must be a string, not a table")
  end))
end)

describe("SO_LINGER", function()
  it("is a table too", run(function()
    local a <close> = assert(socket.socket())
    assert(a:setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, { true, 5 }))
    local bytes = a:getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    assert.same({ 1, 5, 9 }, { string.unpack("ii", bytes) })
  end))
end)
