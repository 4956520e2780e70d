local curio = require "curio"
local helper = require "spec.helper"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local file_of = helper.file_of
local tcp_pair = sockets.tcp_pair
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local cancelled = sockets.cancelled
local is_closed_error = sockets.is_closed_error
local receive_all = sockets.receive_all

-- The same by sendfile and from the string.
local function sends(text, off, n)
  local a, b, _ <close> = tcp_pair()
  local file <close>, _tmp = file_of(text)
  local _ <close> = _tmp
  local reader = curio.spawn(receive_all, b)
  local sent = assert(a:sendfile(file, off, n))
  a:shutdown("wr")
  local got = reader:join()
  assert.equal(sent, #got)
  off = off or 0
  assert.is_true(text:sub(off + 1, n and off + n) == got)
end

describe("sendfile", function()
  it("sends a file, or a part of it, offsets counted from 0", run(function()
    local text = ("0123456789"):rep(100)
    sends(text)
    sends(text, 0, 10)
    sends(text, 7, 5)
    sends(text, 990)
    sends(text, 0, 0)
    sends(text, 2000)
    sends(text, 5, 100000)
    sends("")
    sends(sockets.BIG)
    sends(sockets.BIG, 1, #sockets.BIG - 2)
  end))

  it("takes descriptors, Lua files, AsyncFiles, streams, and leaves their position", run(function()
    local a, b, _ <close> = tcp_pair()
    local file <close>, tmp, path = file_of("0123456789")
    local _ <close> = tmp
    file:seek("set", 3)
    local async <close> = assert(curio.aopen(path))
    for _, what in ipairs { file, async, async:fileno() } do
      assert.equal(4, a:sendfile(what, 2, 4))
      assert.equal("2345", b:recv(100))
    end
    assert.equal("3", file:read(1))
  end))

  it("refuses what is no regular file, and tells that nothing was sent", run(function()
    local a, b, _ <close> = tcp_pair()
    local err = is_os_error("ESPIPE", "sendfile", a:sendfile(b)) -- it has no offsets
    assert.equal(0, err.bytes_sent)
    local directory <close> = assert(io.open("/tmp"))
    assert.is_nil((a:sendfile(directory)))
  end))

  it("raises for arguments that make no sense", run(function()
    local a, _, _ <close> = tcp_pair()
    local dgram <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    local file = assert(io.open("/dev/null"))
    assert.error_matches(function() dgram:sendfile(file) end, "sendfile needs a stream socket")
    assert.error_matches(function() a:sendfile(file, -1) end, "the offset must be 0 or more")
    assert.error_matches(function() a:sendfile(file, 0, -1) end, "the number of bytes must be 0")
    assert.error_matches(function() a:sendfile("name") end, "descriptor or object with fileno")
    file:close()
    assert.error_matches(function() a:sendfile(file) end, "closed")
  end))

  it("times out, and the error tells how much was sent", run(function()
    local a, b, _ <close> = tcp_pair()
    local file <close>, tmp = file_of(sockets.BIG)
    local _ <close> = tmp
    local caught
    raises(curio.TaskTimeout, curio.timeout_after, 0.05, function()
      local done, err = pcall(a.sendfile, a, file)
      caught = err
      error(not done and err or "sent", 0)
    end)
    a:shutdown("wr")
    local got = receive_all(b)
    assert.equal(caught.bytes_sent, #got)
    assert.is_true(#got > 0 and got == sockets.BIG:sub(1, #got))
  end))

  it("is cancelled while asleep, and the error tells how much was sent", run(function()
    local a, b, _ <close> = tcp_pair()
    local file <close>, tmp = file_of(sockets.BIG)
    local _ <close> = tmp
    local err = cancelled("WRITE_WAIT", a.sendfile, a, file)
    a:shutdown("wr")
    assert.equal(err.bytes_sent, #receive_all(b))
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = tcp_pair()
    local file <close>, tmp = file_of(sockets.BIG)
    local _ <close> = tmp
    local err = sockets.closed("WRITE_WAIT", a, "sendfile", file)
    assert.is_true(err.bytes_sent > 0)
  end))

  it("notices that the file is closed meanwhile", run(function()
    local a, b, _ <close> = tcp_pair()
    local file, tmp = file_of(sockets.BIG)
    local _ <close> = tmp
    local task = curio.spawn(a.sendfile, a, file)
    until_asleep(task, "WRITE_WAIT")
    file:close()
    local reader = curio.spawn(receive_all, b)
    task:wait()
    a:close()
    local err = is_closed_error(table.unpack(task.results, 1, 2))
    assert.equal(err.bytes_sent, #reader:join())
  end))

  it("tells of a reset while it sends", run(function()
    local a, b, _ <close> = tcp_pair()
    local file <close>, tmp = file_of(sockets.BIG)
    local _ <close> = tmp
    local task = curio.spawn(a.sendfile, a, file)
    until_asleep(task, "WRITE_WAIT")
    sockets.reset(b)
    task:wait()
    assert.is_nil(task.results[1])
    local err = task.results[2]
    assert.is_true(err.code == "ECONNRESET" or err.code == "EPIPE")
    assert.is_true(err.bytes_sent > 0)
  end))
end)
