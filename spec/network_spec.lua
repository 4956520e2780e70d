local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"
local helper = require "spec.helper"

local lowest_fd = helper.lowest_fd

local run = sockets.run
local listener = sockets.listener
local nowhere = sockets.nowhere
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local unused_path = sockets.unused_path
local until_asleep = sockets.until_asleep

-- An address where nobody listens.
local function refused()
  local sock, addr = listener()
  sock:close()
  return addr
end

local function target(addr)
  return { family = addr.family, type = socket.SOCK_STREAM, proto = 0, addr = addr }
end

-- Lets names resolve to these targets until it is closed.
local function resolving(...)
  local targets = { ... }
  local real = socket.getaddrinfo
  socket.getaddrinfo = function()
    return targets
  end
  return helper.closing(function()
    socket.getaddrinfo = real
  end)
end

describe("open_connection", function()
  it("connects by address and by name", run(function()
    local sock, addr, _ <close> = listener()
    for _, host in ipairs { "127.0.0.1", "localhost" } do
      local client <close> = assert(curio.open_connection(host, addr.port))
      assert.equal(addr, client:getpeername())
      assert(sock:accept()):close()
    end
  end))

  it("connects from an address of choice", run(function()
    local _, addr, _ <close> = listener()
    local opts = { source = { "127.0.0.1", 0 } }
    local client <close> = assert(curio.open_connection("127.0.0.1", addr.port, opts))
    assert.equal("127.0.0.1", client:getsockname().host)
  end))

  it("returns why it could not, and leaves no descriptor open", run(function()
    local addr = refused()
    local before = lowest_fd()
    local err = is_os_error("ECONNREFUSED", "connect", curio.open_connection(addr.host, addr.port))
    assert.equal(tostring(addr), err.subject)
    assert.is_nil(err.errors)
    local value
    value, err = curio.open_connection(("x"):rep(70), 80)
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ResolveError))
    is_os_error("EADDRNOTAVAIL", "bind",
      curio.open_connection(addr.host, addr.port, { source = { "192.0.2.77", 0 } }))
    assert.equal(before, lowest_fd())
  end))

  it("returns ETIMEDOUT when its own timeout is over", run(function()
    local _, addr, _ <close> = nowhere()
    local before = lowest_fd()
    local err = is_os_error("ETIMEDOUT", "connect",
      curio.open_connection(addr.host, addr.port, { timeout = 0.02 }))
    assert.equal(tostring(addr), err.subject)
    assert.equal(before, lowest_fd())
  end))

  it("is ended by a timeout around it", run(function()
    local _, addr, _ <close> = nowhere()
    local before = lowest_fd()
    for _, opts in ipairs { {}, { timeout = 60 } } do
      raises(curio.TaskTimeout, curio.timeout_after, 0.02, curio.open_connection, addr.host,
        addr.port, opts)
    end
    assert.equal(before, lowest_fd())
  end))

  it("is cancelled while asleep", run(function()
    local _, addr, _ <close> = nowhere()
    local before = lowest_fd()
    local task = curio.spawn(curio.open_connection, addr.host, addr.port)
    until_asleep(task, "WRITE_WAIT")
    task:cancel()
    assert.equal(before, lowest_fd())
  end))

  it("checks its options", run(function()
    local cases = {
      { "unknown option 'timeuot' %(known: source, timeout, ", { timeuot = 1 } },
      { "option 'timeout' must be a number of seconds, 0 or more, got soon", { timeout = "soon" } },
      { "option 'happy_eyeballs_delay' must be .*, got %-1", { happy_eyeballs_delay = -1 } },
      { "option 'ssl' must be true or a client's SSLContext, got yes", { ssl = "yes" } },
      { "option 'server_hostname': only with ssl", { server_hostname = "x" } },
      { "option 'alpn': only with ssl", { alpn = { "h2" } } },
      { "a table of options is expected, got number", 5 },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function()
        curio.open_connection("127.0.0.1", 1, case[2])
      end, "open_connection: " .. case[1])
    end
  end))
end)

describe("open_connection to a host of several addresses", function()
  it("begins the next attempt after the delay, and the first to succeed wins", run(function()
    local _, silent, _ <close> = nowhere()
    local sock, addr, _ <close> = listener()
    local _ <close> = resolving(target(silent), target(silent), target(addr), target(silent))
    local before = lowest_fd()
    do
      local opts = { happy_eyeballs_delay = 0.01 }
      local client <close> = assert(curio.open_connection("some.host", 80, opts))
      assert.equal(addr, client:getpeername())
    end
    assert.equal(before, lowest_fd()) -- the losers are closed
    assert(sock:accept()):close()
  end))

  it("begins the next attempt at once when one fails", run(function()
    local _, addr, _ <close> = listener()
    local _ <close> = resolving(target(refused()), target(refused()), target(addr))
    local opts = { happy_eyeballs_delay = 1000 }
    local client <close> = assert(curio.open_connection("some.host", 80, opts))
    assert.equal(addr, client:getpeername())
  end))

  it("lets the families take turns", run(function()
    local function to(family, host, port)
      return { family = family, type = socket.SOCK_STREAM, proto = 0, addr = { host, port } }
    end
    local six, four = socket.AF_INET6, socket.AF_INET
    local _ <close> = resolving(to(six, "::1", 1), to(six, "::1", 2), to(six, "::1", 3),
      to(four, "127.0.0.1", 1), to(four, "127.0.0.1", 2))
    local _, err = curio.open_connection("some.host", 80, { happy_eyeballs_delay = 1000 })
    local order = { err.subject }
    for _, other in ipairs(err.errors) do
      order[#order + 1] = other.subject
    end
    assert.same({ "[::1]:1", "127.0.0.1:1", "[::1]:2", "127.0.0.1:2", "[::1]:3" }, order)
  end))

  it("returns the most telling error when all fail, with the others in it", run(function()
    local hopeless = target(refused())
    hopeless.family = 99
    local addr = refused()
    local _ <close> = resolving(hopeless, target(addr))
    local err = is_os_error("ECONNREFUSED", "connect", curio.open_connection("some.host", 80))
    assert.equal(tostring(addr), err.subject)
    assert.equal(1, #err.errors)
    assert.equal("EAFNOSUPPORT", err.errors[1].code)
  end))

  it("is cancelled with all its attempts", run(function()
    local _, silent, _ <close> = nowhere()
    local _ <close> = resolving(target(silent), target(silent), target(silent))
    local before = lowest_fd()
    local opts = { happy_eyeballs_delay = 0.001 }
    raises(curio.TaskTimeout, curio.timeout_after, 0.05, curio.open_connection, "some.host", 80,
      opts)
    opts.timeout = 0.05
    is_os_error("ETIMEDOUT", "connect", curio.open_connection("some.host", 80, opts))
    assert.equal(before, lowest_fd())
  end))

  it("raises the mistakes of its caller", run(function()
    local _, addr, _ <close> = listener()
    local _ <close> = resolving(target(addr), target(addr))
    assert.error_matches(function()
      curio.open_connection("some.host", 80, { source = "me" })
    end, "bad argument")
  end))
end)

describe("open_unix_connection", function()
  it("connects to a path", run(function()
    local path = unused_path()
    local sock <close> = assert(curio.unix_server_socket(path))
    local client <close> = assert(curio.open_unix_connection(path))
    assert.equal(path, client:getpeername().path)
    assert(sock:accept()):close()
    os.remove(path)
  end))

  it("returns why it could not", run(function()
    local err = is_os_error("ENOENT", "connect", curio.open_unix_connection("/nowhere/at/all"))
    assert.equal("/nowhere/at/all", err.subject)
  end))
end)

describe("tcp_server_socket", function()
  it("listens on all interfaces, or on one", run(function()
    local all <close> = assert(curio.tcp_server_socket("", 0))
    assert.equal("0.0.0.0", all:getsockname().host)
    assert.equal(1, all:getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
    local one <close> = assert(curio.tcp_server_socket("127.0.0.1", 0, { reuse_address = false }))
    assert.equal("127.0.0.1", one:getsockname().host)
    assert.equal(0, one:getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
    assert.equal(1, one:getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
  end))

  it("takes the family from the host unless told", run(function()
    local sock <close> = assert(curio.tcp_server_socket("::1", 0))
    assert.equal(socket.AF_INET6, sock.family)
    local any <close> = assert(curio.tcp_server_socket("", 0, { family = socket.AF_INET6 }))
    assert.equal("::", any:getsockname().host)
  end))

  it("shares a port where all ask for that", run(function()
    local opts = { reuse_port = true }
    local first <close> = assert(curio.tcp_server_socket("127.0.0.1", 0, opts))
    local port = first:getsockname().port
    local second <close> = assert(curio.tcp_server_socket("127.0.0.1", port, opts))
    assert.equal(port, second:getsockname().port)
    local err = is_os_error("EADDRINUSE", "bind", curio.tcp_server_socket("127.0.0.1", port))
    assert.equal("127.0.0.1:" .. port, err.subject)
  end))

  it("checks its options", run(function()
    local cases = {
      { "unknown option 'ssl'", { ssl = true } },
      { "option 'backlog' must be an integer, 0 or more, got many", { backlog = "many" } },
      { "option 'reuse_port' must be true or false, got 1", { reuse_port = 1 } },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function()
        curio.tcp_server_socket("", 0, case[2])
      end, "tcp_server_socket: " .. case[1])
    end
    assert.error_matches(function()
      curio.tcp_server_socket(nil, 0)
    end, "the host must be a string, not nil")
  end))
end)

describe("unix_server_socket", function()
  it("wants a path that does not exist", run(function()
    local path = os.tmpname()
    is_os_error("EADDRINUSE", "bind", curio.unix_server_socket(path))
    os.remove(path)
    local sock <close> = assert(curio.unix_server_socket(path, { backlog = 5 }))
    assert.equal(path, sock:getsockname().path)
    os.remove(path)
  end))
end)
