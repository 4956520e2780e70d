-- Streams over sockets, memory and files; copying between them.
local curio = require "curio"
local socket = require "curio.socket"
local streams = require "curio.io"
local testing = require "curio.testing"

-- A task that dies of a failure may leave the others waiting.
local _ <close> = curio.timeout_after(2)

local BIG = ("0123456789\n"):rep(30000)

local function talk(one, other)
  local writer = curio.spawn(function()
    local stream <close> = streams.SocketStream(one)
    assert(stream:write("first\nsecond ", 12, " ", 1.5, "\nhead;body!"))
    assert(stream:writelines { "a\n", "b\n", 3, "\n" })
    assert(stream:write(BIG))
  end)
  local stream <close> = other:as_stream()
  assert(stream:read() == "first")
  assert(stream:read_until " " == "second")
  local a, b, c = stream:read("n", "n", "l")
  assert(a == 12 and b == 1.5 and c == "")
  assert(stream:read_until(";", { max = 10 }) == "head")
  assert(stream:read_exactly(5) == "body!")
  assert(stream:readline("L", { max = 10 }) == "a\n")
  for line in stream:lines() do
    if line == "3" then
      break
    end
  end
  assert(#stream:readlines() == 30000)
  writer:join()
end

talk(assert(socket.socketpair()))
talk(testing.socketpair())

local function pump(a, b, c, d)
  local writer = curio.spawn(function()
    assert(a:sendall(BIG))
    a:shutdown "wr"
  end)
  local reader = curio.spawn(function()
    return d:as_stream():readall()
  end)
  assert(streams.copy(b, c, { n = 100 }) == 100)
  assert(streams.copy(b, c) == #BIG - 100)
  c:shutdown "wr"
  assert(reader:join() == BIG)
  writer:join()
  for _, sock in ipairs { a, b, c, d } do
    sock:close()
  end
end

do
  local a, b = assert(socket.socketpair())
  local c, d = assert(socket.socketpair())
  pump(a, b, c, d)
  local e, f = assert(socket.socketpair())
  pump(e, f, testing.socketpair())
end

do
  local a, b = assert(socket.socketpair())
  local file = assert(io.tmpfile())
  file:write(BIG)
  file:seek "set"
  assert(file:read() == "0123456789")
  assert(streams.copy(file, a, { n = 1000 }) == 1000)
  a:close()
  assert(#b:as_stream():readall() == 1000)
  b:close()
  local stream <close> = assert(streams.FileStream(file))
  assert(#stream:read_exactly(100) == 100)
end
print "ok"
