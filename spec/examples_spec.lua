-- The examples about sockets: each runs as a process of its own, under the interpreter that runs
-- this, and is talked to from here.

local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"
local helper = require "spec.helper"

local interpreter = helper.interpreter
local output_of = helper.output_of
local read = helper.read

local run = sockets.run

-- An example that goes on in the background, its output in a file; closing ends it.
local Process = {}
Process.__index = Process

local function start(name, args)
  local path = os.tmpname()
  local command = "%s examples/%s.lua %s >%s 2>&1 </dev/null & echo $!"
  local pid = output_of(command:format(interpreter(), name, args or 0, path)):match("%d+")
  return setmetatable({ pid = pid, path = path }, Process)
end

function Process:output()
  return read(self.path)
end

function Process:alive()
  return (os.execute(("kill -0 %s 2>/dev/null"):format(self.pid)))
end

-- Waits until the pattern is in the output, and gives what it captures.
function Process:until_prints(pattern)
  while true do
    local found = self:output():match(pattern)
    if found then
      return found
    end
    assert(self:alive(), self:output())
    curio.sleep(0.01)
  end
end

function Process.__close(process)
  os.execute("kill " .. process.pid)
  while process:alive() do
    curio.sleep(0.01)
  end
  os.remove(process.path)
end

local function connect(process, host)
  local port = process:until_prints("Server listening at %S+:(%d+)\n")
  return assert(curio.open_connection(host or "127.0.0.1", tonumber(port)))
end

-- As many bytes as the text has.
local function receive(sock, text)
  local got = ""
  while #got < #text do
    got = got .. assert(sock:recv(#text - #got))
  end
  return got
end

local function echoes(name)
  return run(function()
    local process <close> = start(name)
    local a <close> = connect(process)
    local b <close> = connect(process)
    for i = 1, 3 do
      local text = ("%d "):format(i):rep(10000)
      b:sendall(text)
      assert.equal(text, receive(b, text))
      a:sendall("a")
      assert.equal("a", receive(a, "a"))
    end
    b:shutdown("wr")
    assert.is_nil(b:recv(1))
    assert.is_true(process:alive())
  end)
end

describe("The example", function()
  it("echoserv.lua echoes what its clients send", echoes "echoserv")

  it("echoserv2.lua does the same", echoes "echoserv2")

  it("happy.lua connects to a host by name", run(function()
    local sock, addr, _ <close> = sockets.listener()
    local command = ("%s examples/happy.lua localhost %d 2>&1"):format(interpreter(), addr.port)
    assert.equal("Connected to " .. tostring(addr) .. "\n", output_of(command))
    sock:close()
    local text, done = output_of(command)
    assert.is_nil(done)
    assert.matches("connect 127.0.0.1:" .. addr.port, text)
  end))

  it("dualstack.lua greets clients by IPv4 and IPv6", run(function()
    local probe <close> = assert(socket.socket(socket.AF_INET6))
    if not probe:bind("::1", 0) then
      return -- no IPv6 here
    end
    local process <close> = start "dualstack"
    local four <close> = connect(process)
    assert.equal("Hello 127.0.0.1, by IPv4\n", receive(four, "Hello 127.0.0.1, by IPv4\n"))
    local six <close> = connect(process, "::1")
    assert.equal("Hello ::1, by IPv6\n", receive(six, "Hello ::1, by IPv6\n"))
  end))

  it("chat.lua passes lines on to all others", run(function()
    local process <close> = start "chat"
    local ann <close> = connect(process)
    local annes = tostring(ann:getsockname())
    local bob <close> = connect(process)
    local bobs = tostring(bob:getsockname())
    local function hears(sock, text)
      assert.equal(text, receive(sock, text))
    end
    hears(ann, bobs .. " has joined\n")
    bob:sendall("hel")
    bob:sendall("lo\r\nbye\n")
    hears(ann, bobs .. " says: hello\n" .. bobs .. " says: bye\n")
    ann:sendall("hi\n")
    hears(bob, annes .. " says: hi\n")
    bob:close()
    hears(ann, bobs .. " has left\n")
  end))

  it("tail.lua follows a file, also when that begins anew", run(function()
    local path = os.tmpname()
    local function write(mode, text)
      local file <close> = assert(io.open(path, mode))
      file:write(text)
    end
    local lines = {}
    for i = 1, 3000 do
      lines[i] = i .. "\n"
    end
    write("w", table.concat(lines))
    local process <close> = start("tail", "-2 " .. path)
    process:until_prints "2999\n3000\n"
    assert.equal("2999\n3000\n", process:output())
    write("a", "more")
    process:until_prints "more$"
    write("a", " and more\n")
    process:until_prints "more and more\n"
    write("w", "anew\n")
    process:until_prints "has become shorter\nanew\n"
    os.remove(path)
  end))

  it("tail.lua follows several files, each under its name", run(function()
    local one, two = os.tmpname(), os.tmpname()
    local function append(path, text)
      local file <close> = assert(io.open(path, "a"))
      file:write(text)
    end
    append(one, "1\n")
    append(two, "2\n")
    local process <close> = start("tail", one .. " " .. two)
    process:until_prints "1\n"
    process:until_prints "2\n"
    append(one, "3\n")
    process:until_prints "3\n"
    append(two, "4\n")
    process:until_prints "4\n"
    local said = process:output():gsub("==> (%S+) <==\n", "%1 ")
    assert.matches(one:gsub("%p", "%%%0") .. " 3\n" .. two:gsub("%p", "%%%0") .. " 4\n$", said)
    os.remove(one)
    os.remove(two)
  end))

  it("proxy.lua passes on what either side says, and when it has said all", run(function()
    local listener, addr, _ <close> = sockets.listener()
    local process <close> = start("proxy", "0 127.0.0.1 " .. addr.port)
    local client <close> = connect(process)
    local server <close> = assert(listener:accept())
    client:sendall("question")
    assert.equal("question", receive(server, "question"))
    client:shutdown "wr"
    assert.is_nil(server:recv(1))
    local writer = curio.spawn(function()
      server:sendall(sockets.BIG)
      server:shutdown "wr"
    end)
    assert.is_true(sockets.receive_all(client) == sockets.BIG)
    writer:join()
  end))

  it("proxy.lua ends both sides of a connection that breaks", run(function()
    local listener, addr, _ <close> = sockets.listener()
    local process <close> = start("proxy", "0 127.0.0.1 " .. addr.port)
    for _, breaks in ipairs { "client", "server" } do
      local client = connect(process)
      local server = assert(listener:accept())
      local one, other = client, server
      if breaks == "server" then
        one, other = server, client
      end
      one:sendall("last words")
      assert.equal("last words", receive(other, "last words"))
      sockets.reset(one)
      assert.is_nil(other:recv(1))
      other:close()
    end
    assert.not_matches("error", process:output())
  end))

  it("udpecho.lua answers datagrams", run(function()
    local process <close> = start("udpecho", "server 0")
    local port = process:until_prints("Server listening at %S+:(%d+)\n")
    local command = "%s examples/udpecho.lua client %s hello 'to you' 2>&1"
    assert.equal("hello\nto you\n", output_of(command:format(interpreter(), port)))
    assert.is_true(process:alive())
  end))

  it("unixecho.lua answers, and writes where its client writes", run(function()
    local path = sockets.unused_path()
    local process <close> = start("unixecho", "server " .. path)
    process:until_prints("Server listening at (%S+)\n")
    local command = "%s examples/unixecho.lua client %s good morning 2>&1"
    assert.equal("client says: good morning\nserver says: good morning\n",
      output_of(command:format(interpreter(), path)))
    os.remove(path)
  end))

  it("portscan.lua finds the port that is open", run(function()
    local _, addr, _ <close> = sockets.listener()
    local first, last = math.max(addr.port - 150, 1), math.min(addr.port + 150, 65535)
    local command = "%s examples/portscan.lua 127.0.0.1 %d %d 2>&1"
    local found = output_of(command:format(interpreter(), first, last))
    assert.is_truthy(found:find(tostring(addr) .. " is open\n", 1, true))
  end))

  it("is short", function()
    for _, name in ipairs { "echoserv", "echoserv2", "happy", "dualstack", "chat", "prodcons",
      "tail", "proxy", "udpecho", "unixecho", "portscan" } do
      local _, lines = read("examples/" .. name .. ".lua"):gsub("\n", "")
      assert.is_true(lines <= 60, name)
    end
  end)
end)
