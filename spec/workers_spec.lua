-- tcp_server with workers: one server in several threads.

local curio = require "curio"
local helper = require "spec.helper"

local describe, assert, it = describe, assert, helper.task_it(it)
local raises = helper.raises
_ENV = helper.globals -- see helper.globals: of what goes to a thread

local HOST = "127.0.0.1"

local function echo(client)
  for chunk in client:chunks(1000) do
    client:sendall(chunk)
  end
end

-- Says which state serves, and then echoes.
local function tell_state(client)
  client:sendall(tostring(require "string") .. "\n")
  echo(client)
end

-- A server that listens, and where.
local function serve(handler, opts)
  local bound = curio.Result()
  opts.ready = function(addr)
    bound:set_value(addr)
  end
  local task = curio.spawn(curio.tcp_server, HOST, 0, handler, opts)
  return task, bound:unwrap()
end

local function connect(addr)
  return assert(curio.open_connection(addr.host, addr.port))
end

describe("tcp_server with workers", function()
  it("serves in so many states, on one port", function()
    local server, addr = serve(tell_state, { workers = 3 })
    local states, n, clients = {}, 0, {}
    while n < 3 do -- the system spreads connections by their addresses
      local client = connect(addr)
      clients[#clients + 1] = client
      local state = client:recv(100)
      n = n + (states[state] and 0 or 1)
      states[state] = true
    end
    clients[1]:sendall "hello"
    assert.equal("hello", clients[1]:recv(100))
    server:cancel()
    for _, client in ipairs(clients) do
      client:close()
    end
  end)

  it("gives each a copy of the handler with its upvalues", function()
    local greeting = { text = "good day" }
    local server, addr = serve(function(client)
      client:sendall(greeting.text)
    end, { workers = 2 })
    greeting.text = "changed"
    local client = connect(addr)
    assert.equal("good day", client:recv(100))
    assert.is_nil(client:recv(100))
    client:close()
    server:cancel()
  end)

  it('takes "auto", and nothing else that is no positive integer', function()
    local server, addr = serve(echo, { workers = "auto" })
    local client = connect(addr)
    client:sendall "x"
    assert.equal("x", client:recv(1))
    client:close()
    server:cancel()
    for _, wrong in ipairs { 0, -1, 1.5, "many", true } do
      assert.matches("option 'workers'",
        helper.raised(curio.tcp_server, HOST, 0, echo, { workers = wrong }))
    end
  end)

  it("returns why it cannot listen", function()
    local taken = assert(curio.tcp_server_socket(HOST, 0))
    local done, err = curio.tcp_server(HOST, taken:getsockname().port, echo, { workers = 2 })
    taken:close()
    assert.is_nil(done)
    assert.equal("EADDRINUSE", err.code)
  end)

  it("refuses a handler that cannot be sent", function()
    local co = coroutine.create(print)
    local err = raises(curio.errors.CurioError, curio.tcp_server, HOST, 0, function()
      return co
    end, { workers = 2 })
    assert.matches("upvalue co>: cannot send a coroutine", err.message)
  end)

  it("reports a handler that fails through the caller's log, and goes on", function(lines)
    local server, addr = serve(function(client)
      local text = client:recv(100)
      if text == "fail" then
        error "it broke"
      end
      client:sendall(text)
    end, { workers = 2 })
    local client = connect(addr)
    client:sendall "fail"
    assert.is_nil(client:recv(100))
    client:close()
    client = connect(addr)
    client:sendall "fine"
    assert.equal("fine", client:recv(100))
    client:close()
    server:cancel()
    assert.equal(1, #lines)
    assert.matches("^error: task .* crashed: .*it broke", lines[1])
  end)

  it("when cancelled cancels the handlers and waits for them", function()
    local log = curio.UniversalQueue()
    local server, addr = serve(function(client)
      local _ <close> = setmetatable({}, {
        __close = function(_, err)
          log:try_put(err and err.name or "ended")
        end,
      })
      client:sendall "in"
      client:recv(1)
    end, { workers = 2 })
    local client = connect(addr)
    assert.equal("in", client:recv(2))
    server:cancel()
    assert.same({ true, "TaskCancelled" }, { log:try_get() })
    client:close()
    local refused, err = curio.open_connection(addr.host, addr.port)
    assert.is_nil(refused)
    assert.equal("ECONNREFUSED", err.code)
  end)

  it("gives handlers the grace to finish", function()
    local server, addr = serve(function(client)
      client:sendall "in"
      client:sendall(client:recv(100))
    end, { workers = 2, grace = 1000 })
    local client = connect(addr)
    assert.equal("in", client:recv(2))
    local ending = helper.started(server.cancel, server)
    curio.sleep(0.01)
    assert.is_false(server.terminated)
    client:sendall "bye"
    assert.equal("bye", client:recv(100))
    ending:join()
    client:close()
  end)

  it("serves no more than max_connections at a time", function()
    local server, addr = serve(function(client)
      client:sendall "in"
      client:recv(1)
    end, { workers = 4, max_connections = 1 })
    local a, b = connect(addr), connect(addr)
    assert.equal("in", a:recv(2))
    raises(curio.errors.TaskTimeout, curio.timeout_after, 0.05, b.recv, b, 2)
    a:close()
    assert.equal("in", b:recv(2))
    b:close()
    server:cancel()
  end)

  it("ends when its kernel does", function()
    local addr = curio.run_in_thread(curio.run, function(host)
      local bound = curio.Result()
      curio.spawn(curio.tcp_server, host, 0, print, {
        workers = 2,
        ready = function(at)
          bound:set_value(at.port)
        end,
      })
      return bound:unwrap()
    end, HOST)
    local refused, err = curio.open_connection(HOST, addr)
    assert.is_nil(refused)
    assert.equal("ECONNREFUSED", err.code)
  end)

  it("makes a TLS context in each thread, of the options for one", function()
    local made = require("spec.tls").certificates()
    local _ <close> = helper.closing(made.remove)
    local server, addr = serve(echo, {
      workers = 2,
      ssl = { certfile = made.server.cert, keyfile = made.server.key },
    })
    local ctx = assert(curio.ssl.create_default_context { cafile = made.ca.ca })
    for _ = 1, 4 do
      local client <close> = assert(curio.open_connection(addr.host, addr.port, {
        ssl = ctx, server_hostname = "localhost",
      }))
      client:sendall "hello"
      assert.equal("hello", client:recv(100))
    end
    server:cancel()
    local done, err = curio.tcp_server(HOST, 0, echo, {
      workers = 2, ssl = { certfile = "/nowhere/x.pem" },
    })
    assert.is_nil(done)
    assert.equal("ENOENT", err.code)
    assert.matches("option 'ssl' must be a server's SSLContext",
      helper.raised(curio.tcp_server, HOST, 0, echo, { workers = 2, ssl = ctx }))
  end)

  it("is an option of tcp_server alone", function()
    assert.matches("unknown option 'workers'",
      helper.raised(curio.unix_server, "/nowhere", echo, { workers = 2 }))
  end)
end)
