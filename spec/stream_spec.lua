-- Streams as objects: what they are made of, closing, descriptors, claims.

local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"
local testing = require "curio.testing"

local streams = curio.io
local run = sockets.run
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local is_closed_error = sockets.is_closed_error
local is_os_error = sockets.is_os_error

describe("a stream", function()
  local makers = {
    ["a socket"] = function()
      local a, b = sockets.pair()
      return a:as_stream(), streams.SocketStream(b)
    end,
    ["a TCP socket"] = function()
      local a, b = sockets.tcp_pair()
      return a:as_stream(), b:as_stream()
    end,
    ["a descriptor"] = function()
      local a, b = sockets.pair()
      return streams.FileStream(a:detach()), streams.FileStream(b:detach())
    end,
    ["a socket in memory"] = function()
      local a, b = testing.socketpair()
      return a:as_stream(), b:as_stream()
    end,
    ["an object with recv and sendall"] = function()
      local a, b = testing.socketpair()
      local function wrap(sock)
        return streams.SocketStream {
          recv = function(_, n)
            return sock:recv(n)
          end,
          sendall = function(_, data)
            return sock:sendall(data)
          end,
          close = function()
            return sock:close()
          end,
        }
      end
      return wrap(a), wrap(b)
    end,
  }

  for name, make in pairs(makers) do
    it("over " .. name .. " reads what was written to the other end", run(function()
      local x, y = make()
      local reader <close> = y
      assert.equal(x, x:write("one\ntwo", "\n", 3, 4.5, "\nlast"))
      assert.equal("one", y:read())
      assert.equal("two\n", y:read("L"))
      x:close()
      assert.equal("34.5", reader:readline())
      assert.equal("last", y:read(100))
      assert.same({ n = 1 }, table.pack(y:read()))
    end))

    it("over " .. name .. " carries more than fits, both ways at once", run(function()
      local x, y = make()
      local data = ("0123456789abcdef"):rep(65536)
      local function exchange(stream)
        local writer = curio.spawn(stream.write, stream, data)
        assert.equal(data, stream:read_exactly(#data))
        assert.equal(stream, writer:join())
      end
      local other = curio.spawn(exchange, y)
      exchange(x)
      other:join()
      x:close()
      y:close()
    end))

    it("over " .. name .. " wakes who sleeps on it when it is closed", run(function()
      local x, y = make()
      local task = curio.spawn(x.read, x)
      until_asleep(task, "READ_WAIT")
      x:close()
      task:join()
      is_closed_error(task.results[1], task.results[2])
      y:close()
    end))

    it("over " .. name .. " gives up a read whose time is over, and loses nothing", run(function()
      local x, y = make()
      x:write("par")
      assert.equal("timeout", curio.ignore_after { 0.01, y.read, y, timeout_result = "timeout" })
      x:write("tial\nrest")
      assert.equal("partial", y:read())
      local task = curio.spawn(y.read_exactly, y, 8)
      until_asleep(task, "READ_WAIT")
      task:cancel()
      assert.is_true(curio.is(task.exception, curio.TaskCancelled))
      x:write("1234")
      assert.equal("rest1234", y:read_exactly(8))
      x:close()
      y:close()
    end))

    it("over " .. name .. " refuses a second reader in the middle of a read", run(function()
      local x, y = make()
      local task = curio.spawn(y.read_exactly, y, 6)
      until_asleep(task, "READ_WAIT")
      x:write("abc")
      raises(curio.ReadResourceBusy, y.read, y)
      x:write("def")
      assert.equal("abcdef", task:join())
      x:write("now free\n")
      assert.equal("now free", y:read())
      x:close()
      y:close()
    end))
  end

  it("keeps the socket alive, and closes it", run(function()
    local a, b, _ <close> = sockets.pair()
    do
      local stream = a:as_stream()
      assert.equal(a:fileno(), stream:fileno())
      assert.matches("^curio%.stream %(curio%.socket", tostring(stream))
      assert.is_true(stream:close())
      assert.is_true(stream:close())
      assert.equal("curio.stream (closed)", tostring(stream))
    end
    is_closed_error(a:fileno())
    assert.is_nil(b:recv(1))
  end))

  it("is closed as a to-be-closed variable", run(function()
    local a, b, _ <close> = sockets.pair()
    do
      local stream <close> = a:as_stream()
      stream:write("bye")
    end
    assert.equal("bye", b:as_stream():readall())
  end))

  it("closed gives a ClosedError, whatever is asked of it", run(function()
    local a, b, _ <close> = sockets.pair()
    local stream = a:as_stream()
    b:sendall("data")
    assert.equal("d", stream:read(1))
    stream:close()
    for _, call in ipairs {
      { "read" }, { "read", 0 }, { "readline" }, { "readlines" }, { "readall" },
      { "read_exactly", 0 }, { "read_until", "x" }, { "write", "x" }, { "write" },
      { "writelines", {} }, { "flush" }, { "fileno" },
    } do
      local err = is_closed_error(stream[call[1]](stream, table.unpack(call, 2)))
      assert.matches(call[1], tostring(err))
    end
    assert.error(function()
      stream:lines()
    end)
  end))

  it("whose socket was closed behind its back says so", run(function()
    local a, _, _ <close> = sockets.pair()
    local stream = a:as_stream()
    local task = curio.spawn(stream.read, stream)
    until_asleep(task, "READ_WAIT")
    a:close()
    task:join()
    is_closed_error(task.results[1], task.results[2])
    is_closed_error(stream:write("x"))
    assert.is_true(stream:close())
  end))

  it("frees the claim of a reader that ended by an error", run(function()
    local a, b, _ <close> = sockets.pair()
    local stream = a:as_stream()
    for _ = 1, 3 do
      local task = curio.spawn(stream.read, stream)
      until_asleep(task, "READ_WAIT")
      task:cancel()
    end
    b:sendall("x\n")
    assert.equal("x", stream:read())
  end))

  it("that outlives a kernel is nobody's in the next one", function()
    if not require("curio.core").running() then
      local x, y
      for _ = 1, 3 do
        curio.run(function()
          if not x then
            local a, b = sockets.pair()
            x, y = a:as_stream(), b:as_stream()
          end
          x:write("half a line")
          curio.spawn(y.read, y)
          testing.wait_all_blocked()
        end)
        curio.run(function()
          curio.spawn(curio.sleep, 10)
          curio.spawn(curio.sleep, 10)
          curio.schedule()
          assert.truthy(y:read(1))
        end)
      end
      curio.run(function()
        x:close()
        y:close()
      end)
    end
  end)

  it("is refused what is not of its kind", run(function()
    for _, wrong in ipairs { 1, "x", {}, true, { recv = print } } do
      assert.error_matches(function()
        streams.SocketStream(wrong)
      end, "socket expected")
    end
    for _, wrong in ipairs { "x", {}, true, 1.5 } do
      assert.error_matches(function()
        streams.FileStream(wrong)
      end, "descriptor or object with fileno expected")
    end
    assert.error_matches(function()
      streams.FileStream(-1)
    end, "not a descriptor")
    local file = assert(io.tmpfile())
    file:close()
    assert.error_matches(function()
      streams.FileStream(file)
    end, "the file is closed")
    assert.error_matches(function()
      require("curio.core").stream.methods.read({})
    end, "curio.stream expected")
    is_os_error("EBADF", "FileStream", streams.FileStream(987654))
  end))

  it("can only be used by a task", function()
    local stream
    curio.run(function()
      stream = testing.socketpair():as_stream()
    end)
    if not require("curio.core").running() then
      assert.error_matches(function()
        stream:read()
      end, "no curio kernel is running")
    end
    curio.run(function()
      assert.error_matches(function()
        table.sort({ 3, 2, 1 }, function()
          stream:read()
        end)
      end, "stream:read: cannot block here")
    end)
  end)
end)

describe("a FileStream", function()
  it("over a process's output ends with it", run(function()
    local stream <close> = assert(streams.FileStream(io.popen "printf 'a\\nb\\nc'"))
    local lines = {}
    for line in stream:lines() do
      lines[#lines + 1] = line
    end
    assert.same({ "a", "b", "c" }, lines)
  end))

  it("closes a Lua file in that one's own way", run(function()
    local stream = assert(streams.FileStream(io.popen "exit 3"))
    assert.is_nil(stream:read())
    assert.same({ n = 3, nil, "exit", 3 }, table.pack(stream:close()))
    local file = assert(io.tmpfile())
    assert.is_true(streams.FileStream(file):close())
    assert.equal("closed file", io.type(file))
  end))

  it("loses nothing of what a Lua file has read ahead or not yet written", run(function()
    local pipe = assert(io.popen "printf 'one\\ntwo\\nthree'")
    assert.equal("one", pipe:read())
    local stream <close> = assert(streams.FileStream(pipe))
    assert.equal("two\nthree", stream:readall())
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write("first ")
    do
      local writer <close> = assert(streams.FileStream(file))
      writer:write("second")
    end
    assert.equal("first second", assert(io.open(name)):read("a"))
    os.remove(name)
  end))

  it("over an object with fileno leaves the closing to it", run(function()
    local a, b, _ <close> = sockets.pair()
    local fd, closed = a:detach(), 0
    local object = {
      fileno = function()
        return fd
      end,
      close = function()
        closed = closed + 1
        socket.fromfd(fd):close()
        return "so be it"
      end,
    }
    local stream = assert(streams.FileStream(object))
    stream:write("x")
    assert.equal("x", b:recv(1))
    assert.equal("so be it", stream:close())
    stream:close()
    assert.equal(1, closed)
    assert.error_matches(function()
      streams.FileStream { fileno = function() end }
    end, "its fileno is not a descriptor")
  end))

  it("over a directory, and a full device, gives the system's errors", run(function()
    local dir <close> = assert(streams.FileStream(io.open "/"))
    is_os_error("EISDIR", "read", dir:read())
    local full <close> = assert(streams.FileStream(io.open("/dev/full", "w")))
    local err = is_os_error("ENOSPC", "write", full:write("some"))
    assert.equal(0, err.bytes_written)
  end))

  it("over /dev/null is at its end at once, and takes everything", run(function()
    local null <close> = assert(streams.FileStream(io.open("/dev/null", "r+")))
    assert.is_nil(null:read())
    assert.equal(null, null:write("x"))
  end))

  it("over an endless device lets others run", run(function()
    local zero <close> = assert(streams.FileStream(io.open "/dev/zero"))
    local turns = 0
    local other = curio.spawn(function()
      while true do
        turns = turns + 1
        curio.schedule()
      end
    end)
    assert.equal(64 * 1024 * 1024, #zero:read_exactly(64 * 1024 * 1024))
    assert.is_true(turns > 2)
    other:cancel()
  end))

  it("over a FIFO waits for those that write", run(function()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local file = assert(io.open(path, "r+")) -- with a writer, so that opening does not block
    local stream <close> = assert(streams.FileStream(file))
    local task = curio.spawn(stream.read, stream)
    until_asleep(task, "READ_WAIT")
    stream:write("through\n")
    assert.equal("through", task:join())
    os.remove(path)
  end))

  it("over a pipe without a reader gives EPIPE, and no signal", run(function()
    local pipe = assert(io.popen("true", "w"))
    local stream = assert(streams.FileStream(pipe))
    local err, done
    repeat
      done, err = stream:write(("x"):rep(100000))
    until not done
    is_os_error("EPIPE", "write", done, err)
    stream:close()
  end))
end)
