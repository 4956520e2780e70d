local curio = require "curio"
local core = require "curio.core"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local pair = sockets.pair
local tcp_pair = sockets.tcp_pair
local until_asleep = sockets.until_asleep
local is_closed_error = sockets.is_closed_error
local is_os_error = sockets.is_os_error

describe("a socket", function()
  it("is an IPv4 stream unless told otherwise", run(function()
    local sock <close> = assert(socket.socket())
    assert.equal(socket.AF_INET, sock.family)
    assert.equal(socket.SOCK_STREAM, sock.type)
    assert.equal(0, sock.proto)
  end))

  it("tells its family and type, and has no other fields", run(function()
    local sock <close> = assert(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    assert.equal(socket.AF_INET6, sock.family)
    assert.equal(socket.SOCK_DGRAM, sock.type)
    assert.is_nil(sock.nonsense)
  end))

  it("takes the flags that Linux lets a type carry as given", run(function()
    local sock <close> = assert(socket.socket(nil, socket.SOCK_STREAM | (socket.SOCK_CLOEXEC or 0)))
    assert.equal(socket.SOCK_STREAM, sock.type)
  end))

  it("is refused by the system with an error that names the call", run(function()
    local err = is_os_error("EAFNOSUPPORT", "socket", socket.socket(99))
    assert.matches("family 99", err.subject)
  end))

  it("is refused with wrong types by an error that names the call and the value", run(function()
    assert.has_error(function()
      socket.socket("inet")
    end, "bad argument #1 to 'socket' (number expected, got string)")
    assert.has_error(function()
      socket.socket(-1)
    end, "bad argument #1 to 'socket' (no such constant: -1)")
  end))

  it("shows its descriptor and its addresses when printed", run(function()
    local a, b, _ <close> = tcp_pair()
    assert.equal(("curio.socket (fd %d, %s - %s)"):format(a:fileno(), a:getsockname(),
      a:getpeername()), tostring(a))
    b:close()
    assert.equal("curio.socket (closed)", tostring(b))
  end))

  it("is told from other values by its methods", run(function()
    assert.error_matches(function()
      socket.socket().recv(io.stdout)
    end, "curio.socket expected, got FILE")
    assert.error_matches(function()
      socket.socket().recv({}, 1)
    end, "curio.socket expected, got table")
  end))

  it("can be one of a pair", run(function()
    local a, b, _ <close> = pair()
    assert.equal(socket.AF_UNIX, a.family)
    a:sendall("to b")
    b:sendall("to a")
    assert.equal("to b", b:recv(100))
    assert.equal("to a", a:recv(100))
  end))

  it("closes its descriptor when it is collected", run(function()
    local a <close> = assert(socket.socketpair())
    collectgarbage()
    collectgarbage()
    assert.is_nil(a:recv(1))
  end))

  it("closes its descriptor at the end of its scope", run(function()
    local a, other, _ <close> = pair()
    do
      local b <close> = other
      b:sendall("x")
    end
    assert.equal("x", a:recv(10))
    assert.is_nil(a:recv(10))
    is_closed_error(other:fileno())
  end))

  it("may be closed twice", run(function()
    local sock = assert(socket.socket())
    assert.is_true(sock:close())
    assert.is_true(sock:close())
  end))

  it("answers every call with ClosedError once it is closed", run(function()
    local sock = assert(socket.socket())
    sock:close()
    local calls = {
      recv = { 10 }, send = { "x" }, sendall = { "x" }, accept = {}, connect = { "127.0.0.1", 80 },
      bind = { "127.0.0.1", 0 }, listen = {}, shutdown = { "rd" }, fileno = {}, detach = {},
      getsockname = {}, getpeername = {}, getsockopt = { 1, 1 }, setsockopt = { 1, 1, 1 },
    }
    for name, args in pairs(calls) do
      local err = is_closed_error(sock[name](sock, table.unpack(args)))
      assert.matches(name, err.message)
    end
    assert.has_error(function()
      sock:chunks()
    end)
    assert.has_error(function()
      sock:clients()
    end)
  end))

  it("tells what it cannot do outside a kernel", function()
    local sock <close> = assert(socket.socket())
    if core.running() then
      return -- under the program there is always one
    end
    assert.has_error(function()
      sock:recv(10)
    end, "socket:recv: no curio kernel is running")
    assert.is_true(sock:bind("127.0.0.1", 0))
    assert.is_true(sock:listen())
  end)

  it("says so where Lua cannot yield", run(function()
    local a, b, _ <close> = pair()
    local _, err = pcall(table.sort, { 1, 2 }, function()
      return a:recv(1)
    end)
    assert.matches("socket:recv: cannot block here", err)
    b:sendall("x")
    assert.equal("x", a:recv(1))
  end))

  it("blocks in generators too", run(function()
    local a, b, _ <close> = pair()
    local function words()
      return coroutine.wrap(function()
        for chunk in a:chunks() do
          for word in chunk:gmatch("%a+") do
            coroutine.yield(word)
          end
        end
      end)
    end
    local task = curio.spawn(function()
      local list = {}
      for word in words() do
        list[#list + 1] = word
      end
      return table.concat(list, ",")
    end)
    until_asleep(task, "READ_WAIT")
    b:sendall("one two ")
    curio.schedule()
    until_asleep(task, "READ_WAIT")
    b:sendall("three")
    b:close()
    assert.equal("one,two,three", task:join())
  end))
end)

describe("fromfd", function()
  it("makes a socket of a descriptor", run(function()
    local a, b, _ <close> = pair()
    local c <close> = assert(socket.fromfd((assert(a:detach()))))
    assert.equal(socket.AF_UNIX, c.family)
    assert.equal(socket.SOCK_STREAM, c.type)
    c:sendall("moved")
    assert.equal("moved", b:recv(10))
  end))

  it("refuses what is no socket, and leaves it alone", run(function()
    local file <close> = assert(io.open("/proc/self/stat") or io.open("/dev/null"))
    local refused
    for fd = 0, 20 do
      local sock, err = socket.fromfd(fd)
      if sock then
        sock:detach()
      elseif err.code == "ENOTSOCK" then
        refused = err
        assert.equal("fromfd", err.op)
        assert.equal("fd " .. fd, err.subject)
      end
    end
    assert.is_not_nil(refused)
    assert.is_not_nil(file:read(0) or true)
  end))

  it("refuses a number that is no descriptor", run(function()
    is_os_error("EBADF", "fromfd", socket.fromfd(-1))
    is_os_error("EBADF", "fromfd", socket.fromfd(1000000))
    assert.has_error(function()
      socket.fromfd("stdin")
    end, "bad argument #1 to 'fromfd' (number expected, got string)")
  end))
end)

describe("shutdown", function()
  it("ends one direction", run(function()
    local a, b, _ <close> = tcp_pair()
    assert.is_true(a:shutdown("wr"))
    assert.is_nil(b:recv(1))
    assert.is_true(b:sendall("still"))
    assert.equal("still", a:recv(10))
    is_os_error("EPIPE", "send", a:send("x"))
  end))

  it("wakes who reads", run(function()
    local a, _, _ <close> = tcp_pair()
    local task = curio.spawn(a.recv, a, 1)
    until_asleep(task, "READ_WAIT")
    a:shutdown("rdwr")
    assert.is_nil(task:join())
  end))

  it("takes the constants too, and refuses the rest", run(function()
    local a, _, _ <close> = tcp_pair()
    assert.is_true(a:shutdown(socket.SHUT_WR))
    assert.error_matches(function()
      a:shutdown("both")
    end, "bad argument #1 to 'shutdown' %(invalid option 'both'%)")
    assert.has_error(function()
      a:shutdown(17)
    end)
  end))

  it("tells that there is no connection", run(function()
    local sock <close> = assert(socket.socket())
    is_os_error("ENOTCONN", "shutdown", sock:shutdown("wr"))
  end))
end)

describe("detach", function()
  it("gives the descriptor away and leaves the socket closed", run(function()
    local a, b, _ <close> = tcp_pair()
    local fd = a:fileno()
    assert.equal(fd, a:detach())
    is_closed_error(a:recv(1))
    local c <close> = assert(socket.fromfd(fd))
    c:sendall("x")
    assert.equal("x", b:recv(1))
  end))

  it("wakes who waits with nil and ClosedError", run(function()
    local a, b, _ <close> = tcp_pair()
    local task = curio.spawn(a.recv, a, 1)
    until_asleep(task, "READ_WAIT")
    local c <close> = assert(socket.fromfd((a:detach())))
    task:join()
    is_closed_error(table.unpack(task.results, 1, 2))
    b:sendall("x")
    assert.equal("x", c:recv(1))
  end))
end)

describe("socket options", function()
  it("are numbers, booleans, or the bytes of a struct", run(function()
    local sock <close> = assert(socket.socket())
    assert.is_true(sock:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, true))
    assert.equal(1, sock:getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
    assert.is_true(sock:setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))
    assert.is_true(sock:getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) ~= 0)
    local linger = string.pack("ii", 1, 7)
    assert.is_true(sock:setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger))
    assert.equal(linger, sock:getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, #linger))
  end))

  it("are refused by the system with an error that names level and option", run(function()
    local sock <close> = assert(socket.socket())
    local level = socket.SOL_SOCKET
    local err = is_os_error("ENOPROTOOPT", "setsockopt", sock:setsockopt(level, 9999, 1))
    assert.matches("option 9999", err.subject)
    is_os_error("ENOPROTOOPT", "getsockopt", sock:getsockopt(level, 9999))
  end))

  it("are of no other types", run(function()
    local sock <close> = assert(socket.socket())
    assert.error_matches(function()
      sock:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, {})
    end, "bad argument #3 to 'setsockopt' %(this option takes no table%)")
    assert.error_matches(function()
      sock:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 << 40)
    end, "the value must fit a C int")
    assert.error_matches(function()
      sock:getsockopt("socket", 1)
    end, "bad argument #1 to 'getsockopt' %(number expected, got string%)")
  end))
end)

