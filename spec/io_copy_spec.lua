-- curio.io.copy: from anything to anything, by the cheapest means.

local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"
local testing = require "curio.testing"

local streams = curio.io
local copy = streams.copy
local run = sockets.run
local until_asleep = sockets.until_asleep
local is_os_error = sockets.is_os_error
local is_closed_error = sockets.is_closed_error

local DATA = {}
for i = 1, 40000 do
  DATA[i] = ("%06d:%s\n"):format(i, ("x"):rep(i % 40))
end
DATA = table.concat(DATA)

-- Removes a file at the end.
local Path = {
  __close = function(self)
    os.remove(self.path)
  end,
}

local function file_with(data)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(data)
  file:close()
  return setmetatable({ path = path }, Path)
end

local function send_all(sock, data)
  return curio.spawn { function()
    sock:sendall(data)
    sock:shutdown "wr"
  end, daemon = true }
end

-- What can be copied from: each gives the thing, and a function that ends its use.
local sources = {
  ["a socket"] = function(data)
    local a, b, closer = sockets.pair()
    send_all(a, data)
    return b, closer
  end,
  ["a TCP socket"] = function(data)
    local a, b, closer = sockets.tcp_pair()
    send_all(a, data)
    return b, closer
  end,
  ["a stream that has read ahead"] = function(data)
    local a, b, closer = sockets.pair()
    send_all(a, "before\n" .. data)
    local stream = b:as_stream()
    assert.equal("before", stream:read())
    return stream, closer
  end,
  ["a socket in memory"] = function(data)
    local a, b = testing.socketpair()
    send_all(a, data)
    return b, sockets.closer(a, b)
  end,
  ["a stream over memory"] = function(data)
    local a, b = testing.socketpair()
    send_all(a, "before\n" .. data)
    local stream = b:as_stream()
    assert.equal("before", stream:read())
    return stream, sockets.closer(a, b)
  end,
  ["a process"] = function(data)
    local path = file_with(data)
    local pipe = assert(io.popen("cat " .. path.path))
    return pipe, sockets.closer(pipe, { close = function() os.remove(path.path) end })
  end,
  ["a Lua file that has read ahead"] = function(data)
    local path = file_with("before\n" .. data)
    local file = assert(io.open(path.path))
    assert.equal("before", file:read())
    return file, sockets.closer(file, { close = function() os.remove(path.path) end })
  end,
  ["an AsyncFile"] = function(data)
    local path = file_with("before\n" .. data)
    local file = assert(curio.aopen(path.path))
    assert.equal("before", file:read())
    return file, sockets.closer(file, { close = function() os.remove(path.path) end })
  end,
  ["a descriptor"] = function(data)
    local a, b, closer = sockets.pair()
    send_all(a, data)
    return b:fileno(), closer
  end,
}

-- What can be copied to: each gives the thing, and a function that gives what has come.
local sinks = {
  ["a socket"] = function()
    local a, b, closer = sockets.pair()
    local reader = curio.spawn(sockets.receive_all, b)
    return a, function()
      a:shutdown "wr"
      local got = reader:join()
      closer[1]:close()
      closer[2]:close()
      return got
    end
  end,
  ["a TCP socket"] = function()
    local a, b, closer = sockets.tcp_pair()
    local reader = curio.spawn(sockets.receive_all, b)
    return a, function()
      a:shutdown "wr"
      local got = reader:join()
      closer[1]:close()
      closer[2]:close()
      return got
    end
  end,
  ["a stream over memory"] = function()
    local a, b = testing.socketpair()
    local stream, reader = a:as_stream(), curio.spawn(function()
      return b:as_stream():readall()
    end)
    return stream, function()
      stream:close()
      return reader:join()
    end
  end,
  ["a Lua file"] = function()
    local file = assert(io.tmpfile())
    file:write("before ")
    return file, function()
      file:write(" after")
      file:seek "set"
      local text = file:read "a"
      file:close()
      return (text:match "^before (.*) after$")
    end
  end,
  ["an AsyncFile"] = function()
    local path = os.tmpname()
    local file = assert(curio.aopen(path, "w"))
    file:write("before ")
    return file, function()
      file:write(" after")
      file:close()
      local text = io.open(path):read "a"
      os.remove(path)
      return (text:match "^before (.*) after$")
    end
  end,
  ["a process"] = function()
    local path = os.tmpname()
    local pipe = assert(io.popen("cat >" .. path, "w"))
    return pipe, function()
      pipe:close()
      local text = io.open(path):read "a"
      os.remove(path)
      return text
    end
  end,
}

describe("io.copy", function()
  for from, source in pairs(sources) do
    for to, sink in pairs(sinks) do
      it(("from %s to %s copies all, or as many bytes as are asked for"):format(from, to),
        run(function()
          local src, _ <close> = source(DATA)
          local dst, got = sink()
          assert.equal(10, copy(src, dst, { n = 10 }))
          assert.equal(0, copy(src, dst, { n = 0 }))
          assert.equal(70000, copy(src, dst, { n = 70000 }))
          assert.equal(#DATA - 70010, copy(src, dst))
          assert.equal(0, copy(src, dst))
          local text = got()
          assert.equal(#DATA, #text)
          assert.is_true(DATA == text)
        end))
    end
  end

  it("takes descriptors to write to as well", run(function()
    local file = assert(io.tmpfile())
    local dup = assert(streams.FileStream(file))
    local src, _ <close> = sources["a socket"]("data")
    assert.equal(4, copy(src, dup:fileno()))
    file:seek "set"
    assert.equal("data", file:read "a")
    dup:close()
  end))

  it("waits for both sides and carries on", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local c, d, _ <close> = sockets.tcp_pair()
    local task = curio.spawn(copy, b, c)
    until_asleep(task, "READ_WAIT")
    a:sendall("first")
    assert.equal("first", d:recv(100))
    until_asleep(task, "READ_WAIT")
    local big = curio.spawn(a.sendall, a, sockets.BIG)
    until_asleep(task, "WRITE_WAIT")
    assert.equal(sockets.BIG, d:as_stream():read_exactly(#sockets.BIG))
    big:join()
    a:shutdown "wr"
    assert.equal(5 + #sockets.BIG, task:join())
  end))

  it("makes an echo of one socket", run(function()
    local a, b, _ <close> = sockets.pair()
    local task = curio.spawn(copy, b, b)
    a:sendall("echo")
    assert.equal("echo", a:recv(100))
    a:shutdown "wr"
    assert.equal(4, task:join())
  end))

  for _, kind in ipairs { "a socket", "a TCP socket", "a socket in memory" } do
    it("cancelled tells what was copied, and what is on the way, from " .. kind, run(function()
      local src, _ <close> = sources[kind](sockets.BIG)
      local a, b, _ <close> = sockets.pair()
      local err = sockets.cancelled("WRITE_WAIT", copy, src, a)
      a:shutdown "wr"
      local got = sockets.receive_all(b)
      assert.equal(#got, err.bytes_copied)
      assert.is_true(#got > 0)
      local whole = got .. (err.unsent or "") .. src:as_stream():readall()
      assert.is_true(whole == sockets.BIG)
    end))
  end

  it("cancelled puts back into a stream what it has taken from it", run(function()
    local src, _ <close> = sources["a socket"](sockets.BIG)
    local stream = src:as_stream()
    local a, b, _ <close> = sockets.pair()
    local err = sockets.cancelled("WRITE_WAIT", copy, stream, a)
    assert.is_nil(err.unsent)
    a:shutdown "wr"
    local got = sockets.receive_all(b)
    assert.equal(#got, err.bytes_copied)
    assert.is_true(got .. stream:readall() == sockets.BIG)
  end))

  it("times out while there is nothing to copy", run(function()
    local a, b, _ <close> = sockets.pair()
    local task = curio.spawn(curio.ignore_after, 0.01, copy, a, b)
    assert.is_nil(task:join())
  end))

  it("stops when one of the streams is closed, whatever it waits for", run(function()
    for _, which in ipairs { "from", "to" } do
      local a, _, _ <close> = sockets.pair()
      local c, _, _ <close> = sockets.pair()
      local ends = { from = a:as_stream(), to = c:as_stream() }
      local task = curio.spawn(copy, ends.from, ends.to)
      until_asleep(task, "READ_WAIT")
      ends[which]:close()
      task:join()
      local err = is_closed_error(task.results[1], task.results[2])
      assert.equal(0, err.bytes_copied)
    end
  end))

  it("stops when the socket it waits for is closed", run(function()
    local a, _, _ <close> = sockets.pair()
    local c, _, _ <close> = sockets.pair()
    local task = curio.spawn(copy, a, c)
    until_asleep(task, "READ_WAIT")
    a:close()
    task:join()
    is_closed_error(task.results[1], task.results[2])
  end))

  it("stops when the socket it does not wait for is closed", run(function()
    for _, full in ipairs { false, true } do
      local a, b, _ <close> = sockets.pair()
      local c, _, _ <close> = sockets.pair()
      local writer = full and send_all(b, sockets.BIG)
      local task = curio.spawn(copy, a, c)
      until_asleep(task, full and "WRITE_WAIT" or "READ_WAIT")
      local other = full and a or c
      other:close()
      task:join()
      is_closed_error(task.results[1], task.results[2])
      if writer then
        writer:cancel()
      end
    end
  end))

  it("lets others wait for the side that it does not wait for", run(function()
    local a, b, _ <close> = sockets.pair()
    local c, d, _ <close> = sockets.pair()
    local task = curio.spawn(copy, a, c)
    until_asleep(task, "READ_WAIT")
    local other = send_all(c, sockets.BIG)
    until_asleep(other, "WRITE_WAIT")
    local got = {}
    for chunk in d:chunks(65536) do
      got[#got + 1] = chunk
    end
    assert.equal(#sockets.BIG, #table.concat(got))
    b:close()
    assert.equal(0, task:join())
  end))

  it("gives EPIPE, and no signal, when nobody reads any more", run(function()
    for _, from in ipairs { "a socket", "a Lua file that has read ahead", "a socket in memory" } do
      local src, _ <close> = sources[from](sockets.BIG)
      local a, b, _ <close> = sockets.tcp_pair()
      sockets.reset(b)
      local n, err = copy(src, a)
      if err.code ~= "ECONNRESET" then
        is_os_error("EPIPE", "write", n, err)
      end
      assert.equal(0, err.bytes_copied)
      is_os_error("EPIPE", "write", copy("" and src, a))
    end
  end))

  it("tells of a full device", run(function()
    local src, _ <close> = sources["a socket"]("data")
    local full = assert(io.open("/dev/full", "w"))
    local err = is_os_error("ENOSPC", "write", copy(src, full))
    assert.equal(0, err.bytes_copied)
    assert.equal("data", err.unsent)
    full:close()
  end))

  it("takes along what an AsyncFile over a pipe gave and nobody took", run(function()
    local path <close> = setmetatable({ path = sockets.unused_path() }, Path)
    assert(os.execute("mkfifo " .. path.path))
    local writer <close> = assert(io.open(path.path, "r+"))
    writer:write "data"
    writer:flush()
    local fifo <close> = assert(curio.aopen(path.path))
    local a, b, _ <close> = sockets.pair()
    b:close()
    local err = is_os_error("EPIPE", "write", copy(fifo, a, { n = 4 }))
    assert.equal("data", err.unsent)
  end))

  it("finds a closed AsyncFile before there is anything to copy", run(function()
    local a, _, _ <close> = sockets.pair()
    local path <close> = file_with ""
    local file = assert(curio.aopen(path.path, "w"))
    file:close()
    is_closed_error(copy(a, file))
    is_closed_error(copy(file, a))
  end))

  it("tells of a connection that breaks", run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local c, d, _ <close> = sockets.pair()
    local task = curio.spawn(copy, b, c)
    a:sendall("some")
    assert.equal("some", d:recv(100))
    until_asleep(task, "READ_WAIT")
    sockets.reset(a)
    task:join()
    local err = is_os_error("ECONNRESET", "read", task.results[1], task.results[2])
    assert.equal(4, err.bytes_copied)
  end))

  it("refuses a second one meanwhile", run(function()
    local a, b, _ <close> = sockets.pair()
    local from, to = a:as_stream(), b:as_stream()
    local task = curio.spawn(copy, from, to)
    until_asleep(task, "READ_WAIT")
    sockets.raises(curio.ReadResourceBusy, copy, from, to)
    sockets.raises(curio.ReadResourceBusy, from.read, from)
    sockets.raises(curio.WriteResourceBusy, to.write, to, "x")
    task:cancel()
    to:write("free\n")
    assert.equal("free", from:read())
  end))

  it("lets others run", run(function()
    local zero = assert(io.open "/dev/zero")
    local null = assert(io.open("/dev/null", "w"))
    local turns = 0
    local other = curio.spawn(function()
      while true do
        turns = turns + 1
        curio.schedule()
      end
    end)
    assert.equal(64 * 1024 * 1024, copy(zero, null, { n = 64 * 1024 * 1024 }))
    assert.is_true(turns > 5)
    other:cancel()
    zero:close()
    null:close()
  end))

  it("leaves a shared pipe in the mode it had", run(function()
    local out = io.popen [[
      exec 3>&1
      printf hello | curio -e '
        local curio = require "curio"
        curio.io.copy(0, 3)
        local flags = io.open("/proc/self/fdinfo/3"):read("a"):match("flags:%s*(%d+)")
        print(tonumber(flags, 8) & tonumber("4000", 8))
      ']]
    assert.equal("hello0\n", out:read "a")
    out:close()
  end))

  it("refuses what cannot be copied from or to, and unknown options", run(function()
    local a, b, _ <close> = sockets.pair()
    for _, wrong in ipairs { true, {}, "path", 1.5 } do
      assert.error_matches(function()
        copy(wrong, a)
      end, "first argument is a .* value, nothing to copy from")
      assert.error_matches(function()
        copy(a, wrong)
      end, "second argument is a .* value, nothing to copy to")
    end
    assert.error_matches(function()
      copy(a, b, { max = 1 })
    end, "unknown option 'max' %(known: n%)")
    assert.error_matches(function()
      copy(a, b, { n = -1 })
    end, "option 'n' must be a number of bytes")
    is_os_error("EBADF", "io.copy", copy(a, 987654))
    is_closed_error(copy(a, (function()
      b:close()
      return b
    end)()))
  end))

  it("leaves no descriptor behind", function()
    testing.run(function()
      local a, b, _ <close> = sockets.pair()
      local c, _, _ <close> = sockets.pair()
      local tasks = { curio.spawn(copy, b, c), curio.spawn(copy, c, b) }
      tasks[3] = curio.spawn(a.sendall, a, sockets.BIG)
      until_asleep(tasks[1], "WRITE_WAIT")
      for _, task in ipairs(tasks) do
        task:cancel()
      end
    end)
  end)
end)

describe("a socket", function()
  it("given to io.copy stays open", run(function()
    local src, _ <close> = sources["a socket"]("data")
    local a, b = assert(socket.socketpair())
    copy(src, a)
    assert.equal("data", b:recv(10))
    assert.truthy(a:fileno())
    assert.truthy(src:fileno())
    a:close()
    b:close()
  end))
end)
