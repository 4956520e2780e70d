-- LuaSocket's module on curio's sockets: its objects, its timeouts, its words; and what it adds,
-- that others run meanwhile and that cancellation passes through.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local testing = require "curio.testing"
local socket = require "curio.interop.luasocket"

local run = sockets.run

-- A client object and the one accepted for it, and what closes both.
local function pair()
  local server <close> = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  local one = assert(socket.connect("127.0.0.1", port))
  local other = assert(server:accept())
  return one, other, sockets.closer(one, other)
end

local function fill(object)
  object:settimeout(0.02)
  repeat
    local done = object:send(sockets.BIG)
  until not done
  object:settimeout(nil)
end


local function is_cancelled(task)
  task:cancel()
  assert.is_true(curio.is(task.exception, curio.TaskCancelled))
end

describe("a bridged object", function()
  it("times out while it waits, and says what had come", run(function()
    local one, other, _ <close> = pair()
    one:settimeout(0.02)
    other:send "some"
    assert.same({ nil, "timeout", "some" }, { one:receive(10) })
    assert.same({ nil, "timeout", "" }, { one:receive "*l" })
    assert.same({ nil, "timeout", "" }, { one:receive "*a" })
    local server <close> = assert(socket.bind("127.0.0.1", 0))
    server:settimeout(0.02, "t")
    assert.same({ nil, "timeout" }, { server:accept() })
    local udp <close> = assert(socket.udp4())
    udp:setsockname("127.0.0.1", 0)
    udp:settimeout(0.02)
    assert.same({ nil, "timeout" }, { udp:receive() })
    assert.same({ nil, "timeout" }, { udp:receivefrom() })
  end))

  it("times out while it sends, and tells the last byte sent", run(function()
    local one, other, _ <close> = pair()
    one:settimeout(0.02)
    local total = 0
    while true do
      local n, err, last = one:send(sockets.BIG)
      total = total + (n or last)
      if not n then
        assert.equal("timeout", err)
        break
      end
    end
    one:settimeout(0)
    assert.same({ nil, "timeout", 4 }, { one:send("abcdef", 5) })
    one:close()
    assert.equal(total, #other:receive "*a")
  end))

  it("without time does not wait, yet takes what is there, and lets others run", run(function()
    local one, other, _ <close> = pair()
    one:settimeout(0)
    local turns = 0
    local task = curio.spawn(function()
      while true do
        turns = turns + 1
        curio.schedule()
      end
    end)
    for _ = 1, 5 do
      assert.same({ nil, "timeout", "" }, { one:receive() })
    end
    assert.is_true(turns >= 5)
    other:send "now\n"
    socket.select({ one })
    assert.equal("now", one:receive())
    local server <close> = assert(socket.bind("127.0.0.1", 0))
    server:settimeout(0)
    assert.same({ nil, "timeout" }, { server:accept() })
    local client <close> = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
    socket.select({ server })
    local accepted <close> = assert(server:accept())
    assert.equal(select(2, client:getsockname()), select(2, accepted:getpeername()))
    task:cancel()
  end))

  it("is cancelled while it waits, and loses nothing", run(function()
    local one, other, _ <close> = pair()
    for _, limit in ipairs { -1, 60 } do
      one:settimeout(limit)
      other:send "one"
      local task = curio.spawn(one.receive, one, "*l")
      sockets.until_asleep(task, "READ_WAIT")
      repeat -- until the task has that
        curio.schedule()
      until one:dirty()
      is_cancelled(task)
      other:send " two\nrest"
      assert.equal("one two", one:receive())
      assert.equal("rest", one:receive(4))
    end
    fill(one)
    local task = curio.spawn(one.send, one, sockets.BIG)
    sockets.until_asleep(task, "WRITE_WAIT")
    is_cancelled(task)
  end))

  it("tells how much was sent when it is cancelled, with limits too", run(function()
    for _, limit in ipairs { -1, 60 } do
      local one, other, _ <close> = pair()
      one:settimeout(limit)
      local task = curio.spawn(one.send, one, sockets.BIG)
      sockets.until_asleep(task, "WRITE_WAIT")
      is_cancelled(task)
      one:close()
      assert.equal(#other:receive "*a", task.exception.bytes_sent)
    end
  end))

  it("lets an outer deadline through as what it is", run(function()
    local one, _, _ <close> = pair()
    for _, limit in ipairs { -1, 60 } do
      one:settimeout(limit)
      helper.raises(curio.TaskTimeout, function()
        curio.timeout_after(0.01, socket.protect(function()
          return one:receive()
        end))
      end)
    end
    one:settimeout(0)
    helper.raises(curio.TaskTimeout, function()
      curio.timeout_after(0.01, function()
        while true do
          one:receive()
        end
      end)
    end)
  end))

  it("that is closed wakes who waits on it", run(function()
    for _, limit in ipairs { -1, 60 } do
      local one, _, _ <close> = pair()
      one:settimeout(limit)
      local task = curio.spawn(one.receive, one)
      sockets.until_asleep(task, "READ_WAIT")
      one:close()
      task:join()
      assert.same({ nil, "closed", "", n = 3 }, task.results)
      local server <close> = assert(socket.bind("127.0.0.1", 0))
      server:settimeout(limit)
      task = curio.spawn(server.accept, server)
      sockets.until_asleep(task, "READ_WAIT")
      server:close()
      task:join()
      assert.same({ nil, "closed", n = 2 }, task.results)
    end
    local one, _, _ <close> = pair()
    fill(one)
    local task = curio.spawn(one.send, one, sockets.BIG)
    sockets.until_asleep(task, "WRITE_WAIT")
    one:close()
    task:join()
    assert.equal("closed", task.results[2])
  end))

  it("connects within its timeout, or is cancelled", run(function()
    local _, addr, _ <close> = sockets.nowhere()
    local one <close> = socket.tcp()
    one:settimeout(0.02)
    assert.same({ nil, "timeout" }, { one:connect(addr.host, addr.port) })
    local other <close> = socket.tcp()
    local task = curio.spawn(other.connect, other, addr.host, addr.port)
    sockets.until_asleep(task, "WRITE_WAIT")
    is_cancelled(task)
    task = curio.spawn(socket.connect, addr.host, addr.port)
    sockets.until_asleep(task, "WRITE_WAIT")
    is_cancelled(task)
  end))

  it("gives its descriptor away, and takes one", run(function()
    local one, other, _ <close> = pair()
    local fd = one:getfd()
    one:setfd(-1)
    assert.equal(-1, one:getfd())
    local new, _, _ <close> = pair()
    new:close()
    new:setfd(fd)
    assert.equal(fd, new:getfd())
    other:send "hello\n"
    assert.equal("hello", new:receive())
  end))

  it("takes long lines and large blocks in pieces", run(function()
    local one, other, _ <close> = pair()
    local line = ("x"):rep(300000)
    local task = curio.spawn(function()
      other:send(line .. "\r\n")
      other:send(line .. line .. "tail")
      other:close()
    end)
    assert.is_true(one:receive() == line)
    assert.is_true(one:receive(#line) == line)
    assert.is_true(one:receive(#line, "head") == "head" .. line:sub(5))
    assert.is_true(one:receive "*a" == "xxxxtail")
    assert.same({ nil, "closed", "" }, { one:receive "*a" })
    task:join()
  end))

  it("is IPv6, too", run(function()
    local server <close> = assert(socket.bind("::1", 0))
    local host, port, family = server:getsockname()
    assert.same({ "::1", "inet6" }, { host, family })
    local client <close> = assert(socket.connect6("::1", port))
    assert.equal("inet6", client:getfamily())
    assert.is_nil((socket.connect4("::1", port)))
    local udp <close> = assert(socket.udp6())
    assert.equal(1, udp:setsockname("::1", 0))
  end))
end)

describe("timeouts", function()
  local it_jumps = helper.task_it(it, testing.autojump())

  it_jumps("bound each wait, the whole call, or both", function()
    local one, other, _ <close> = pair()
    local function receive(block, total)
      one:settimeout(block)
      one:settimeout(total, "t")
      local start = curio.clock()
      local data, err, part = one:receive(7)
      return err, curio.clock() - start, #(data or part)
    end
    local function bytes_come()
      for _ = 1, 7 do
        other:send "."
        curio.sleep(10)
      end
    end
    for _, case in ipairs {
      { 15, nil, nil, 60, 7 },
      { 5, nil, "timeout", 5, 1 },
      { nil, 35, "timeout", 35, 4 },
      { 15, 35, "timeout", 35, 4 },
      { 5, 35, "timeout", 5, 1 },
      { -1, -1, nil, 60, 7 },
      { 15, 70, nil, 60, 7 },
    } do
      local task = curio.spawn(bytes_come)
      local err, seconds, bytes = receive(case[1], case[2])
      assert.equal(case[3], err)
      assert.near(case[4], seconds, 0.5)
      assert.equal(case[5], bytes)
      task:join()
      one:settimeout(0)
      one:settimeout(nil, "t")
      one:receive(7 - bytes)
    end
  end)
end)

describe("select", function()
  it("waits for one of many", run(function()
    local one, other, _ <close> = pair()
    local two, another, _ <close> = pair()
    local task = helper.spawn(socket.select, { one, two }, nil)
    another:send "x"
    task:join()
    assert.equal(two, task.results[1][1])
    assert.equal(1, task.results[1][two])
    other:send "x"
    local reads, writes = socket.select({ one, two }, { one })
    assert.same({ 2, 1 }, { #reads, #writes })
  end))

  it("is cancelled, and leaves nobody waiting on its objects", run(function()
    local one, other, _ <close> = pair()
    local two, _, _ <close> = pair()
    is_cancelled(helper.spawn(socket.select, { one, two }))
    is_cancelled(helper.spawn(socket.select, { one }, nil, 60))
    is_cancelled(helper.spawn(socket.select, {}, nil, 60))
    other:send "x\n"
    assert.equal("x", one:receive())
  end))

  it("goes on without an object that is closed meanwhile", run(function()
    local one, _, _ <close> = pair()
    local two, other, _ <close> = pair()
    local task = helper.spawn(socket.select, { one, two })
    one:close()
    other:send "x"
    task:join()
    assert.equal(two, task.results[1][1])
  end))
end)

describe("install", function()
  it("puts the module in LuaSocket's place, and forgets what was bound to another", run(function()
    local names = { "socket", "socket.core", "socket.url" }
    local before = {}
    for _, name in ipairs(names) do
      before[name] = package.loaded[name]
    end
    package.loaded["socket"], package.loaded["socket.url"] = {}, {}
    assert.equal(socket, socket.install())
    assert.equal(socket, require "socket")
    assert.equal(socket, require "socket.core")
    assert.is_nil(package.loaded["socket.url"])
    package.loaded["socket.url"] = "bound to us"
    socket.install()
    assert.equal("bound to us", package.loaded["socket.url"])
    for _, name in ipairs(names) do
      package.loaded[name] = before[name]
    end
  end))

  it("is of no use where no kernel runs", function()
    if not helper.under_program then
      local object = socket.tcp()
      assert.error_matches(function()
        object:connect("127.0.0.1", 1)
      end, "no curio kernel is running")
      object:close()
    end
  end)
end)

describe("protect", function()
  it("lets cancellation through, and calls the finalizers inside", run(function()
    local events = {}
    local body = socket.protect(function()
      local try = socket.newtry(function()
        table.insert(events, "finalizer")
      end)
      try(true)
      pcall(socket.protect(function()
        socket.newtry(function()
          table.insert(events, "of a call that has ended")
        end)
      end))
      curio.sleep(60)
    end)
    local task = curio.spawn(body)
    sockets.until_asleep(task, "TIME_SLEEP")
    is_cancelled(task)
    assert.same({ "finalizer" }, events)
  end))

  it("shows what was tried where nobody protects", run(function()
    assert.error_matches(function()
      socket.try(nil, "the reason")
    end, "the reason")
  end))
end)

describe("the annotations", function()
  local text = helper.read "types/interop/luasocket.lua"

  -- The annotations that stand before a definition; nil where there is none.
  local function annotations(name)
    local found = text:find("\nfunction " .. name .. "(", 1, true)
      or text:find("\n" .. name .. " = ", 1, true)
    return found and text:sub(1, found):match "\n\n([^\n].-)$"
      and text:sub(1, found):match ".*\n\n(.-)$"
  end

  local function none_missing(values, prefixes)
    for name in pairs(values) do
      local there = false
      for _, prefix in ipairs(prefixes) do
        there = there or annotations(prefix .. name) ~= nil
      end
      assert.is_true(there, name .. " is missing")
    end
  end

  it("leave nothing out", function()
    none_missing(socket, { "socket." })
    none_missing(socket.dns, { "socket.dns." })
    none_missing(getmetatable(socket.tcp()).__index, { "Any:", "Tcp:" })
    none_missing(getmetatable(socket.udp()).__index, { "Any:", "Udp:" })
  end)

  it("mark what may block", function()
    for _, name in ipairs { "socket.connect", "socket.bind", "socket.select", "socket.sleep",
      "socket.dns.toip", "Tcp:accept", "Tcp:connect", "Tcp:receive", "Tcp:send", "Udp:send",
      "Udp:receive", "Udp:receivefrom", "Udp:sendto" } do
      assert.truthy(annotations(name):find("@async", 1, true), name)
    end
    for _, name in ipairs { "socket.tcp", "Tcp:listen", "Tcp:shutdown", "Any:close" } do
      assert.is_nil(annotations(name):find("@async", 1, true), name)
    end
  end)

  it("have their counterpart in the reference", function()
    local reference = helper.read "docs/reference.md"
    local part = assert(reference:match "\n## LuaSocket\n(.-)\n## ")
    for _, list in ipairs { socket, socket.dns, getmetatable(socket.tcp()).__index,
      getmetatable(socket.udp()).__index } do
      for name in pairs(list) do
        assert.truthy(part:find("%f[%w_]" .. name .. "%f[^%w_]"), name .. " is missing")
      end
    end
  end)
end)
