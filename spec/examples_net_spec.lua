-- Further examples about the network: servers, datagrams, names, load.

local curio = require "curio"
local example = require "spec.example"
local helper = require "spec.helper"
local signal = require "curio.signal"
local socket = require "curio.socket"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"
local testing = require "curio.testing"

local it = testing.it(it)

local function connect(port)
  local sock = assert(curio.open_connection("127.0.0.1", port))
  return sock:as_stream()
end

describe("examples/echoserv3.lua", function()
  it("echoes lines, to several", function()
    local port, _ <close> = example.serve("echoserv3", "0")
    local one <close>, two = connect(port), connect(port)
    two:write "hel"
    one:write "first\nsecond\n"
    assert.same({ "first", "second" }, { one:read("l", "l") })
    two:write "lo\nno newline"
    assert.equal("hello", two:read "l")
    two:close()
  end)
end)

describe("examples/dualserv.lua", function()
  it("serves the same by tasks and by threads", function()
    local process, _ <close> = example.start("dualserv", "0", "0")
    local tasks = tonumber((example.expect(process, "listening at %S+:(%d+)$")))
    local threads = tonumber((example.expect(process, "listening at %S+:(%d+)$")))
    for port, by in pairs { [tasks] = "task", [threads] = "thread" } do
      local one <close>, two = connect(port), connect(port)
      two:write "you\n"
      assert.equal(by .. ": you", two:read "l")
      one:write "me\n"
      assert.equal(by .. ": me", one:read "l")
      two:close()
    end
  end)
end)

describe("examples/restart.lua", function()
  it("tells its clients, and goes on at the same port", function()
    local port, _ <close>, process = example.serve("restart", "0")
    for _ = 1, 2 do
      local stream <close> = connect(port)
      stream:write "hello\n"
      assert.equal("hello", stream:read "l")
      process:send_signal(signal.SIGHUP)
      assert.equal("SERVER IS GOING DOWN!\n", stream:readall())
      assert.equal("Server shutting down", process.stdout:read "l")
      assert.equal(port, tonumber((example.expect(process, "listening at %S+:(%d+)$"))))
    end
  end)
end)

describe("examples/loadgen.lua", function()
  it("counts what an echo server answers", function()
    local port, _ <close> = example.serve("echoserv", "0")
    local text, status = example.run("loadgen", "127.0.0.1", port, "5", "0.2", "1000")
    assert.matches("^%d+ messages of 1000 bytes over 5 connections: %d+/s\np50 %d+ µs, ", text)
    assert.equal(0, status)
  end)

  it("fails when bytes come back changed", function()
    local listener, addr, _ <close> = sockets.listener()
    local server = curio.spawn(curio.run_server, listener, function(client)
      for data in client:chunks() do
        client:sendall(data:upper())
      end
    end)
    local text, status = example.run("loadgen", "127.0.0.1", addr.port, "3", "20")
    assert.matches("the server echoes something else", text)
    assert.equal(1, status)
    server:cancel()
  end)
end)

describe("examples/syslog.lua", function()
  it("prints what comes by UDP and on its Unix socket", function()
    local path = sockets.unused_path()
    local port, _ <close>, process = example.serve("syslog", "0", path)
    example.expect(process, "Listening at ")
    local function logger(...)
      assert(subprocess.run { "logger", "-p", "mail.err", "-t", "me", ... })
    end
    logger("-d", "-n", "127.0.0.1", "-P", port, "by UDP")
    assert.matches("^mail.err\t127.0.0.1\t.*by UDP$", process.stdout:read "l")
    logger("-d", "-u", path, "by the socket")
    assert.matches("^mail.err\tlocal\t.*by the socket$", process.stdout:read "l")
    local sock <close> = assert(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for text, line in pairs {
      ["no priority"] = "user.notice\t127.0.0.1\tno priority",
      ["<999>\27[31mred\n"] = "unknown.debug\t127.0.0.1\t?[31mred",
      [""] = "user.notice\t127.0.0.1\t",
    } do
      sock:sendto(text, { "127.0.0.1", port })
      assert.equal(line, process.stdout:read "l")
    end
    os.remove(path)
  end)
end)

-- A name server for one question, by UDP and TCP on one port: each datagram, and each message by
-- TCP, is answered with what the function gives. Its port, and what ends it.
local function name_server(answer)
  local tcp, addr = sockets.listener()
  local udp = assert(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
  assert(udp:bind("127.0.0.1", addr.port))
  local tasks = curio.TaskGroup()
  tasks:spawn(function()
    while true do
      local query, from = udp:recvfrom(512)
      for _, reply in ipairs { answer(query, "udp") } do
        udp:sendto(reply, from)
      end
    end
  end)
  tasks:spawn(curio.run_server, tcp, function(client)
    local stream = client:as_stream()
    local n = (">I2"):unpack(stream:read_exactly(2))
    client:sendall((">s2"):pack(answer(stream:read_exactly(n), "tcp")))
  end)
  return addr.port, helper.closing(function()
    tasks:cancel_remaining()
    udp:close()
  end)
end

-- The answer to a query, of these flags and records: lists of type and data. Their name points to
-- the question's.
local function reply(query, flags, ...)
  local text = query:sub(1, 2) .. (">I2I2I2I2I2"):pack(flags, 1, select("#", ...), 0, 0)
    .. query:sub(13)
  for _, record in ipairs { ... } do
    text = text .. "\xc0\x0c" .. (">I2I2I4s2"):pack(record[1], 1, 300, record[2])
  end
  return text
end

describe("examples/dig.lua", function()
  local OK, CUT, NO_NAME = 0x8180, 0x8380, 0x8183

  it("asks, and prints records", function()
    local asked
    local port, _ <close> = name_server(function(query)
      asked = query:sub(3)
      return reply(query, OK, { 1, "\127\0\0\1" }, { 28, ("\0"):rep(15) .. "\1" },
        { 15, "\0\10\4mail\xc0\x0c" }, { 16, "\5hello" }, { 5, "\3www\xc0\x0c" }, { 99, "?" })
    end)
    local text, status = example.run("dig", "example.org", "a", "127.0.0.1", port)
    assert.equal("example.org.\t300\t127.0.0.1\nexample.org.\t300\t0:0:0:0:0:0:0:1\n"
      .. "example.org.\t300\t10 mail.example.org.\nexample.org.\t300\t\"hello\"\n"
      .. "example.org.\t300\twww.example.org.\nexample.org.\t300\t\"?\"\n", text)
    assert.equal(0, status)
    assert.equal("\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1", asked)
  end)

  it("goes on by TCP when the answer is cut short", function()
    local port, _ <close> = name_server(function(query, by)
      return by == "udp" and reply(query, CUT) or reply(query, OK, { 16, "\6by TCP" })
    end)
    assert.equal('example.org.\t300\t"by TCP"\n',
      (example.run("dig", "example.org.", "TXT", "127.0.0.1", port)))
  end)

  it("asks again when nothing comes, and passes over what is no answer", function()
    local turns = 0
    local port, _ <close> = name_server(function(query)
      turns = turns + 1
      if turns == 2 then
        local other = ("\0\0" == query:sub(1, 2) and "\1\1" or "\0\0") .. query:sub(3)
        return "", query, reply(other, OK, { 16, "\4fake" }),
          reply(query, OK) .. "\0", -- an answer, with nothing in it
          reply(query, OK, { 16, "\4late" })
      end
    end)
    local text, status = example.run("dig", "example.org", "TXT", "127.0.0.1", port)
    assert.equal("\n", text)
    assert.equal(0, status)
    assert.equal(2, turns)
  end)

  it("says that there is no such name, or type, and survives tricks", function()
    local port, _ <close> = name_server(function(query)
      if query:find("trick", 1, true) then
        return reply(query, OK, { 5, "\xc0\x23" }), reply(query, NO_NAME)
      end
      return reply(query, NO_NAME)
    end)
    for _, name in ipairs { "none", "trick" } do
      local text = example.run("dig", name, "A", "127.0.0.1", port)
      assert.equal("no answer: code 3\n", text)
    end
    assert.matches("no type SPF", (example.run("dig", "x", "spf", "127.0.0.1", port)))
  end)
end)
