local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local is_os_error = sockets.is_os_error
local unused_path = sockets.unused_path

-- What the system makes of an address: a socket is bound to it and asked for its name.
local function bound(family, ...)
  local sock <close> = assert(socket.socket(family))
  assert(sock:bind(...))
  return assert(sock:getsockname())
end

-- The address of a numeric host, without asking the system for anything.
local function address(host, port)
  return assert(socket.getaddrinfo(host, port, { type = socket.SOCK_STREAM }))[1].addr
end

-- The message of the error that connecting a socket of that family raises.
local function misuse(family, ...)
  local sock <close> = assert(socket.socket(family))
  local done, err = pcall(function(...)
    sock:connect(...)
  end, ...)
  assert.is_false(done)
  return err
end

describe("an IPv4 address", function()
  it("is a table of host and port", run(function()
    local addr = address("127.0.0.1", 80)
    assert.equal("127.0.0.1", addr[1])
    assert.equal(80, addr[2])
    assert.equal(2, #addr)
    local host, port = table.unpack(addr)
    assert.equal("127.0.0.1", host)
    assert.equal(80, port)
  end))

  it("has fields by name too", run(function()
    local addr = address("127.0.0.1", 80)
    assert.equal("127.0.0.1", addr.host)
    assert.equal(80, addr.port)
    assert.equal(socket.AF_INET, addr.family)
    assert.is_nil(addr.path)
    assert.is_nil(addr.flowinfo)
    assert.is_nil(addr.scopeid)
    assert.is_nil(addr.nonsense)
    assert.is_nil(addr[3])
  end))

  it("prints as host:port", run(function()
    assert.equal("127.0.0.1:80", tostring(address("127.0.0.1", 80)))
  end))

  it("equals an address of the same place", run(function()
    assert.is_true(address("127.0.0.1", 80) == address("127.0.0.1", 80))
    assert.is_true(address("127.0.0.1", 80) == { "127.0.0.1", 80 })
    assert.is_false(address("127.0.0.1", 80) == address("127.0.0.1", 81))
    assert.is_false(address("127.0.0.1", 80) == address("127.0.0.2", 80))
    assert.is_false(address("127.0.0.1", 80) == address("::1", 80))
    assert.is_false(address("127.0.0.1", 80) == { "localhost", 80 })
    assert.is_false(address("127.0.0.1", 80) == {})
  end))

  it("can be made of an empty host", run(function()
    assert.equal("0.0.0.0", bound(socket.AF_INET, "", 0).host)
  end))

  it("can be given again as it came", run(function()
    local addr = bound(socket.AF_INET, { "127.0.0.1", 0 })
    assert.equal(addr, bound(socket.AF_INET, addr))
    assert.equal(addr, bound(socket.AF_INET, table.unpack(addr)))
    assert.equal(addr, bound(socket.AF_INET, addr.host, addr.port))
  end))

  it("prints even when it has been tampered with", run(function()
    local addr = address("127.0.0.1", 80)
    addr[1] = "not numeric"
    assert.equal("not numeric", tostring(addr))
    addr[1] = nil
    assert.equal("curio.address (malformed)", tostring(addr))
    addr[1], addr[2] = "127.0.0.1", "http"
    assert.equal("127.0.0.1", tostring(addr))
    assert.is_false(addr == address("127.0.0.1", 80))
  end))
end)

describe("an IPv6 address", function()
  it("tells flow label and scope", run(function()
    local addr = address("::1", 80)
    assert.equal("::1", addr.host)
    assert.equal(socket.AF_INET6, addr.family)
    assert.equal(0, addr.flowinfo)
    assert.equal(0, addr.scopeid)
    assert.equal(2, #addr)
  end))

  it("keeps the scope that belongs to a link", run(function()
    local addr = address("fe80::1%1", 80)
    assert.equal(1, addr.scopeid)
    assert.equal(4, #addr)
    assert.matches("^fe80::1%%", addr.host)
    assert.matches("^%[fe80::1%%[^%]]+%]:80$", tostring(addr))
    assert.is_false(addr == address("fe80::1%2", 80))
  end))

  it("prints with brackets", run(function()
    assert.equal("[::1]:80", tostring(address("::1", 80)))
  end))

  it("equals itself in other words", run(function()
    assert.is_true(address("::1", 80) == { "0:0:0:0:0:0:0:1", 80 })
    assert.is_true(address("::1", 80) == { "::1", 80, 7, 0 }) -- flow labels do not count
    assert.is_false(address("::1", 80) == { "::1", 80, 0, 7 })
  end))
end)

describe("a Unix address", function()
  it("is its path, and prints as it", run(function()
    local path = unused_path()
    local addr = bound(socket.AF_UNIX, path)
    os.remove(path)
    assert.equal(path, addr[1])
    assert.equal(path, addr.path)
    assert.equal(path, tostring(addr))
    assert.equal(socket.AF_UNIX, addr.family)
    assert.is_nil(addr.host)
    assert.is_nil(addr.port)
    assert.is_true(addr == { path })
    assert.equal(addr, bound(socket.AF_UNIX, { path }))
    os.remove(path)
  end))

  it("may be an abstract name, printed with an @", run(function()
    local name = "\0curio-address-" .. unused_path()
    local addr = bound(socket.AF_UNIX, name)
    assert.equal(name, addr.path)
    assert.equal("@" .. name:sub(2), tostring(addr))
    assert.equal(addr, bound(socket.AF_UNIX, addr))
  end))

  it("may be none", run(function()
    local a <close> = assert(socket.socketpair())
    local addr = a:getsockname()
    assert.equal("", addr.path)
    assert.equal("(unnamed)", tostring(addr))
  end))
end)

describe("what is no address", function()
  it("raises an error that names the call and the value", run(function()
    local cases = {
      { "#1 to 'connect' %(the host must be a string, not nil%)", nil, 80 },
      { "#1 to 'connect' %(the host must be a string, not true%)", true, 80 },
      { "#2 to 'connect' %(the port must be 0 to 65535, not nil%)", "127.0.0.1" },
      { "#2 to 'connect' %(the port must be 0 to 65535, not http%)", "127.0.0.1", "http" },
      { "#2 to 'connect' %(the port must be 0 to 65535, not 65536%)", "127.0.0.1", 65536 },
      { "#2 to 'connect' %(the port must be 0 to 65535, not %-1%)", "127.0.0.1", -1 },
      { "#2 to 'connect' %(the port must be 0 to 65535, not 1.5%)", "127.0.0.1", 1.5 },
      { "#1 to 'connect' %(the port of {host, port} must be 0 to 65535, not nil%)", {} },
      { "#1 to 'connect' %(the host must be a string, not 7%)", { 7, 7 } },
      { "#1 to 'connect' %(the scope must be a number, not x%)", { "::1", 7, 0, "x" } },
    }
    for _, case in ipairs(cases) do
      assert.matches("bad argument " .. case[1], misuse(socket.AF_INET, table.unpack(case, 2, 3)))
    end
  end))

  it("is told for Unix sockets too", run(function()
    assert.matches("the path must be a string, not nil", misuse(socket.AF_UNIX, nil))
    assert.matches("a Unix address is a path alone: it has no port, not 80",
      misuse(socket.AF_UNIX, "127.0.0.1", 80))
    assert.matches("a Unix address is {path}: it has no port", misuse(socket.AF_UNIX, { "x", 80 }))
  end))

  it("is told for families that are not supported", run(function()
    if socket.AF_NETLINK then
      local sock <close> = assert(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
      local done, err = pcall(sock.bind, sock, 0)
      assert.is_false(done)
      assert.matches("addresses of family %d+ are not supported", err)
      assert.equal(socket.AF_NETLINK, sock:getsockname().family)
    end
  end))

  it("is returned as an error where the system would refuse it", run(function()
    local sock <close> = assert(socket.socket())
    is_os_error("EINVAL", "connect", sock:connect("127.0.0.1\0", 80))
    local other <close> = assert(socket.socket(socket.AF_UNIX))
    is_os_error("EINVAL", "connect", other:connect("/tmp/a\0b"))
  end))

  it("may be an address of another family", run(function()
    local sock <close> = assert(socket.socket())
    local value, err = sock:connect("::1", 80)
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ResolveError), tostring(err))
  end))
end)
