-- Reading from streams: formats as Lua's files have them, lengths, delimiters, limits.

local curio = require "curio"
local sockets = require "spec.sockets"

local streams = curio.io
local run = sockets.run
local until_asleep = sockets.until_asleep
local is_os_error = sockets.is_os_error

-- A stream that gives these pieces, each when the one before has been read, and what closes it.
local function feed(...)
  local a, b, closer = sockets.pair()
  local pieces = { ... }
  local feeder = curio.spawn {
    function()
      for _, piece in ipairs(pieces) do
        a:sendall(piece)
        curio.schedule()
      end
      a:close()
    end,
    daemon = true,
  }
  closer[#closer + 1] = { close = function() feeder:cancel() end }
  return b:as_stream(), closer
end

-- A pair of streams, one to write and one to read, and what closes them.
local function pair()
  local a, b, closer = sockets.pair()
  return a:as_stream(), b:as_stream(), closer
end

describe("stream:read", function()
  it("gives lines, numbers, all that is left, as Lua's files do", run(function()
    local stream, _ <close> = feed("first\nsecond\n12 0x1p4\n", "rest\nof it")
    assert.same({ "first", "second\n" }, { stream:read("l", "L") })
    assert.same({ 12, 16.0 }, { stream:read("n", "n") })
    assert.equal("", stream:read())
    assert.equal("rest\nof it", stream:read("a"))
    assert.equal("", stream:read("a"))
    assert.same({ n = 1 }, table.pack(stream:read("l")))
    assert.same({ n = 1 }, table.pack(stream:read("l", "l")))
  end))

  it("gives up to n bytes as soon as there are any", run(function()
    local x, y, _ <close> = pair()
    x:write("abcdef")
    assert.equal("abcd", y:read(4))
    assert.equal("ef", y:read(4))
    local task = curio.spawn(y.read, y, 1000)
    until_asleep(task, "READ_WAIT")
    x:write("late")
    assert.equal("late", task:join())
  end))

  it("of no bytes tells whether the stream has ended", run(function()
    local x, y, _ <close> = pair()
    assert.equal("", y:read(0)) -- does not wait
    x:write("x")
    assert.equal("", y:read(0))
    assert.equal("x", y:read(1))
    x:close()
    assert.is_nil(y:read(0))
  end))

  it("refuses what is no format, and has read nothing then", run(function()
    local stream, _ <close> = feed("line\n")
    for _, wrong in ipairs { "x", "", "*", {}, true, -1, 1.5 } do
      assert.is_false((pcall(stream.read, stream, "l", wrong)))
      assert.is_false((pcall(stream.lines, stream, wrong)))
    end
    assert.equal("line", stream:read())
  end))

  it("of several formats takes all or nothing when it is cancelled", run(function()
    local x, y, _ <close> = pair()
    x:write("one\ntwo\nthr")
    local task = curio.spawn(y.read, y, "l", "L", "l")
    until_asleep(task, "READ_WAIT")
    task:cancel()
    x:write("ee\n")
    assert.same({ "one", "two\n", "three" }, { y:read("l", "L", "l") })
  end))

  it("keeps what had come when the connection breaks", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local stream = b:as_stream()
    a:sendall("partial")
    local task = curio.spawn(stream.read, stream)
    until_asleep(task, "READ_WAIT")
    sockets.reset(a)
    task:join()
    is_os_error("ECONNRESET", "read", task.results[1], task.results[2])
    assert.equal("partial", stream:read(100))
  end))

  it("of a line longer than all buffers gives all of it", run(function()
    local line = ("x"):rep(3 * 1024 * 1024)
    local stream, _ <close> = feed(line .. "\n", "next\n")
    assert.equal(line, stream:read())
    assert.equal("next", stream:read())
  end))

  it("gives just what Lua's files give, whatever is asked for", run(function()
    local alphabet = {
      "0", "1", "9", "x", "X", "e", "E", "p", ".", "+", "-", " ", "\n", "a", "f", "z", "\0", "0x",
      "12.5", "\t", "1e5", "0x.8p3", ("7"):rep(150), "  ",
    }
    math.randomseed(20261122)
    local path = os.tmpname()
    for _ = 1, 400 do
      local pieces = {}
      for i = 1, math.random(0, 40) do
        pieces[i] = alphabet[math.random(#alphabet)]
      end
      local text = table.concat(pieces)
      local file = assert(io.open(path, "w"))
      file:write(text)
      file:close()
      file = assert(io.open(path))
      local stream, _ <close> = feed(text:sub(1, 7), text:sub(8, 8), text:sub(9))
      local formats = { "l", "L", "n", "n", "*n", "*l", "a" }
      for _ = 1, 12 do
        local asked = {}
        for i = 1, math.random(1, 3) do
          asked[i] = formats[math.random(#formats)]
        end
        local expected = table.pack(file:read(table.unpack(asked)))
        local got = table.pack(stream:read(table.unpack(asked)))
        assert.same(expected, got, ("%q read by %s"):format(text, table.concat(asked, ",")))
        for i = 1, got.n do
          assert.equal(math.type(expected[i]), math.type(got[i]))
        end
      end
      file:close()
    end
    os.remove(path)
  end))
end)

describe("stream:lines", function()
  it("gives each line, the last one too if it has no newline", run(function()
    local stream, _ <close> = feed("a\n\nb", "c\nlast")
    local lines = {}
    for line in stream:lines() do
      lines[#lines + 1] = line
    end
    assert.same({ "a", "", "bc", "last" }, lines)
  end))

  it("takes formats, several too", run(function()
    local stream, _ <close> = feed("1 one\n2 two\n")
    local got = {}
    for n, name in stream:lines("n", "L") do
      got[#got + 1] = n .. name
    end
    assert.same({ "1 one\n", "2 two\n" }, got)
  end))

  it("raises errors, and ends when the stream is closed", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local stream = b:as_stream()
    local function loop()
      for _ in stream:lines() do
        error "no line was sent"
      end
      return "ended"
    end
    local task = curio.spawn(curio.pcall, loop)
    until_asleep(task, "READ_WAIT")
    sockets.reset(a)
    task:join()
    assert.is_false(task.results[1])
    is_os_error("ECONNRESET", "lines", nil, task.results[2])
    task = curio.spawn(loop)
    curio.schedule()
    stream:close()
    assert.equal("ended", task:join())
  end))

  it("lets others run, though it never has to wait", run(function()
    local stream, _ <close> = feed(("line\n"):rep(1000))
    local turns = 0
    local other = curio.spawn(function()
      while true do
        turns = turns + 1
        curio.schedule()
      end
    end)
    local n = 0
    for _ in stream:lines() do
      n = n + 1
    end
    assert.equal(1000, n)
    assert.is_true(turns >= 10)
    other:cancel()
  end))
end)

describe("stream:readline", function()
  it("gives a line, with its newline if wanted", run(function()
    local stream, _ <close> = feed("a\nb\nc\nlast")
    assert.equal("a", stream:readline())
    assert.equal("b\n", stream:readline "L")
    assert.equal("c", stream:readline("l", { max = 10 }))
    assert.equal("last", stream:readline { max = 4 })
    assert.same({ n = 1 }, table.pack(stream:readline()))
  end))

  it("bounds a line", run(function()
    local stream, _ <close> = feed("12345\n123456\nnext")
    assert.equal("12345", stream:readline { max = 5 })
    local err = is_os_error("EMSGSIZE", "readline", stream:readline { max = 5 })
    assert.matches("more than 5 bytes", tostring(err))
    assert.equal("123456\n", stream:readline("L", { max = 6 }))
    is_os_error("EMSGSIZE", "readline", stream:readline { max = 3 })
    assert.equal("next", stream:readline { max = 4 })
  end))

  it("of an endless line neither waits nor fills memory", run(function()
    local a, b, _ <close> = sockets.pair()
    local stream = b:as_stream()
    local flood = curio.spawn { function()
      while a:send(("x"):rep(65536)) do
        curio.schedule()
      end
    end, daemon = true }
    for _ = 1, 20 do
      is_os_error("EMSGSIZE", "readline", stream:readline { max = 100000 })
    end
    local held = stream:read(math.maxinteger)
    assert.is_true(#held > 100000 and #held <= 100000 + 65536, #held)
    flood:cancel()
  end))

  it("names a wrong option and a wrong format", run(function()
    local stream, _ <close> = feed("x")
    assert.error_matches(function()
      stream:readline("l", { mx = 1 })
    end, "unknown option 'mx' %(known: max%)")
    for _, max in ipairs { -1, -2, math.mininteger } do
      assert.error_matches(function()
        stream:readline { max = max }
      end, "must not be negative")
      assert.error_matches(function()
        stream:read_until("x", { max = max })
      end, "must not be negative")
    end
    assert.error_matches(function()
      stream:readline "a"
    end, "neither \"l\" nor \"L\"")
  end))
end)

describe("stream:readlines and stream:readall", function()
  it("give everything", run(function()
    local stream, _ <close> = feed("a\nb", "\n\nlast")
    assert.same({ "a", "b", "", "last" }, stream:readlines())
    assert.same({}, stream:readlines())
    assert.equal("", stream:readall())
    stream = feed("a\nb\n")
    assert.same({ "a\n", "b\n" }, stream:readlines "L")
  end))

  it("lose nothing when they are cancelled", run(function()
    local x, y, _ <close> = pair()
    for _, name in ipairs { "readall", "readlines" } do
      x:write(name, "\n")
      local task = curio.spawn(y[name], y)
      until_asleep(task, "READ_WAIT")
      task:cancel()
      assert.equal(name, y:read())
    end
  end))

  it("of much data take it all", run(function()
    local data = ("0123456789\n"):rep(300000)
    local stream, _ <close> = feed(data)
    assert.equal(data, stream:readall())
  end))
end)

describe("stream:read_exactly", function()
  it("gives as many bytes as asked for", run(function()
    local stream, _ <close> = feed("ab", "cde", "f")
    assert.equal("", stream:read_exactly(0))
    assert.equal("abcd", stream:read_exactly(4))
    assert.equal("ef", stream:read_exactly(2))
    assert.same({ n = 1 }, table.pack(stream:read_exactly(1)))
    assert.equal("", stream:read_exactly(0))
  end))

  it("tells what there was when the stream ends too soon", run(function()
    local stream, _ <close> = feed("abc")
    local data, err = stream:read_exactly(10)
    assert.is_nil(data)
    assert.equal("abc", err.partial)
    assert.matches("ended after 3 of 10 bytes", tostring(err))
    assert.is_nil(stream:read())
  end))

  it("tells what there was when the connection breaks", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local stream = b:as_stream()
    a:sendall("abc")
    local task = curio.spawn(stream.read_exactly, stream, 10)
    until_asleep(task, "READ_WAIT")
    sockets.reset(a)
    task:join()
    local err = is_os_error("ECONNRESET", "read_exactly", task.results[1], task.results[2])
    assert.equal("abc", err.partial)
  end))

  it("does not make room for what a peer only announces", run(function()
    local stream, _ <close> = feed("abc")
    local data, err = stream:read_exactly(math.maxinteger)
    assert.is_nil(data)
    assert.equal("abc", err.partial)
    assert.error_matches(function()
      stream:read_exactly(-1)
    end, "not negative")
  end))
end)

describe("stream:read_until", function()
  it("gives what stands before the delimiter", run(function()
    local stream, _ <close> = feed("head\r", "\n\r\nbody--boun", "dary--x")
    assert.equal("head", stream:read_until "\r\n\r\n")
    assert.equal("body--boundary--", stream:read_until("--boundary--", { inclusive = true }))
    local data, err = stream:read_until "\n"
    assert.is_nil(data)
    assert.equal("x", err.partial)
    assert.same({ n = 1 }, table.pack(stream:read_until "\n"))
  end))

  it("finds a delimiter that comes byte by byte after false starts", run(function()
    local x, y, _ <close> = pair()
    local task = curio.spawn(y.read_until, y, "aab")
    for c in ("aaaacaaab!"):gmatch "." do
      x:write(c)
      curio.schedule()
    end
    assert.equal("aaaaca", task:join())
    assert.equal("!", y:read(1))
  end))

  it("bounds what stands before it, and keeps that", run(function()
    local stream, _ <close> = feed("12345;123456;", "1234567890")
    assert.equal("12345", stream:read_until(";", { max = 5 }))
    is_os_error("EMSGSIZE", "read_until", stream:read_until(";", { max = 5 }))
    assert.equal("123456", stream:read_until(";", { max = 6 }))
    is_os_error("EMSGSIZE", "read_until", stream:read_until(";", { max = 5 }))
    assert.equal("1234567890", stream:readall())
  end))

  it("loses nothing when it is cancelled", run(function()
    local x, y, _ <close> = pair()
    x:write("left;over")
    assert.equal("left", y:read_until ";")
    local task = curio.spawn(y.read_until, y, ";")
    until_asleep(task, "READ_WAIT")
    task:cancel()
    x:write("\n")
    assert.equal("over", y:read())
  end))

  it("refuses an empty delimiter and unknown options", run(function()
    local stream, _ <close> = feed("x")
    assert.error_matches(function()
      stream:read_until ""
    end, "the delimiter is empty")
    assert.error_matches(function()
      stream:read_until("x", { limit = 1 })
    end, "unknown option 'limit' %(known: max, inclusive%)")
  end))
end)

describe("what is read ahead", function()
  it("is found by the next read, of whatever kind", run(function()
    local stream, _ <close> = feed("a\nbcd;ef\n12 g\nh")
    assert.equal("a", stream:read())
    assert.equal("bcd", stream:read_until ";")
    assert.equal("ef\n", stream:read_exactly(3))
    assert.equal(12, stream:read "n")
    assert.equal(" g", stream:readline())
    assert.equal("h", stream:readall())
  end))

  it("of one stream is not that of another over the same socket", run(function()
    local a, b, _ <close> = sockets.pair()
    local one, other = b:as_stream(), streams.SocketStream(b)
    a:sendall("first\nsecond\n")
    assert.equal("first", one:read())
    a:sendall("third\n")
    assert.equal("third", other:read())
    assert.equal("second", one:read())
  end))
end)
