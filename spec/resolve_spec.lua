local curio = require "curio"
local helper = require "spec.helper"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local listener = sockets.listener
local is_os_error = sockets.is_os_error
local raises = sockets.raises

describe("getaddrinfo", function()
  it("answers for numbers at once", run(function()
    local list = assert(socket.getaddrinfo("127.0.0.1", 80, { type = socket.SOCK_STREAM }))
    assert.equal(1, #list)
    assert.equal(socket.AF_INET, list[1].family)
    assert.equal(socket.SOCK_STREAM, list[1].type)
    assert.equal("127.0.0.1:80", tostring(list[1].addr))
  end))

  it("answers for names and services", run(function()
    local list = assert(socket.getaddrinfo("localhost", "80", {
      family = socket.AF_INET, type = socket.SOCK_STREAM, flags = socket.AI_CANONNAME,
    }))
    assert.equal("127.0.0.1", list[1].addr.host)
    assert.equal(80, list[1].addr.port)
    assert.equal("string", type(list[1].canonname))
  end))

  it("answers for this machine without a host", run(function()
    local opts = { family = socket.AF_INET, type = socket.SOCK_STREAM, flags = socket.AI_PASSIVE }
    assert.equal("0.0.0.0:80", tostring(assert(socket.getaddrinfo(nil, 80, opts))[1].addr))
  end))

  it("lets other tasks run meanwhile", run(function()
    local events = {}
    local task = curio.spawn(function()
      socket.getaddrinfo("localhost", 80)
      events[#events + 1] = "answer"
    end)
    curio.schedule()
    events[#events + 1] = "meanwhile"
    task:join()
    assert.same({ "meanwhile", "answer" }, events)
  end))

  it("returns a ResolveError with the code's name", run(function()
    local value, err = socket.getaddrinfo("localhost", 80, { flags = socket.AI_NUMERICHOST })
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ResolveError))
    assert.is_true(curio.is(err, curio.OSError))
    assert.equal("EAI_NONAME", err.code)
    assert.equal("getaddrinfo", err.op)
    assert.equal("localhost", err.subject)
    assert.matches("^ResolveError: getaddrinfo localhost: ", tostring(err))
    value, err = socket.getaddrinfo("with\0nul", 80)
    assert.is_nil(value)
    assert.equal("EAI_NONAME", err.code)
  end))

  it("times out", run(function()
    raises(curio.TaskTimeout, curio.timeout_after, 0, socket.getaddrinfo, "localhost", 80)
    assert(socket.getaddrinfo("localhost", 80))
  end))

  it("is cancelled while asleep", run(function()
    local fifo, holders = os.tmpname(), {}
    os.remove(fifo)
    os.execute("mkfifo " .. fifo)
    for i = 1, 64 do -- each holds a thread of those that do the work until somebody writes
      holders[i] = helper.spawn(curio.aopen, fifo)
    end
    local task = helper.spawn(socket.getaddrinfo, "localhost", 80)
    task:cancel()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    local _ <close> = assert(io.open(fifo, "w"))
    for _, holder in ipairs(holders) do
      holder:join():close()
    end
    os.remove(fifo)
    assert(socket.getaddrinfo("localhost", 80))
  end))

  it("checks its arguments", run(function()
    assert.error_matches(function()
      socket.getaddrinfo("localhost", 80, { famly = 1 })
    end, "getaddrinfo: unknown option 'famly' %(known: family, type, proto, flags%)")
    assert.error_matches(function()
      socket.getaddrinfo("localhost", 70000)
    end, "the port must be 0 to 65535, not 70000")
    assert.error_matches(function()
      socket.getaddrinfo({}, 80)
    end, "string expected, got table")
  end))
end)

describe("names", function()
  it("are found for addresses", run(function()
    local flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert.same({ "127.0.0.1", "80" }, { socket.getnameinfo({ "127.0.0.1", 80 }, flags) })
    assert.same({ "127.0.0.1", "80" }, { socket.getnameinfo("127.0.0.1", 80, flags) })
    assert.equal("string", type(assert(socket.getnameinfo { "127.0.0.1", 80 })))
  end))

  it("are not asked for by name", run(function()
    local value, err = socket.getnameinfo { "localhost", 80 }
    assert.is_nil(value)
    assert.equal("EAI_NONAME", err.code)
    assert.has_error(function()
      socket.getnameinfo("127.0.0.1")
    end)
  end))

  it("of hosts have an address", run(function()
    assert.equal("127.0.0.1", socket.gethostbyname("localhost"))
    local value, err = socket.gethostbyname(("x"):rep(70))
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ResolveError))
  end))

  it("of this machine are known", run(function()
    assert.is_true(#socket.gethostname() > 0)
    assert.is_true(#socket.getfqdn() > 0)
    assert.equal(("x"):rep(70), socket.getfqdn(("x"):rep(70)))
  end))
end)

describe("create_connection", function()
  it("connects, from an address of choice", run(function()
    local sock, addr, _ <close> = listener()
    local client <close> = assert(socket.create_connection("localhost", addr.port))
    assert.equal(addr, client:getpeername())
    assert(sock:accept()):close()
    local opts = { source = { "127.0.0.1", 0 } }
    local other <close> = assert(socket.create_connection("127.0.0.1", addr.port, opts))
    assert.equal("127.0.0.1", other:getsockname().host)
  end))

  it("returns why it could not", run(function()
    local sock, addr = listener()
    sock:close()
    is_os_error("ECONNREFUSED", "connect", socket.create_connection("127.0.0.1", addr.port))
    local value, err = socket.create_connection(("x"):rep(70), 80)
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ResolveError))
    assert.error_matches(function()
      socket.create_connection("localhost", 80, { timeout = 1 })
    end, "create_connection: unknown option 'timeout' %(known: source%)")
  end))
end)
