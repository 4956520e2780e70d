-- LuaSocket's socket.unix on curio's sockets: streams and datagrams by paths.

local helper = require "spec.helper"
local servers = require "spec.servers"
local sockets = require "spec.sockets"
local socket = require "curio.interop.luasocket"
local unix = require "curio.interop.luasocket.unix"

local run = sockets.run

-- A path where a socket can be, and what removes it.
local function place()
  local path = sockets.unused_path()
  return path, helper.closing(function()
    os.remove(path)
  end)
end

-- A server object, and its path.
local function listening(path)
  local server = assert(unix.stream())
  assert(server:bind(path))
  assert(server:listen())
  return server
end

local function pair()
  local path, _ <close> = place()
  local server <close> = listening(path)
  local one = assert(unix.stream())
  assert(one:connect(path))
  local other = assert(server:accept())
  return one, other, sockets.closer(one, other)
end

local function dgram_pair()
  local path, _ <close> = place()
  local one, other = assert(unix.dgram()), assert(unix.dgram())
  assert(one:bind(path))
  assert(other:connect(path))
  return one, other, sockets.closer(one, other)
end

-- The call of a method waits, and wakes: at its timeout, when cancelled, when closed.
local function waits_and_wakes(object, closed_word, method, ...)
  object:settimeout(0.01)
  local got = table.pack(object[method](object, ...))
  assert.is_nil(got[1])
  assert.equal("timeout", got[2])
  object:settimeout(nil)
  helper.can_be_interrupted("READ_WAIT", object[method], object, ...)
  local task = helper.spawn(object[method], object, ...)
  object:close()
  task:join()
  assert.is_nil(task.results[1])
  assert.equal(closed_word, task.results[2])
end

describe("a stream", function()
  it("sends and receives as one of tcp does", run(function()
    local one, other, _ <close> = pair()
    assert.equal(9, one:send "one\ntwo\nx")
    assert.equal("one", other:receive())
    assert.equal("two", other:receive "*l")
    one:close()
    assert.same({ nil, "closed", "x" }, { other:receive(5) })
    assert.matches("^unixstream{client}: 0x", tostring(other))
  end))

  it("waits, and wakes", run(function()
    local one, _, _ <close> = pair()
    waits_and_wakes(one, "closed", "receive", 5)
    local path, _ <close> = place()
    local server <close> = listening(path)
    waits_and_wakes(server, "closed", "accept")
  end))

  it("waits for room, and wakes", run(function()
    local one, other, _ <close> = pair()
    one:settimeout(0.01)
    local done, err, last = one:send(sockets.BIG)
    assert.same({ nil, "timeout" }, { done, err })
    assert.is_true(last > 0 and last < #sockets.BIG)
    one:settimeout(nil)
    helper.can_be_interrupted("WRITE_WAIT", one.send, one, sockets.BIG)
    local task = helper.spawn(one.send, one, sockets.BIG)
    assert.is_true(#assert(other:receive(last)) == last)
    task:cancel()
    task = helper.spawn(one.send, one, sockets.BIG)
    one:close()
    task:join()
    assert.same({ nil, "closed" }, { task.results[1], task.results[2] })
  end))

  it("is waited for by select", run(function()
    local one, other, _ <close> = pair()
    other:send "x"
    local readers = socket.select({ one, other })
    assert.equal(1, #readers)
    assert.equal(one, readers[1])
  end))

  it("that cannot be connected has no descriptor any more", run(function()
    local one <close> = assert(unix())
    assert.same({ nil, "No such file or directory" }, { one:connect(sockets.unused_path()) })
    assert.equal(-1, one:getfd())
    assert.same({ nil, "closed" }, { one:connect "/anything" })
    local two <close> = assert(unix.tcp())
    assert.same({ nil, "path too long" }, { two:bind(("x"):rep(200)) })
  end))
end)

describe("a datagram object", function()
  it("sends to a path and tells whence it received", run(function()
    local one, other, _ <close> = dgram_pair()
    assert.equal(5, other:send "hello")
    assert.same({ "hello", "" }, { one:receivefrom() })
    local path, _ <close> = place()
    local third <close> = assert(unix.udp())
    assert.equal(1, third:bind(path))
    assert.equal(path, third:getsockname())
    assert.equal(2, third:sendto("hi", path)) -- to itself
    assert.same({ "hi", path }, { third:receivefrom() })
    assert.equal(0, third:sendto("", path))
    assert.equal("", third:receive())
  end))

  it("waits, and wakes", run(function()
    local one, _, _ <close> = dgram_pair()
    waits_and_wakes(one, "refused", "receivefrom")
  end))
end)

-- The module in LuaSocket's place, and what puts things back.
local function installed()
  local before, path = {}, package.path
  for _, name in ipairs { "socket", "socket.core", "socket.unix" } do
    before[name] = package.loaded[name] or false
  end
  socket.install()
  package.path = package.path .. ";/usr/share/lua/5.4/?.lua;/usr/share/lua/5.3/?.lua"
  return helper.closing(function()
    package.path = path
    for name, module in pairs(before) do
      package.loaded[name] = module or nil
    end
  end)
end

it("redis-lua talks to Redis by a path", run(function()
  local _ <close> = installed()
  assert.equal(unix, require "socket.unix")
  local redis = require "redis"
  local server <close> = servers.redis()
  local client = redis.connect { scheme = "unix", path = server.dir .. "/socket" }
  assert.is_true(client:set("key", "value"))
  assert.equal("value", client:get "key")
  client:quit()
end))

describe("the annotations of socket.unix", function()
  local text = helper.read "types/interop/luasocket/unix.lua"
  local reference = helper.read "docs/reference.md":match "\n## LuaSocket\n(.-)\n## "

  it("leave nothing out, nor does the reference", run(function()
    local stream <close> = assert(unix.stream())
    local dgram <close> = assert(unix.dgram())
    local lists = { ["unix."] = unix, ["Stream:"] = getmetatable(stream).__index,
      ["Dgram:"] = getmetatable(dgram).__index }
    for prefix, list in pairs(lists) do
      for name in pairs(list) do
        local there = text:find("function " .. prefix .. name .. "(", 1, true)
          or text:find("function Any:" .. name .. "(", 1, true)
        assert.truthy(there, prefix .. name)
        assert.truthy(reference:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
      end
    end
  end))
end)
