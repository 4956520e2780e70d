-- Files: what they do beyond Lua's own (spec/file_differential_spec.lua compares the rest), and
-- what the system may refuse. How tasks share them is in spec/file_tasks_spec.lua.

local curio = require "curio"
local helper = require "spec.helper"

local it_runs = helper.task_it(it)

local path, fifo

local function content()
  return helper.read(path)
end

local function fill(text)
  helper.write(path, text)
end

local function is_os_error(code, op, value, err)
  assert.is_nil(value)
  assert.is_true(curio.is(err, curio.OSError), tostring(err))
  assert.same({ code, op }, { err.code, err.op })
  return err
end

local function is_closed(value, err)
  assert.is_nil(value)
  assert.is_true(curio.is(err, curio.ClosedError), tostring(err))
  return err
end

describe("a file", function()
  before_each(function()
    path = os.tmpname()
    fifo = os.tmpname()
    os.remove(fifo)
  end)

  after_each(function()
    os.remove(path)
    os.remove(fifo)
  end)

  -- ---- opening ----

  it_runs("is opened by path and mode", function()
    local file <close> = assert(curio.aopen(path, "w+b"))
    assert.equal("curio.file (" .. path .. ")", tostring(file))
    assert.equal(file, file:write("x"))
    assert.is_true(file:close())
    assert.equal("curio.file (closed)", tostring(file))
    assert.is_true(file:close())
    assert.equal("x", content())
  end)

  it_runs("is not opened in a mode that io.open does not know", function()
    for _, mode in ipairs { "", "x", "rw", "r++", "+r", "br", "rb+", "wbx" } do
      local ok, ours = pcall(curio.aopen, path, mode)
      local _, theirs = pcall(io.open, path, mode)
      assert.is_false(ok)
      assert.equal(theirs:match "invalid mode", ours:match "invalid mode")
    end
    for _, mode in ipairs { "rbb", "r+bb", "ab" } do
      assert.equal(pcall(io.open, path, mode), pcall(curio.aopen, path, mode))
    end
    assert.has_error(function()
      curio.aopen()
    end)
  end)

  it_runs("that cannot be opened gives nil and an OSError", function()
    local err = is_os_error("ENOENT", "open", curio.aopen("/no/such/file"))
    assert.equal("/no/such/file", err.subject)
    is_os_error("EISDIR", "open", curio.aopen("/tmp", "w"))
    is_os_error("ENOTDIR", "open", curio.aopen(path .. "/x"))
    is_os_error("ENAMETOOLONG", "open", curio.aopen(("x"):rep(5000)))
    is_os_error("EINVAL", "open", curio.aopen(path .. "\0x"))
    is_os_error("ENOENT", "open", curio.aopen(""))
  end)

  it_runs("is opened while other tasks run", function()
    local events = {}
    local task = curio.spawn(function()
      assert(curio.aopen(path)):close()
      events[#events + 1] = "open"
    end)
    curio.schedule()
    events[#events + 1] = "meanwhile"
    task:join()
    assert.same({ "meanwhile", "open" }, events)
  end)

  it_runs("blocks in a kernel only", function()
    local file <close> = assert(curio.aopen(path))
    table.sort({ 1, 2 }, function(a, b)
      local ok, err = pcall(file.read, file)
      assert.is_false(ok)
      assert.matches("file:read: cannot block here", err)
      return a < b
    end)
  end)

  it_runs("that is a FIFO without a partner opens when one comes", function()
    os.execute("mkfifo " .. fifo)
    local task = helper.spawn(curio.aopen, fifo, "w")
    local reader <close> = assert(curio.aopen(fifo))
    local writer <close> = assert(task:join())
    assert(writer:write("through the pipe\n"))
    assert(writer:flush())
    assert.equal("through the pipe", reader:read())
    is_os_error("ESPIPE", "seek", reader:seek("set", 0))
  end)

  it_runs("opened in vain can be given up, and is closed when it comes", function()
    os.execute("mkfifo " .. fifo)
    assert.equal("late", curio.ignore_after { 0.01, curio.aopen, fifo, timeout_result = "late" })
    local task = helper.spawn(curio.aopen, fifo)
    task:cancel()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    -- Their threads, if they had begun, get a partner, and close what they get: then nobody reads.
    local reader = curio.spawn(curio.aopen, fifo)
    local writer <close> = assert(curio.aopen(fifo, "w"))
    assert(reader:join()):close()
    writer:setvbuf("no")
    local err
    repeat
      local _, failure = writer:write("x")
      err = failure
      curio.sleep(0)
    until err
    assert.equal("EPIPE", err.code)
  end)

  -- ---- reading ----

  it_runs("is read by line, by number, whole", function()
    fill("one\ntwo\n0x10 3.5\nrest\nof it")
    local file <close> = assert(curio.aopen(path))
    assert.equal("one", file:readline())
    assert.equal("two\n", file:readline("L"))
    assert.same({ 16, 3.5 }, { file:read("n", "n") })
    assert.same({ "", "rest", "of it" }, file:readlines())
    assert.same({}, file:readlines("L"))
    assert.is_nil(file:readline())
    assert.equal("", file:readall())
    assert.equal(0, file:seek("set"))
    assert.same({ "one\n", "two\n", "0x10 3.5\n", "rest\n", "of it" }, file:readlines("L"))
    file:seek("set")
    assert.equal(content(), file:readall())
  end)

  it_runs("gives exactly as many bytes as asked for, or says so", function()
    fill("0123456789")
    local file <close> = assert(curio.aopen(path))
    assert.equal("", file:read_exactly(0))
    assert.equal("012345", file:read_exactly(6))
    local value, err = file:read_exactly(5)
    assert.is_nil(value)
    assert.equal("6789", err.partial)
    assert.matches("read_exactly: the file ended after 4 of 5 bytes", tostring(err))
    assert.equal(1, select("#", file:read_exactly(5)))
    assert.equal("", file:read_exactly(0))
  end)

  it_runs("is read as it grows", function()
    fill("one\npar")
    local file <close> = assert(curio.aopen(path))
    local writer <close> = assert(curio.aopen(path, "a"))
    assert.same({ "one", "par" }, { file:read("l", "l") })
    assert.is_nil(file:read())
    assert(writer:write("tial\n"):flush())
    assert.equal("tial", file:read())
  end)

  it_runs("may have a line that is longer than any buffer", function()
    local line = ("0123456789abcdef"):rep(40000)
    fill(line .. "\n" .. line)
    local file <close> = assert(curio.aopen(path))
    assert.is_true(line == file:read())
    assert.is_true(line == file:read("L"))
    assert.is_nil(file:read())
    file:seek("set", 1)
    assert.is_true((line .. "\n" .. line):sub(2, -3) == file:read(2 * #line - 2))
    assert.is_nil(file:read(1 << 40, "l"):match "^..$" and file:read())
  end)

  it_runs("raises in lines what read would return", function()
    fill("a\nb\n")
    local file <close> = assert(curio.aopen(path))
    local lines = file:lines()
    assert.equal("a", lines())
    file:close()
    local ok, err = pcall(lines)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.ClosedError))
    local directory <close> = assert(curio.aopen("/tmp"))
    ok, err = pcall(directory:lines())
    assert.is_false(ok)
    assert.equal("EISDIR", err.code)
  end)

  it_runs("refuses formats that Lua does not know", function()
    local file <close> = assert(curio.aopen(path))
    for _, format in ipairs { "x", "", "*", "*x", 1.5, -1, {} } do
      assert.has_error(function()
        file:read(format)
      end)
      assert.has_error(function()
        file:lines(format)
      end)
    end
    assert.has_error(function()
      file:readline("n")
    end)
    assert.has_error(function()
      file:read_exactly(-1)
    end)
  end)

  it_runs("that is a directory cannot be read", function()
    local file <close> = assert(curio.aopen("/tmp"))
    local err = is_os_error("EISDIR", "read", file:read())
    assert.equal("/tmp", err.subject)
    is_os_error("EISDIR", "read", file:readall())
  end)

  it_runs("is read or written only as it was opened", function()
    local file <close> = assert(curio.aopen(path, "w"))
    is_os_error("EBADF", "read", file:read())
    file:close()
    local other <close> = assert(curio.aopen(path))
    is_os_error("EBADF", "write", other:write("x"))
    assert.equal(other, other:write(""))
  end)

  it_runs("of /dev/null is empty", function()
    local file <close> = assert(curio.aopen("/dev/null", "r+"))
    assert.equal(file, file:write("nothing"))
    assert.is_nil(file:read())
    assert.equal("", file:readall())
    assert.is_true(file:close())
  end)

  -- ---- writing ----

  it_runs("is written numbers as Lua writes them", function()
    local file <close> = assert(curio.aopen(path, "w"))
    local theirs = io.tmpfile()
    local values = { 1, -7, 1.5, 1.0, 1e100, 1 / 0, -1 / 0, math.mininteger, 0.1, "text" }
    assert(file:write(table.unpack(values)))
    assert(theirs:write(table.unpack(values)))
    theirs:seek("set")
    file:close()
    assert.equal(theirs:read("a"), content())
    assert.has_error(function()
      file:write({})
    end)
  end)

  it_runs("writes nothing of a call that is refused", function()
    local file <close> = assert(curio.aopen(path, "w"))
    assert.has_error(function()
      file:write("x", nil)
    end)
    file:close()
    assert.equal("", content())
  end)

  it_runs("writes when the buffer is full, at the end of a line, or at once", function()
    local file <close> = assert(curio.aopen(path, "w"))
    assert.is_true(file:setvbuf("full", 4))
    file:write("1234")
    assert.equal("", content())
    file:write("5")
    assert.equal("12345", content())
    assert.is_true(file:setvbuf("line"))
    file:write("6")
    assert.equal("12345", content())
    file:write("7\n")
    assert.equal("1234567\n", content())
    file:write("8")
    assert.is_true(file:setvbuf("no"))
    assert.equal("1234567\n8", content())
    file:write("9")
    assert.equal("1234567\n89", content())
    assert.has_error(function()
      file:setvbuf("some")
    end)
  end)

  it_runs("takes what is larger than any buffer", function()
    local text = ("x"):rep(1000003)
    local file <close> = assert(curio.aopen(path, "w"))
    assert(file:write("a", text, "b"))
    file:close()
    assert.is_true("a" .. text .. "b" == content())
  end)

  it_runs("that cannot take it says so, when it is flushed or closed", function()
    local file = assert(curio.aopen("/dev/full", "w"))
    assert.equal(file, file:write("x"))
    is_os_error("ENOSPC", "flush", file:flush())
    is_os_error("ENOSPC", "seek", file:seek("cur"))
    local value, err = file:write(("y"):rep(100000))
    is_os_error("ENOSPC", "write", value, err)
    assert.equal(0, err.bytes_written)
    is_os_error("ENOSPC", "close", file:close())
    assert.is_true(file:close())
  end)

  it_runs("as a closed variable raises it", function()
    local ok, err = pcall(function()
      local file <close> = assert(curio.aopen("/dev/full", "w"))
      file:write("x")
    end)
    assert.is_false(ok)
    assert.equal("ENOSPC", err.code)
  end)

  it_runs("but not over an error under way: then it is logged", function(log)
    local ok, err = pcall(function()
      local file <close> = assert(curio.aopen("/dev/full", "w"))
      file:write("x")
      error("mine", 0)
    end)
    assert.is_false(ok)
    assert.equal("mine", err)
    assert.equal(1, #log)
    assert.matches("^warning: OSError: close /dev/full: ", log[1])
  end)

  -- ---- the position ----

  it_runs("has one position for reading and writing", function()
    fill("0123456789")
    local file <close> = assert(curio.aopen(path, "r+"))
    assert.equal("01", file:read(2))
    assert(file:write("ab"))
    assert.equal("45", file:read(2))
    assert.equal(6, file:seek())
    assert.equal("ab456789", file:seek("set", 2) and file:readall())
    is_os_error("EINVAL", "seek", file:seek("set", -1))
    assert.equal(10, file:seek())
    assert.equal(12, file:seek("end", 2))
    assert(file:write("z"))
    assert.equal(13, file:seek("cur"))
    file:close()
    assert.equal("01ab456789\0\0z", content())
  end)

  it_runs("seeks near and far alike", function()
    local text = {}
    for i = 1, 30000 do
      text[i] = ("%07d\n"):format(i)
    end
    fill(table.concat(text))
    local file <close> = assert(curio.aopen(path))
    math.randomseed(7)
    for _ = 1, 500 do
      local line = math.random(30000)
      local whence, base = "set", 0
      if line % 3 == 0 then
        whence, base = "cur", file:seek()
      elseif line % 3 == 1 then
        whence, base = "end", 30000 * 8
      end
      assert.equal((line - 1) * 8, file:seek(whence, (line - 1) * 8 - base))
      assert.equal(line, file:read("n"))
    end
  end)

  it_runs("appends wherever it stands", function()
    fill("0123")
    local file <close> = assert(curio.aopen(path, "a+"))
    assert.equal("01", file:read(2))
    assert(file:write("x"))
    assert.equal(5, file:seek())
    assert.equal("0", file:seek("set") and file:read(1))
    assert(file:write("y"))
    file:close()
    assert.equal("0123xy", content())
  end)

  it_runs("is cut to a length", function()
    fill("0123456789")
    local file <close> = assert(curio.aopen(path, "r+"))
    assert.equal("012", file:read(3))
    assert.equal(8, file:truncate(8))
    assert.equal("34567", file:readall())
    file:seek("set", 2)
    assert(file:write("x"))
    assert.equal(3, file:truncate())
    assert.equal("01x", content())
    assert.equal(5, file:truncate(5))
    assert.equal("01x\0\0", content())
    assert.has_error(function()
      file:truncate(-1)
    end)
    local reader <close> = assert(curio.aopen(path))
    is_os_error("EINVAL", "truncate", reader:truncate(0))
  end)

  it_runs("tells its descriptor, which stands where the file does", function()
    fill("head\nbody\n")
    local file <close> = assert(curio.aopen(path))
    assert.equal("head", file:read())
    local fd = assert(file:fileno())
    assert.equal(5, file:seek())
    local position = io.open("/proc/self/fdinfo/" .. fd)
    if position then
      assert.equal("5", position:read("a"):match "pos:%s*(%d+)")
      position:close()
    end
    file:close()
    is_closed(file:fileno())
  end)

  it_runs("has written out what it was told to when it tells its descriptor", function()
    local file <close> = assert(curio.aopen(path, "w"))
    assert(file:write("before "))
    local fd = file:fileno()
    assert.equal("before ", content())
    local other = io.open("/proc/self/fd/" .. fd, "a")
    if other then
      other:write("other")
      other:close()
      assert.equal(12, file:seek("end"))
    end
    assert(file:write(" after"):flush())
    assert.matches("^before .* after$", content())
  end)
end)
