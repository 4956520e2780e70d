local core = require "curio.core"
local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"

local run = sockets.run
local closer = sockets.closer
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local cancelled = sockets.cancelled
local closed = sockets.closed
local close_fds = sockets.close_fds
local RIGHTS = { socket.SOL_SOCKET, socket.SCM_RIGHTS }

local function unix_pair(type)
  local a, b = assert(socket.socketpair(socket.AF_UNIX, type))
  return a, b, closer(a, b)
end

local function pid()
  local file <close> = assert(io.open("/proc/self/stat"))
  return file:read("n")
end

local function open_fds()
  for _ = 1, 3 do
    collectgarbage() -- what other specs have left, and what that leaves
  end
  local n = 0
  for _ in pairs(core.testing.descriptors()) do
    n = n + 1
  end
  return n
end

local function leaves_no_descriptor(fn)
  return run(function()
    local before = open_fds()
    for _ = 1, 3 do
      fn()
    end
    assert.is_true(open_fds() <= before)
  end)
end

-- Fills the buffers towards a peer that does not read.
local function clog(sock)
  while curio.ignore_after(0.05, sock.sendmsg, sock, { sockets.BIG }) do
    curio.schedule()
  end
end

describe("sendmsg and recvmsg", function()
  it("carry pieces as one message", run(function()
    local a, b, _ <close> = unix_pair(socket.SOCK_DGRAM)
    assert.equal(6, a:sendmsg { "one", "", "two" })
    assert.equal(0, a:sendmsg {})
    assert.equal(5, a:sendmsg "whole")
    local data, ancillary, flags, address = b:recvmsg(100, 100)
    assert.equal("onetwo", data)
    assert.same({}, ancillary)
    assert.equal(0, flags)
    assert.is_nil(address)
    assert.equal("", (b:recvmsg()))
    assert.equal("whole", (b:recvmsg()))
  end))

  it("tell that a message was cut off", run(function()
    local a, b, _ <close> = unix_pair(socket.SOCK_DGRAM)
    a:send("0123456789")
    a:send("next")
    local data, _, flags = b:recvmsg(4)
    assert.equal("0123", data)
    assert.equal(socket.MSG_TRUNC, flags & socket.MSG_TRUNC)
    data, _, flags = b:recvmsg(4)
    assert.equal("next", data)
    assert.equal(0, flags)
  end))

  it("tell addresses, and send to them", run(function()
    local a <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    local b <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
    assert(a:bind("127.0.0.1", 0))
    assert(b:bind("127.0.0.1", 0))
    local at = a:getsockname()
    assert.equal(2, b:sendmsg({ "hi" }, nil, 0, at))
    local data, _, _, from = a:recvmsg(100)
    assert.equal("hi", data)
    assert.equal(b:getsockname(), from)
    assert.equal(2, a:sendmsg({ "ho" }, {}, nil, from.host, from.port))
    assert.equal("ho", (b:recvmsg()))
    assert.equal(1, b:sendmsg({ "x" }, nil, nil, "localhost", at.port))
    assert.equal("x", (a:recvmsg()))
    local err = is_os_error("EMSGSIZE", "sendmsg", b:sendmsg({ ("x"):rep(70000) }, nil, 0, at))
    assert.equal(tostring(at), err.subject)
  end))

  it("work on streams: nil alone is the end", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    assert.equal(6, a:sendmsg { "abc", "def" })
    assert.equal("abcd", (b:recvmsg(4)))
    assert.equal("ef", (b:recvmsg(4)))
    assert.same({ "", {}, 0 }, { b:recvmsg(0) })
    a:close()
    assert.same({ n = 1 }, table.pack(b:recvmsg(4, 100)))
  end))

  it("carry more than the buffers take, a part at a time", run(function()
    local a, b, _ <close> = unix_pair()
    local reader = curio.spawn(sockets.receive_all, b)
    local n = a:sendmsg { sockets.BIG, "end" }
    assert.is_true(n > 0 and n < #sockets.BIG)
    a:close()
    assert.equal(n, #reader:join())
  end))

  it("carry ancillary data", run(function()
    local a, b, _ <close> = unix_pair()
    assert.equal(1, a:sendmsg({ "x" }, { { RIGHTS[1], RIGHTS[2], string.pack("i", a:fileno()) } }))
    local data, ancillary, flags = b:recvmsg(10, socket.CMSG_SPACE(4))
    assert.equal("x", data)
    assert.equal(0, flags)
    assert.equal(1, #ancillary)
    local item = ancillary[1]
    assert.same({ RIGHTS[1], RIGHTS[2], item[3] }, item)
    assert.same({ RIGHTS[1], RIGHTS[2], item[3] }, { item.level, item.type, item.data })
    local fd = string.unpack("i", item.data)
    local copy <close> = assert(socket.fromfd(fd))
    copy:send("through the copy")
    assert.equal("through the copy", b:recv(100))
    local named = { level = RIGHTS[1], type = RIGHTS[2], data = item.data }
    assert.equal(1, a:sendmsg({ "y" }, { named }))
    local _, fds = b:recv_fds(1, 1)
    close_fds(fds)
  end))

  it("tell the sender's credentials where they are asked for", run(function()
    local a, b, _ <close> = unix_pair()
    assert(b:setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, true))
    a:sendmsg { "x" }
    local _, ancillary = b:recvmsg(10, socket.CMSG_SPACE(12))
    assert.equal(socket.SCM_CREDENTIALS, ancillary[1].type)
    assert.equal(pid(), (string.unpack("=i4I4I4", ancillary[1].data)))
    assert.equal(1, a:sendmsg({ "y" }, { { socket.SOL_SOCKET, socket.SCM_CREDENTIALS,
      ancillary[1].data } }))
    local bytes = b:getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    assert.equal(pid(), (string.unpack("=i4I4I4", bytes)))
  end))

  it("tell of ancillary data that had no room", leaves_no_descriptor(function()
    local a, b, _ <close> = unix_pair()
    a:send_fds("x", { 0, 1, 2 })
    local _, ancillary, flags = b:recvmsg(10, 0)
    assert.same({}, ancillary)
    assert.equal(socket.MSG_CTRUNC, flags)
  end))

  it("refuse, by name, what is no message", run(function()
    local a, _, _ <close> = unix_pair()
    local function refuses(pattern, ...)
      local args = table.pack(...)
      assert.error_matches(function()
        a:sendmsg(table.unpack(args, 1, args.n))
      end, pattern)
    end
    refuses("list of strings expected, got nil", nil)
    refuses("piece 2 is a nil, not a string", { "x", nil, "y" })
    refuses("piece 1 is a table, not a string", { {} })
    refuses("list of {level, type, data} expected", "x", "y")
    refuses("item 1 is not {level, type, data}", "x", { 5 })
    refuses("item 2 is not {level, type, data}", "x", { { 1, 1, "aaaa" }, { 1, 1 } })
    refuses("more than a system takes", "x", { { 1, 1, ("x"):rep(2000000) } })
    refuses("more than 1024 pieces", { ("x"):rep(1025):byte(1, -1) })
    refuses("a stream carries ancillary data beside one byte at least", {}, { { 1, 1, "aaaa" } })
    refuses("the path must be a string, not 5", "x", nil, 0, 5)
    assert.error_matches(function() a:recvmsg(1, -1) end, "the size must be 0 to 1048576")
    is_os_error("EINVAL", "sendmsg", a:sendmsg("x", { { 1, 9999, "aaaa" } }))
    is_os_error("EBADF", "sendmsg", a:sendmsg("x", { { RIGHTS[1], RIGHTS[2],
      string.pack("i", 99999) } }))
  end))

  it("do not look at the tables again once they sleep", run(function()
    local a, b, _ <close> = unix_pair()
    clog(a)
    local pieces = { "good" }
    local task = curio.spawn(a.sendmsg, a, pieces)
    until_asleep(task, "WRITE_WAIT")
    pieces[1] = false
    local reader = curio.spawn(sockets.receive_all, b)
    assert.equal(4, task:join())
    a:close()
    assert.equal("good", reader:join():sub(-4))
  end))
end)

describe("recvmsg", function()
  it("waits for a message", run(function()
    local a, b, _ <close> = unix_pair()
    local task = curio.spawn(b.recvmsg, b, 100, 100)
    until_asleep(task, "READ_WAIT")
    a:send_fds("late", { a })
    assert.equal("late", task:join())
    close_fds { (string.unpack("i", task.results[2][1].data)) }
  end))

  it("times out", run(function()
    local a, b, _ <close> = unix_pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, b.recvmsg, b, 100, 100)
    a:send("kept")
    assert.equal("kept", (b:recvmsg(100, 100)))
  end))

  it("is cancelled while asleep", run(function()
    local a, b, _ <close> = unix_pair()
    cancelled("READ_WAIT", b.recvmsg, b, 100, 100)
    a:send("kept")
    assert.equal("kept", (b:recvmsg(100, 100)))
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local _, b, _ <close> = unix_pair()
    closed("READ_WAIT", b, "recvmsg", 100, 100)
  end))
end)

describe("sendmsg", function()
  it("waits for room", run(function()
    local a, b, _ <close> = unix_pair()
    clog(a)
    local task = curio.spawn(a.sendmsg, a, { "la", "st" })
    until_asleep(task, "WRITE_WAIT")
    local reader = curio.spawn(sockets.receive_all, b)
    assert.equal(4, task:join())
    a:close()
    assert.equal("last", reader:join():sub(-4))
  end))

  it("times out", run(function()
    local a, _, _ <close> = unix_pair()
    clog(a)
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, a.sendmsg, a, { "x" })
  end))

  it("is cancelled while asleep", run(function()
    local a, _, _ <close> = unix_pair()
    clog(a)
    cancelled("WRITE_WAIT", a.sendmsg, a, { "x" })
  end))

  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = unix_pair()
    clog(a)
    closed("WRITE_WAIT", a, "sendmsg", { "x" })
  end))
end)

describe("send_fds and recv_fds", function()
  it("pass descriptors, given as numbers, files and sockets", leaves_no_descriptor(function()
    local a, b, _ <close> = unix_pair()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    assert.equal(4, a:send_fds("data", { a, file, 2 }))
    local data, fds, flags = b:recv_fds(100, 10)
    assert.equal("data", data)
    assert.equal(3, #fds)
    assert.equal(0, flags)
    local copy <close> = assert(socket.fromfd(table.remove(fds, 1)))
    copy:send("hello")
    assert.equal("hello", b:recv(100))
    os.remove(path)
    close_fds(fds)
  end))

  it("make them close-on-exec", leaves_no_descriptor(function()
    local a, b, _ <close> = unix_pair()
    a:send_fds("x", { 0 })
    local _, fds = b:recv_fds(1, 1)
    local info <close> = assert(io.open(("/proc/self/fdinfo/%d"):format(fds[1])))
    local flags = tonumber(info:read("a"):match("flags:%s*(%d+)"), 8)
    assert.is_true(flags & 0x80000 ~= 0)
    close_fds(fds)
  end))

  it("close those beyond the number wanted, and say so", leaves_no_descriptor(function()
    local a, b, _ <close> = unix_pair()
    for sent = 1, 6 do
      for wanted = 0, 6 do
        local list = {}
        for i = 1, sent do
          list[i] = 1
        end
        a:send_fds("x", list)
        local _, fds, flags = b:recv_fds(1, wanted)
        assert.equal(math.min(sent, wanted), #fds)
        assert.equal(sent > wanted and socket.MSG_CTRUNC or 0, flags)
        close_fds(fds)
      end
    end
  end))

  it("find them behind credentials", leaves_no_descriptor(function()
    local a, b, _ <close> = unix_pair()
    assert(b:setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, true))
    a:send_fds("x", { 0, 1 })
    local _, fds, flags = b:recv_fds(1, 2)
    assert.equal(2, #fds)
    assert.equal(0, flags)
    close_fds(fds)
  end))

  it("work with datagrams, the empty ones too", leaves_no_descriptor(function()
    local a, b, _ <close> = unix_pair(socket.SOCK_DGRAM)
    assert.equal(0, a:send_fds("", { 1 }))
    assert.equal(1, a:send_fds("x", {}))
    local data, fds = b:recv_fds(1, 1)
    assert.equal("", data)
    assert.equal(1, #fds)
    close_fds(fds)
    data, fds = b:recv_fds(1, 1)
    assert.equal("x", data)
    assert.same({}, fds)
  end))

  it("refuse what is no open descriptor", run(function()
    local a, _, _ <close> = unix_pair()
    local file = assert(io.open("/dev/null"))
    file:close()
    for _, bad in ipairs { file, -1, "0", {}, math.maxinteger, 1.5 } do
      assert.error_matches(function()
        a:send_fds("x", { 0, bad })
      end, "item 2 is not an open descriptor")
    end
    assert.error_matches(function() a:send_fds("x", 5) end, "list of descriptors expected")
    assert.error_matches(function() a:send_fds("", { 0 }) end, "beside one byte at least")
    assert.error_matches(function() a:recv_fds(1) end, "number expected")
    is_os_error("EBADF", "send_fds", a:send_fds("x", { 99999 }))
  end))

  it("give nil alone at the end of a stream", run(function()
    local a, b, _ <close> = unix_pair()
    a:close()
    assert.same({ n = 1 }, table.pack(b:recv_fds(10, 1)))
  end))

  it("do not collect a file that waits to be sent", leaves_no_descriptor(function()
    local a, b, _ <close> = unix_pair()
    clog(a)
    local task = curio.spawn(a.send_fds, a, "x", { assert(io.open("/dev/null")) })
    until_asleep(task, "WRITE_WAIT")
    collectgarbage()
    collectgarbage()
    local fds
    while not task.terminated or not fds or #fds == 0 do
      fds = select(2, b:recv_fds(65536, 1))
    end
    assert.equal(1, task:join())
    local name = io.popen(("readlink /proc/%d/fd/%d"):format(pid(), fds[1]))
    assert.equal("/dev/null\n", name:read("a"))
    name:close()
    close_fds(fds)
  end))

  it("wait, time out, and are cancelled", run(function()
    local a, b, _ <close> = unix_pair()
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, b.recv_fds, b, 1, 1)
    cancelled("READ_WAIT", b.recv_fds, b, 1, 1)
    local task = curio.spawn(b.recv_fds, b, 1, 1)
    until_asleep(task, "READ_WAIT")
    a:send_fds("x", { 0 })
    assert.equal("x", task:join())
    close_fds(task.results[2])
    clog(a)
    raises(curio.TaskTimeout, curio.timeout_after, 0.01, a.send_fds, a, "x", { 0 })
    cancelled("WRITE_WAIT", a.send_fds, a, "x", { 0 })
  end))

  it("are woken by closing with nil and ClosedError", run(function()
    local a, b, _ <close> = unix_pair()
    closed("READ_WAIT", b, "recv_fds", 1, 1)
    local c, _, _ <close> = unix_pair()
    clog(c)
    closed("WRITE_WAIT", c, "send_fds", "x", { 0 })
    assert.is_nil(a:recv(1))
  end))
end)
