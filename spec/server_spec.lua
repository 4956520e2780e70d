local curio = require "curio"
local core = require "curio.core"
local testing = require "curio.testing"
local sockets = require "spec.sockets"
local helper = require "spec.helper"

local interpreter = helper.interpreter
local logging = helper.logging
local lowest_fd = helper.lowest_fd

local run = sockets.run
local closer = sockets.closer
local listener = sockets.listener
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local unused_path = sockets.unused_path
local reset = sockets.reset
local until_asleep = sockets.until_asleep

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
      { "option 'ssl' must be a server's SSLContext, got table", { ssl = {} } },
      { "option 'workers' must be a positive integer or \"auto\", got 0", { workers = 0 } },
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
    local path = unused_path()
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

local function virtually(fn)
  return function()
    curio.run { fn, clock = testing.autojump() }
  end
end

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
  it("tries again when it concerned one connection only", virtually(function()
    local lines, _ <close> = logging()
    local sock = scripted("ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH")
    curio.ignore_after(1, curio.run_server, sock, echo)
    assert.equal(5, sock.played())
    assert.same({}, lines)
  end))

  it("pauses for want of descriptors or memory, longer and longer", virtually(function()
    local _, _ <close> = logging()
    local sock = scripted("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EMFILE", "EMFILE", "EMFILE")
    curio.spawn(curio.run_server, sock, echo)
    for played, seconds in ipairs { 0.05, 0.1, 0.2, 0.4, 0.8, 1 } do
      curio.sleep(seconds)
      assert.equal(played, sock.played())
    end
  end))

  it("says so once a minute", virtually(function()
    local lines, _ <close> = logging()
    local codes = {}
    for i = 1, 100 do
      codes[i] = "EMFILE"
    end
    curio.ignore_after(90, curio.run_server, scripted(table.unpack(codes)), echo)
    assert.equal(2, #lines)
    assert.matches("^warning: .*EMFILE", lines[1])
  end))

  it("raises anything else", virtually(function()
    local sock = scripted("ECONNABORTED", "EBADF")
    local err = raises(curio.OSError, curio.run_server, sock, echo)
    assert.equal("EBADF", err.code)
  end))
end)

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
