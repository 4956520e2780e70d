local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local listener = sockets.listener
local tcp_pair = sockets.tcp_pair
local nowhere = sockets.nowhere
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local unused_path = sockets.unused_path
local cancelled = sockets.cancelled
local closed = sockets.closed

describe("accept", function()
  it("gives a socket of the same kind and the other end's address", run(function()
    local sock, addr, _ <close> = listener()
    local client <close> = assert(socket.socket())
    assert(client:connect(addr))
    local peer, from = assert(sock:accept())
    assert.equal(client:getsockname(), from)
    assert.equal(sock.family, peer.family)
    assert.equal(sock.type, peer.type)
    peer:sendall("hello")
    assert.equal("hello", client:recv(10))
    peer:close()
  end))

  it("times out", run(function()
    local sock <close> = listener()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, sock.accept, sock)
  end))

  it("is cancelled while asleep", run(function()
    local sock, addr, _ <close> = listener()
    cancelled("READ_WAIT", sock.accept, sock)
    local client <close> = assert(socket.socket())
    assert(client:connect(addr))
    assert(sock:accept()):close()
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local sock = listener()
    closed("READ_WAIT", sock, "accept")
  end))

  it("tells what is wrong with a socket that does not listen", run(function()
    local sock <close> = assert(socket.socket())
    assert(sock:bind("127.0.0.1", 0))
    local err = is_os_error("EINVAL", "accept", sock:accept())
    assert.equal(tostring(sock:getsockname()), err.subject)
  end))
end)

describe("clients", function()
  it("goes through the connections until the socket is closed", run(function()
    local sock, addr = listener()
    local seen = {}
    local task = curio.spawn(function()
      for client, from in sock:clients() do
        seen[#seen + 1] = from
        client:close()
      end
      return "ended"
    end)
    local names = {}
    for i = 1, 3 do
      local client <close> = assert(socket.socket())
      assert(client:connect(addr))
      names[i] = client:getsockname()
      assert.is_nil(client:recv(1))
    end
    sock:close()
    assert.equal("ended", task:join())
    assert.same(names, seen)
  end))

  it("raises what goes wrong", run(function()
    local sock <close> = assert(socket.socket())
    local err = raises(curio.OSError, function()
      for client in sock:clients() do
        client:close()
      end
    end)
    assert.equal("EINVAL", err.code)
  end))
end)

describe("connect", function()
  it("connects by address, by host and port, and by name", run(function()
    local sock, addr, _ <close> = listener()
    for _, to in ipairs { { addr }, { "127.0.0.1", addr.port }, { "localhost", addr.port } } do
      local client <close> = assert(socket.socket())
      assert.is_true(client:connect(table.unpack(to)))
      assert.equal(addr, client:getpeername())
      assert(sock:accept()):close()
    end
  end))

  it("connects by path, also abstract", run(function()
    local path = unused_path()
    for _, name in ipairs { path, "\0curio-spec-" .. path } do
      local sock <close> = assert(socket.socket(socket.AF_UNIX))
      assert(sock:bind(name))
      assert(sock:listen())
      local client <close> = assert(socket.socket(socket.AF_UNIX))
      assert(client:connect(name))
      local peer <close> = assert(sock:accept())
      assert.equal(name, client:getpeername().path)
      peer:sendall("x")
      assert.equal("x", client:recv(1))
    end
    os.remove(path)
  end))

  it("connects over IPv6", run(function()
    local sock <close> = assert(socket.socket(socket.AF_INET6))
    if not sock:bind("::1", 0) then
      return -- no IPv6 here
    end
    assert(sock:listen())
    local client <close> = assert(socket.socket(socket.AF_INET6))
    assert(client:connect(sock:getsockname()))
    assert.equal("::1", client:getpeername().host)
  end))

  it("tells who refused", run(function()
    local sock, addr = listener()
    sock:close()
    local client <close> = assert(socket.socket())
    local err = is_os_error("ECONNREFUSED", "connect", client:connect(addr))
    assert.equal(tostring(addr), err.subject)
    assert.matches("^OSError: connect 127.0.0.1:%d+: ", tostring(err))
  end))

  it("tells which name has no address", run(function()
    local client <close> = assert(socket.socket())
    local name = ("x"):rep(70) .. ".invalid" -- no label may be that long
    local value, err = client:connect(name, 80)
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ResolveError), tostring(err))
    assert.equal(name, err.subject)
  end))

  it("tells that a path does not exist", run(function()
    local client <close> = assert(socket.socket(socket.AF_UNIX))
    local err = is_os_error("ENOENT", "connect", client:connect("/nowhere/at/all"))
    assert.equal("/nowhere/at/all", err.subject)
  end))

  it("times out, and the socket can be closed", run(function()
    local client, addr, _ <close> = nowhere()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, client.connect, client, addr)
  end))

  it("is cancelled while asleep, and the socket can be closed", run(function()
    local client, addr, _ <close> = nowhere()
    cancelled("WRITE_WAIT", client.connect, client, addr)
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local client, addr, _ <close> = nowhere()
    closed("WRITE_WAIT", client, "connect", addr)
  end))

  it("is cancelled while it asks for the name's address", run(function()
    local clients, count = {}, 0
    for _ = 1, 100 do -- more than there are threads, so that the last ones wait for sure
      local client = assert(socket.socket())
      clients[curio.spawn(client.connect, client, "localhost", 1)] = client
    end
    curio.schedule()
    for task in pairs(clients) do
      task:cancel { blocking = false }
    end
    for task, client in pairs(clients) do
      task:wait()
      count = count + (task.exception and 1 or 0)
      client:close()
    end
    assert.is_true(count > 0)
  end))

  it("waits for room in the backlog of a Unix socket", run(function()
    local sock <close> = assert(socket.socket(socket.AF_UNIX))
    assert(sock:bind("\0curio-spec-backlog-" .. unused_path()))
    assert(sock:listen(0))
    local addr = sock:getsockname()
    local first <close> = assert(socket.socket(socket.AF_UNIX))
    assert(first:connect(addr))
    local second <close> = assert(socket.socket(socket.AF_UNIX))
    local task = curio.spawn(second.connect, second, addr)
    until_asleep(task, "WRITE_WAIT")
    assert(sock:accept()):close()
    assert.is_true(task:join())
    assert(sock:accept()):close()
  end))

  it("tells that it is connected already", run(function()
    local _, b, _ <close> = tcp_pair()
    is_os_error("EISCONN", "connect", b:connect(b:getpeername()))
  end))
end)

describe("bind", function()
  it("takes a name", run(function()
    local sock <close> = assert(socket.socket())
    assert.is_true(sock:bind("localhost", 0))
    assert.equal("127.0.0.1", sock:getsockname().host)
  end))

  it("takes the empty string for all interfaces", run(function()
    local sock <close> = assert(socket.socket())
    assert.is_true(sock:bind("", 0))
    assert.equal("0.0.0.0", sock:getsockname().host)
  end))

  it("tells which port is in use", run(function()
    local sock, addr, _ <close> = listener()
    local other <close> = assert(socket.socket())
    local err = is_os_error("EADDRINUSE", "bind", other:bind(addr))
    assert.equal(tostring(addr), err.subject)
    sock:close()
  end))

  it("tells which address is not ours", run(function()
    local sock <close> = assert(socket.socket())
    local err = is_os_error("EADDRNOTAVAIL", "bind", sock:bind("192.0.2.77", 0))
    assert.equal("192.0.2.77:0", err.subject)
  end))

  it("returns an error for a path that is too long", run(function()
    local sock <close> = assert(socket.socket(socket.AF_UNIX))
    is_os_error("ENAMETOOLONG", "bind", sock:bind(("x"):rep(200)))
  end))
end)

