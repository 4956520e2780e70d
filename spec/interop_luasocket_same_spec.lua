-- One script under LuaSocket itself and under the bridge: every line that it prints is the same.
-- More of them are in spec/luasocket.

local helper = require "spec.helper"
local serve_http = require "spec.luasocket.server"
local servers = require "spec.servers"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    list[#list + 1] = line
  end
  return list
end

describe("the same script", function()
  -- Each line is what one call gives, under LuaSocket itself and under the bridge.
  local SCRIPT = [==[
    local socket = ...
    local function show(...)
      local list = table.pack(...)
      for i = 1, list.n do
        local value = list[i]
        if math.type(value) then
          value = value // 1 | 0
        end
        list[i] = tostring(value):gsub("0x%x+", "ADDRESS"):gsub("^%S+:%d+: ", "")
          :gsub("calling '.-' on bad self", "bad argument #1 to '?'")
          :gsub("(bad argument #%d to) '.-'", "%1 '?'")
      end
      while list[list.n] == "nil" and list.n > 1 do
        list[list.n] = nil
        list.n = list.n - 1
      end
      print(table.concat(list, " ", 1, list.n))
    end

    local server = assert(socket.bind("127.0.0.1", 0))
    local host, port, family = server:getsockname()
    show(host, family, server:getfamily(), server)
    show(server:settimeout(0), server:accept())
    show(pcall(server.settimeout, server, 1, "x"))
    show(pcall(server.send, server, "x"))
    show(pcall(server.receive, server))
    local master = socket.tcp()
    show(master, master:getfd(), master:getfamily())
    show(master:getsockname() == nil, master:getpeername() == nil, master:close())
    show(master:setoption("tcp-nodelay", true))
    show(master:getoption "keepalive")
    show(master:listen())
    show(pcall(master.accept, master))

    server:settimeout(nil)
    local one = socket.tcp4()
    show(one, one:bind("127.0.0.1", 0), one:connect("127.0.0.1", port), one)
    show(one:gettimeout())
    show(one:settimeout(1), one:settimeout(2, "t"), one:gettimeout())
    show(one:settimeout(), one:settimeout(nil, "r"), one:gettimeout())
    local other = server:accept()
    show(other, select(1, other:getpeername()), select(3, other:getpeername()))
    show(one:connect("127.0.0.1", port))

    show(other:send "one\r\ntwo\rtwo\n\r\nrest")
    show(one:receive(), one:receive "*l", one:receive "*l")
    show(one:dirty(), one:receive(0), one:receive("2"), one:receive(2.7))
    show(one:dirty())
    one:settimeout(0)
    show(one:receive())
    show(one:receive(10, "prefix"))
    show(one:receive("*l", "prefix"))
    show(one:receive(4, "prefix"))
    show(one:receive(6, "prefix"))
    one:settimeout(0.01)
    other:send "part"
    show(one:receive(10, "prefix"))
    other:send "part"
    show(one:receive("*l"))
    other:send "part"
    show(one:receive("*a"))
    one:settimeout(nil)
    other:send("abcdef", 2, 4)
    show(one:receive(3, "x"))
    show(one:receive(2, "x"))
    show(other:send("abcdef", -2), other:send("abcdef", 3, -3), other:send("abcdef", 7))
    show(other:send("", 1), other:send("abc", 4, 9), other:send("abc", -9, 1))
    show(other:send(12))
    show(one:receive(7))
    show(pcall(one.receive, one, "*x"))
    show(pcall(one.receive, one, -1))
    show(pcall(one.send, one))
    show(one:getstats())
    show(one:setstats(1, 2, 3), one:getstats())
    other:send "left\nover"
    show(other:shutdown "send", other:send "x")
    show(pcall(other.shutdown, other, "x"))
    show(one:receive())
    show(one:receive(9))
    show(one:receive())
    show(one:receive "*a")
    show(one:receive(1, "p"))
    show(one:close(), one:close(), one:getfd())
    show(one:receive())
    show(one:send "x")
    show(other:receive "*a")

    show(socket.connect("127.0.0.1", 1))
    show(socket.tcp():connect("127.0.0.1", 1))
    show(socket.bind("127.0.0.1", port))
    show(pcall(socket.tcp))
    for _, name in ipairs { "keepalive", "tcp-nodelay", "reuseaddr", "reuseport" } do
      show(other:getoption(name), other:setoption(name, true), other:getoption(name))
    end
    for _, name in ipairs { "tcp-keepidle", "tcp-keepcnt", "tcp-keepintvl" } do
      show(other:getoption(name), other:setoption(name, 7), other:getoption(name))
    end
    show(other:setoption("linger", { on = true, timeout = 3 }))
    show(other:getoption("linger").on, other:getoption("linger").timeout)
    show(pcall(other.setoption, other, "linger", {}))
    show(pcall(other.setoption, other, "keepalive", 1))
    show(other:getoption "error")
    show(pcall(other.setoption, other, "nonsense", 1))
    show(pcall(other.getoption, other, "nonsense"))
    show(other:setoption("keepalive", true))
    other:close()
    show(other:setoption("keepalive", true))

    local a, b = socket.udp4(), socket.udp()
    show(a, b, b:getfd(), a:getfamily())
    show(a:setsockname("127.0.0.1", 0))
    local _, to = a:getsockname()
    show(b:sendto("hello", "127.0.0.1", to))
    local data, from = a:receivefrom(3)
    show(data, from)
    show(b:sendto("hello", "localhost", to))
    show(b:sendto("", "127.0.0.1", to), a:receive())
    show(pcall(b.send, b, "x"))
    show(pcall(b.getpeername, b))
    show(b:setpeername("127.0.0.1", to), b)
    show(pcall(b.sendto, b, "x", "127.0.0.1", to))
    show(pcall(b.receivefrom, b))
    show(b:send "more", a:receive())
    show(b:setpeername "*", b)
    a:settimeout(0)
    show(a:receive())
    show(a:receivefrom())
    show(a:dirty(), a:close(), a:getfd())
    show(b:setpeername("127.0.0.1", to), b:send "x")
    b:settimeout(1)
    show(b:receive())
    show(b:setoption("broadcast", true), b:getoption "broadcast")
    show(b:setoption("ip-multicast-ttl", 3), b:setoption("ip-multicast-loop", false))
    show(b:getoption "ip-multicast-loop", b:getoption "ip-multicast-if")
    show(b:setoption("ip-add-membership", { multiaddr = "239.1.2.3", interface = "127.0.0.1" }))
    show(b:setoption("ip-drop-membership", { multiaddr = "239.1.2.3", interface = "127.0.0.1" }))
    show(pcall(b.setoption, b, "ip-add-membership", { multiaddr = "x", interface = "*" }))

    local reads, writes, err = socket.select({ server, b }, nil, 0)
    show(#reads, #writes, err)
    reads, writes, err = socket.select(nil, nil, 0.001)
    show(#reads, #writes, err)
    local c = socket.connect("127.0.0.1", port)
    local d = server:accept()
    d:send "data\nmore\n"
    reads, writes, err = socket.select({ c, server }, { c, d })
    show(#reads, reads[1] == c, reads[c], reads[server], err)
    show(#writes, writes[c] and writes[d] and 1)
    c:receive()
    reads, writes, err = socket.select({ c }, {}, 0)
    show(reads[1] == c, #writes, err)
    c:receive()
    show(#socket.select({ c }, {}, 0))
    local e = socket.tcp4()
    e:settimeout(0)
    show(e:connect("127.0.0.1", port))
    reads, writes = socket.select(nil, { e })
    show(writes[1] == e, e:connect("127.0.0.1", port), (e:connect("127.0.0.1", port)))
    show(e:connect("127.0.0.1", port))

    show(socket.skip(1, "a", "b"), (socket.skip(5, 1)))
    show(socket.protect(function() return 1, nil, 3 end)())
    show(socket.protect(function() socket.try(nil, "why") end)())
    show(pcall(socket.protect(function() error("mine", 0) end)))
    local finalized = 0
    local try = socket.newtry(function() finalized = finalized + 1 end)
    show(try(1, 2, 3))
    show(socket.protect(function() try(false, "gone") end)())
    show(finalized)
    show(socket.dns.toip "127.0.0.1")
    show((socket.dns.tohostname "127.0.0.1"), (socket.dns.toip "localhost"))
    show(socket.dns.getaddrinfo("127.0.0.1")[1].family, socket.dns.getaddrinfo("::1")[1].addr)
    show(socket.dns.getnameinfo(nil, 80))
    show(pcall(socket.dns.getnameinfo))
    show(socket.dns.gethostname())
    show(math.abs(socket.gettime() - os.time()) < 2, socket.sleep(0), socket.sleep(-1))
    show(pcall(socket.sleep))
    show(pcall(socket.sink, "nonsense"))
    show(socket.source("by-length", d, 0)(), socket.sink("keep-open", d)(), d:getfd() >= 0)
    show(socket.sink("close-when-done", d)(), d:getfd())
    show(socket.source(c)())
  ]==]

  local function output(command)
    local path = os.tmpname()
    helper.write(path, SCRIPT)
    local text = helper.output_of(command:format(path) .. " 2>&1")
    os.remove(path)
    return lines_of(text)
  end

  it("prints the same under LuaSocket and under the bridge", function()
    local build = os.getenv "CURIO_BUILD" or "build"
    local theirs = output [[timeout 30 lua5.4 -e 'assert(loadfile("%s"))(require "socket")']]
    local ours = output("timeout 30 " .. build .. "/bin/curio -e "
      .. [['assert(loadfile("%s"))(require("curio.interop.luasocket").install())']])
    assert.is_true(#theirs > 90)
    assert.same(theirs, ours)
  end)
end)

describe("a script of spec/luasocket", function()
  local OURS = [[
    local socket = require("curio.interop.luasocket").install()
    assert(loadfile(assert(os.getenv "SCRIPT")))(socket)]]
  local THEIRS = [[assert(loadfile(assert(os.getenv "SCRIPT")))(require "socket")]]

  local function output(program, source, variables)
    local env = { LUA_PATH = package.path, LUA_CPATH = package.cpath }
    for name, value in pairs(variables) do
      env[name] = tostring(value)
    end
    for _, name in ipairs { "PATH", "ASAN_OPTIONS", "TSAN_OPTIONS", "CURIO_POLLER" } do
      env[name] = os.getenv(name)
    end
    return assert(subprocess.check_output { program, "-e", source, env = env,
      timeout = helper.PATIENCE, stderr = subprocess.STDOUT })
  end

  for _, name in ipairs { "tcp", "udp", "unix", "rest", "web", "mail" } do
    it("comes to the same under LuaSocket and under the bridge: " .. name, sockets.run(function()
      local http_port, _ <close> = serve_http()
      local nothing = function() end
      local smtp_port, _ <close> = servers.smtp(nothing, nothing)
      local ftp_port, _ <close> = servers.ftp { hello = "hello, world\r\n", empty = "" }
      local variables = { SCRIPT = ("spec/luasocket/%s.lua"):format(name),
        HTTP_PORT = http_port, SMTP_PORT = smtp_port, FTP_PORT = ftp_port }
      local theirs = output("lua5.4", THEIRS, variables)
      local program = (os.getenv "CURIO_BUILD" or "build") .. "/bin/curio"
      local ours = output(program, OURS, variables)
      assert.is_true(#theirs > 500)
      assert.same(lines_of(theirs), lines_of(ours))
    end))
  end
end)
