local core = require "curio.core"
local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local closer = sockets.closer
local listener = sockets.listener
local nowhere = sockets.nowhere
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local reset = sockets.reset
local until_asleep = sockets.until_asleep

-- The lowest number free for a descriptor: it rises when one leaks.
local function lowest_fd()
  local sock <close> = assert(socket.socket())
  return sock:fileno()
end

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
  return setmetatable({}, { __close = function()
    socket.getaddrinfo = real
  end })
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
      { "option 'ssl': TLS is not built in yet", { ssl = true } },
      { "option 'server_hostname': TLS is not built in yet", { server_hostname = "x" } },
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
    local path = os.tmpname()
    os.remove(path)
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

local function any_in_state(state)
  for _, task in ipairs(core.tasks()) do
    if task.state == state then
      return true
    end
  end
  return false
end

-- Starts a server on a free port: its address and its task.
local function start(handler, opts)
  opts = opts or {}
  local bound
  opts.ready = function(addr)
    bound = addr
  end
  local task = curio.spawn(curio.tcp_server, "127.0.0.1", 0, handler, opts)
  while not bound do
    curio.schedule()
  end
  return bound, task
end

local function connect(addr)
  return assert(curio.open_connection(addr.host, addr.port))
end

local function echo(client)
  for data in client:chunks() do
    client:sendall(data)
  end
end

-- Collects what the library would print, until closed.
local function logging()
  local lines = {}
  local real = curio.log
  curio.log = function(level, message)
    lines[#lines + 1] = level .. ": " .. message
  end
  return lines, setmetatable({}, { __close = function()
    curio.log = real
  end })
end

describe("a server", function()
  it("serves each client in a task of its own", run(function()
    local addr, server = start(echo)
    local a, b = connect(addr), connect(addr)
    b:sendall("to b")
    assert.equal("to b", b:recv(100))
    a:sendall("to a")
    assert.equal("to a", a:recv(100))
    local _ <close> = closer(a, b)
    server:cancel()
  end))

  it("gives the handler the client and its address", run(function()
    local got
    local addr, server = start(function(client, from)
      got = { client:getpeername(), from }
    end)
    local client <close> = connect(addr)
    assert.is_nil(client:recv(1))
    assert.equal(client:getsockname(), got[1])
    assert.equal(client:getsockname(), got[2])
    server:cancel()
  end))

  it("takes whatever can be called for a handler", run(function()
    local addr, server = start(setmetatable({}, { __call = function(self, client)
      client:sendall(type(self))
    end }))
    local client <close> = connect(addr)
    assert.equal("table", client:recv(100))
    server:cancel()
  end))

  it("closes the client when the handler returns", run(function()
    local addr, server = start(function(client)
      client:sendall("bye")
    end)
    local client <close> = connect(addr)
    assert.equal("bye", client:recv(100))
    assert.is_nil(client:recv(100))
    server:cancel()
  end))

  it("reports a handler that fails, closes its client, and goes on", run(function()
    local lines, _ <close> = logging()
    local addr, server = start(function(client)
      if client:recv(1) == "x" then
        error("no x, please")
      end
      client:sendall("fine")
    end)
    local bad <close>, good = connect(addr), connect(addr)
    bad:sendall("x")
    assert.is_nil(bad:recv(100))
    good:sendall("y")
    assert.equal("fine", good:recv(100))
    good:close()
    assert.equal(1, #lines)
    assert.matches("^error: .*no x, please", lines[1])
    server:cancel()
  end))

  it("survives clients that are gone before they are accepted", run(function()
    local _, _ <close> = logging()
    local addr, server = start(echo)
    for _ = 1, 10 do
      reset(connect(addr))
    end
    local client <close> = connect(addr)
    client:sendall("still here")
    assert.equal("still here", client:recv(100))
    server:cancel()
  end))

  it("serves at most as many clients as it may", run(function()
    local serving, most = 0, 0
    local addr, server = start(function(client)
      serving = serving + 1
      most = math.max(most, serving)
      client:recv(1)
      serving = serving - 1
    end, { max_connections = 2 })
    local clients = {}
    for i = 1, 6 do
      clients[i] = connect(addr)
    end
    for i = 1, 6 do
      clients[i]:sendall("x")
      assert.is_nil(clients[i]:recv(1))
      clients[i]:close()
    end
    assert.equal(2, most)
    server:cancel()
  end))

  it("lets the rest wait in the backlog", run(function()
    local addr, server = start(echo, { max_connections = 1 })
    local first, second = connect(addr), connect(addr)
    local _ <close> = closer(first, second)
    first:sendall("one")
    assert.equal("one", first:recv(10))
    until_asleep(server, "MAX_CONNECTIONS")
    second:sendall("two")
    assert.is_nil(curio.ignore_after(0.02, second.recv, second, 10))
    first:close()
    assert.equal("two", second:recv(10))
    server:cancel()
  end))

  it("ends with its clients when it is cancelled", run(function()
    local ended = {}
    local addr, server = start(function(client)
      local _ <close> = setmetatable({}, { __close = function(_, err)
        ended[#ended + 1] = err
      end })
      client:sendall("hello")
      client:recv(1)
    end)
    local a, b = connect(addr), connect(addr)
    local _ <close> = closer(a, b)
    assert.equal("hello", a:recv(100))
    assert.equal("hello", b:recv(100))
    server:cancel()
    assert.is_true(curio.is(server.exception, curio.TaskCancelled))
    assert.equal(2, #ended)
    assert.is_true(curio.is(ended[1], curio.TaskCancelled))
    assert.is_nil(a:recv(1))
    is_os_error("ECONNREFUSED", "connect", curio.open_connection(addr.host, addr.port))
  end))

  it("closes clients whose handlers never began", run(function()
    local before = lowest_fd()
    local addr, server = start(echo)
    local client <close> = connect(addr)
    while not any_in_state("INITIAL") do -- until accepted, and not one turn longer
      curio.schedule()
    end
    server:cancel()
    assert.is_nil(client:recv(1))
    client:close()
    assert.equal(before, lowest_fd())
  end))

  it("stops with the kernel", function()
    curio.run(function()
      local addr = start(echo)
      curio.spawn(function()
        local client <close> = connect(addr)
        client:recv(1)
      end)
      curio.sleep(0.01)
    end)
  end)

  it("gives its handlers grace when it is cancelled", run(function()
    local events = {}
    local addr, server = start(function(client)
      events[#events + 1] = client:recv(100)
      client:sendall("done")
    end, { grace = 60 })
    local client <close> = connect(addr)
    curio.sleep(0.01)
    server:cancel { blocking = false }
    curio.sleep(0)
    is_os_error("ECONNREFUSED", "connect", curio.open_connection(addr.host, addr.port))
    client:sendall("finish")
    assert.equal("done", client:recv(100))
    server:wait()
    assert.same({ "finish" }, events)
  end))

  it("cancels the handlers that need more than their grace", run(function()
    local lines, _ <close> = logging()
    local cause
    local addr, server = start(function(client)
      local _ <close> = setmetatable({}, { __close = function(_, err)
        cause = err
      end })
      client:sendall("x")
      client:recv(100)
    end, { grace = 0.02 })
    local client <close> = connect(addr)
    assert.equal("x", client:recv(1))
    server:cancel()
    assert.is_true(curio.is(cause, curio.TaskCancelled))
    assert.is_nil(client:recv(1))
    assert.same({}, lines)
  end))

  it("reports handlers that fail in their grace too", run(function()
    local lines, _ <close> = logging()
    local addr, server = start(function(client)
      client:recv(1)
      error("too late")
    end, { grace = 60 })
    local client <close> = connect(addr)
    curio.sleep(0.01)
    server:cancel { blocking = false }
    curio.schedule()
    client:sendall("x")
    server:wait()
    assert.equal(1, #lines)
    assert.matches("too late", lines[1])
  end))

  it("returns an error when it cannot listen", run(function()
    local _, addr, _ <close> = listener()
    local called = false
    is_os_error("EADDRINUSE", "bind", curio.tcp_server("127.0.0.1", addr.port, echo, {
      ready = function()
        called = true
      end,
    }))
    assert.is_false(called)
  end))

  it("raises when its socket is closed by somebody else", run(function()
    local sock = assert(curio.tcp_server_socket("127.0.0.1", 0))
    local server = curio.spawn(curio.run_server, sock, echo)
    until_asleep(server, "READ_WAIT")
    local _ <close> = select(2, logging())
    sock:close()
    server:wait()
    assert.is_true(curio.is(server.exception, curio.ClosedError))
  end))

  it("checks its arguments", run(function()
    local cases = {
      { "unknown option 'max' %(known: family, backlog, ", { max = 1 } },
      { "option 'max_connections' must be an integer, 1 or more, got 0", { max_connections = 0 } },
      { "option 'grace' must be a number of seconds, 0 or more, got %-1", { grace = -1 } },
      { "option 'ready' must be a function, got yes", { ready = "yes" } },
      { "option 'ssl': TLS is not built in yet", { ssl = {} } },
      { "option 'workers': servers in several threads are not built in yet", { workers = 4 } },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function()
        curio.tcp_server("", 0, echo, case[2])
      end, "tcp_server: " .. case[1])
    end
    assert.error_matches(function()
      curio.tcp_server("", 0, "echo")
    end, "tcp_server: the handler must be a function, got echo")
    assert.error_matches(function()
      curio.run_server(nil, echo, { backlog = 1 })
    end, "run_server: unknown option 'backlog'")
  end))

  it("may serve a Unix socket", run(function()
    local path = os.tmpname()
    os.remove(path)
    local bound
    local server = curio.spawn(curio.unix_server, path, echo, { ready = function(addr)
      bound = addr
    end })
    while not bound do
      curio.schedule()
    end
    assert.equal(path, tostring(bound))
    local client <close> = assert(curio.open_unix_connection(path))
    client:sendall("x")
    assert.equal("x", client:recv(1))
    server:cancel()
    os.remove(path)
  end))
end)

-- A listening socket that is none: its accept gives what the list says, then sleeps for ever.
local function scripted(...)
  local script = { ... }
  local at = 0
  return {
    accept = function()
      at = at + 1
      if not script[at] then
        curio.sleep(math.huge)
      end
      return nil, curio.OSError { code = script[at], message = "accept: " .. script[at] }
    end,
    close = function() end,
    getsockname = function() end,
    played = function()
      return at
    end,
  }
end

describe("a server whose accept fails", function()
  it("tries again when it concerned one connection only", run(function()
    local lines, _ <close> = logging()
    local sock = scripted("ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH")
    curio.ignore_after(0.5, curio.run_server, sock, echo)
    assert.equal(5, sock.played())
    assert.same({}, lines)
  end))

  it("pauses for want of descriptors or memory, and says so once", run(function()
    local lines, _ <close> = logging()
    local sock = scripted("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS")
    curio.ignore_after(0.35, curio.run_server, sock, echo)
    assert.is_true(sock.played() <= 3)
    assert.equal(1, #lines)
    assert.matches("^warning: .*EMFILE", lines[1])
  end))

  it("raises anything else", run(function()
    local sock = scripted("ECONNABORTED", "EBADF")
    local err = raises(curio.OSError, curio.run_server, sock, echo)
    assert.equal("EBADF", err.code)
  end))
end)

-- The interpreter that runs this.
local function interpreter()
  local i = 0
  while arg[i - 1] do
    i = i - 1
  end
  return arg[i]
end

local STARVED = [[
local curio = require "curio"
local socket = require "curio.socket"

curio.log = function(level, message)
  print(level, message:match "EMFILE")
end

curio.run(function()
  local addr
  curio.spawn(curio.tcp_server, "127.0.0.1", 0, function(client)
    client:sendall(client:recv(100))
  end, { ready = function(bound) addr = bound end })
  curio.sleep(0.01)
  local a, b = assert(socket.socket()), assert(socket.socket())
  local hoard, err = {}
  repeat
    hoard[#hoard + 1], err = socket.socket()
  until err
  print(err.code)
  for _, client in ipairs { a, b } do
    assert(client:connect(addr))
    assert(client:sendall "served")
  end
  print(curio.ignore_after(0.3, a.recv, a, 100))
  for _, sock in ipairs(hoard) do
    sock:close()
  end
  print(a:recv(100), b:recv(100))
end)
]]

describe("a server without descriptors", function()
  it("waits until there are some, and serves on", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(STARVED)
    file:close()
    local command = "sh -c 'ulimit -n 40; exec %s %s 2>&1'"
    local pipe = io.popen(command:format(interpreter(), path))
    local output = pipe:read("a")
    pipe:close()
    os.remove(path)
    assert.equal("EMFILE\nwarning\tEMFILE\nnil\nserved\tserved\n", output)
  end)
end)
