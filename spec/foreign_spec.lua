-- Descriptors that are not curio's own: what traps.read_wait and write_wait take, and that they
-- tell the state as it is at each call, whatever others do with the descriptor meanwhile.

local curio = require "curio"
local helper = require "spec.helper"
local socket = require "curio.socket"
local traps = require "curio.traps"

local it_runs = helper.task_it(it)
local raises = helper.raises

-- Two ends whose first is used by its number alone, and what closes both.
local function pair()
  local a, b = assert(socket.socketpair())
  return a:fileno(), b, helper.closing(function()
    traps.io_release(a:fileno())
    a:close()
    b:close()
  end), a
end

local function late(fn, ...)
  return curio.ignore_after { 0.001, fn, ..., timeout_result = "late" }
end

describe("a foreign descriptor", function()
  it_runs("is ready as long as nobody has read what came", function()
    local fd, b, _ <close>, a = pair()
    assert.equal("late", late(traps.read_wait, fd))
    b:send "xy"
    for _ = 1, 3 do
      assert.is_true(traps.read_wait(fd))
    end
    assert.equal("x", a:recv(1))
    assert.is_true(traps.read_wait(fd))
    assert.equal("y", a:recv(1))
    assert.equal("late", late(traps.read_wait, fd))
  end)

  it_runs("wakes who waits when the other side is gone", function()
    local fd, b, _ <close> = pair()
    local task = helper.spawn(traps.read_wait, fd)
    b:close()
    assert.is_true(task:join())
    assert.is_true(traps.read_wait(fd))
    assert.is_true(traps.write_wait(fd))
  end)

  it_runs("is waited for by a reader and by a writer", function()
    local fd, b, _ <close>, a = pair()
    local chunk = ("x"):rep(65536)
    local sender = helper.spawn(function() -- fills what the system keeps
      for _ = 1, 100 do
        a:send(chunk)
      end
    end)
    sender:cancel()
    local reader, writer = helper.spawn(traps.read_wait, fd), helper.spawn(traps.write_wait, fd)
    assert.same({ "READ_WAIT", "WRITE_WAIT" }, { reader.state, writer.state })
    assert.same({ reader, writer }, { traps.io_waiting(fd) })
    raises(curio.ReadResourceBusy, traps.read_wait, fd)
    raises(curio.WriteResourceBusy, traps.write_wait, fd)
    b:send "y"
    assert.is_true(reader:join())
    assert.is_false(writer.terminated)
    local drainer = curio.spawn(function()
      while b:recv(65536) do
        curio.sleep(0)
      end
    end)
    assert.is_true(writer:join())
    drainer:cancel()
  end)

  it_runs("that does not exist gives nil and an OSError", function()
    for _, wait in ipairs { traps.read_wait, traps.write_wait } do
      local value, err = wait(9999)
      assert.is_nil(value)
      assert.is_true(curio.is(err, curio.OSError))
      assert.equal("EBADF", err.code)
      assert.equal("fd 9999", err.subject)
    end
  end)

  it_runs("may be closed and its number be another's without our being told", function()
    local a <close>, b <const> = assert(socket.socketpair())
    local fd, _ <close> = a:fileno(), b
    b:send "x"
    assert.is_true(traps.read_wait(fd))
    local pipe = assert(io.popen("cat /dev/null")) -- takes another number
    pipe:close()
    a:detach()
    assert(socket.fromfd(fd)):close()
    local c <close>, d <const> = assert(socket.socketpair())
    local _ <close> = d
    assert.equal(fd, c:fileno())
    assert.equal("late", late(traps.read_wait, fd))
    local task = helper.spawn(traps.read_wait, fd)
    d:send "y"
    assert.is_true(task:join())
    traps.io_release(fd)
  end)

  it_runs("may be that of a Lua file", function()
    local pipe <close> = assert(io.popen("sleep 0.05; echo hello"))
    local task = helper.spawn(traps.read_wait, pipe)
    assert.equal("READ_WAIT", task.state)
    assert.is_true(task:join())
    assert.equal("hello", pipe:read())
    traps.io_release(pipe)
  end)

  it_runs("may be that of a file, which is always ready", function()
    local path = os.tmpname()
    local file <close> = assert(curio.aopen(path, "w+"))
    assert.is_true(traps.read_wait(file))
    assert.is_true(traps.write_wait(file))
    file:close()
    assert.error_matches(function()
      traps.read_wait(file)
    end, "its fileno is not a descriptor %(closed%?%)")
    os.remove(path)
  end)

  it_runs("may be that of a stream, or of any object with fileno", function()
    local fd, b, _ <close>, a = pair()
    local stream = a:as_stream()
    b:send "x"
    assert.is_true(traps.read_wait(stream))
    assert.is_true(traps.read_wait { fileno = function() return fd end })
    local task = helper.spawn(traps.read_wait, b)
    assert.same({ task }, { traps.io_waiting { fileno = function() return b:fileno() end } })
    traps.io_release(b)
    assert.is_true(task:join())
  end)

  it_runs("is nothing else", function()
    local functions = { traps.read_wait, traps.write_wait, traps.io_release, traps.io_waiting }
    local function refuses(pattern, value)
      for _, fn in ipairs(functions) do
        assert.error_matches(function()
          fn(value)
        end, pattern)
      end
    end
    refuses("not a descriptor", -1)
    refuses("not a descriptor", 1 << 40)
    refuses("expected, got nil", nil)
    refuses("expected, got string", "stdin")
    refuses("expected, got boolean", true)
    refuses("not a descriptor", 1.5)
    refuses("not a descriptor", "1")
    refuses("fileno", {})
    refuses("its fileno is not a descriptor", { fileno = function() end })
    refuses("its fileno is not a descriptor", { fileno = function() return "x" end })
    refuses("its fileno is not a descriptor", { fileno = function() return -1 end })
    refuses("mine", { fileno = function() error "mine" end })
  end)
end)
