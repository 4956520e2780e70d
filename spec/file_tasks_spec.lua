-- Files that several tasks use, that are cancelled, closed or left behind in the middle of things.

local curio = require "curio"
local files = require "spec.files"
local helper = require "spec.helper"
local sockets = require "spec.sockets"

local it_runs = helper.task_it(it)
local is_closed = sockets.is_closed_error

describe("a file", function()
  local at = files.names(before_each, after_each)

  -- ---- several tasks ----

  it_runs("serves the tasks that use it in turn", function()
    local file <close> = assert(curio.aopen(at.path, "w"))
    file:setvbuf("no")
    local group <close> = curio.TaskGroup()
    for i = 1, 20 do
      group:spawn(function()
        for round = 1, 5 do
          assert(file:write(("%d:%d\n"):format(round, i)))
        end
      end)
    end
    group:join()
    file:close()
    local expected = {}
    for round = 1, 5 do
      for i = 1, 20 do
        expected[#expected + 1] = ("%d:%d\n"):format(round, i)
      end
    end
    assert.equal(table.concat(expected), at.content())
  end)

  it_runs("gives each line to one reader", function()
    local lines = {}
    for i = 1, 3000 do
      lines[i] = ("%d%s\n"):format(i, ("."):rep(i % 90))
    end
    at.fill(table.concat(lines))
    local file <close> = assert(curio.aopen(at.path))
    local seen, count = {}, 0
    local group <close> = curio.TaskGroup()
    for _ = 1, 7 do
      group:spawn(function()
        for line in file:lines("L") do
          seen[line] = true
          count = count + 1
        end
      end)
    end
    group:join()
    assert.equal(3000, count)
    for _, line in ipairs(lines) do
      assert.is_true(seen[line])
    end
  end)

  -- ---- interrupted ----

  it_runs("times out and is cancelled without losing what was read", function()
    local other <close> = at.open_fifo()
    local file = assert(curio.aopen(at.fifo, "r+"))
    assert.equal("late", curio.ignore_after { 0.01, file.read, file, timeout_result = "late" })
    local task = helper.spawn(file.read, file, "l")
    task:cancel()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    other:write("one\ntwo\n")
    assert.equal("one", file:read())
    assert.equal("two", file:read())
    task = helper.spawn(file.read, file, 10)
    other:write("12345")
    curio.sleep(0.01)
    task:cancel()
    other:write("67890")
    assert.equal("1234567890", file:read(10))
    assert.is_true(file:close())
  end)

  it_runs("wakes who waits when it is closed, and ends the reading first", function()
    local other <close> = at.open_fifo()
    local file = assert(curio.aopen(at.fifo, "r+"))
    local first, second = helper.spawn(file.read, file), helper.spawn(file.write, file, "x")
    local close = helper.spawn(file.close, file)
    is_closed(first:join())
    local err = is_closed(second:join())
    assert.equal(0, err.bytes_written)
    assert.equal("curio.file (closed)", tostring(file))
    is_closed(file:read())
    is_closed(file:write("x"))
    is_closed(file:seek())
    is_closed(file:flush())
    is_closed(file:truncate())
    is_closed(file:setvbuf("no"))
    is_closed(file:read_exactly(1))
    is_closed(file:readlines())
    assert.is_true(file:close())
    other:write("at last\n")
    assert.is_true(close:join())
  end)

  it_runs("lets no verb sleep that is cancelled, timed out, or finds it closed", function()
    local other <close> = at.open_fifo()
    local file = assert(curio.aopen(at.fifo, "r+"))
    local hung = helper.spawn(file.read, file)
    local verbs = {
      { file.read, file, "n" }, { file.readline, file }, { file.readlines, file },
      { file.readall, file }, { file.read_exactly, file, 1 }, { file.lines(file) },
      { file.write, file, "x" }, { file.flush, file }, { file.seek, file }, { file.truncate, file },
      { file.setvbuf, file, "full" },
    }
    local tasks = {}
    for i, verb in ipairs(verbs) do
      helper.can_be_interrupted("FILE_WAIT", table.unpack(verb))
      tasks[i] = curio.spawn(pcall, table.unpack(verb))
    end
    curio.sleep(0)
    local close = helper.spawn(file.close, file)
    is_closed(hung:join())
    for _, task in ipairs(tasks) do
      local ok, value, err = task:join()
      is_closed(nil, ok and (err or value) or value)
    end
    other:write("at last\n")
    assert.is_true(close:join())
  end)

  it_runs("can be closed by a task that is cancelled meanwhile", function()
    local other <close> = at.open_fifo()
    local file = assert(curio.aopen(at.fifo, "r+"))
    local reader = helper.spawn(file.read, file)
    local close = helper.spawn(file.close, file)
    close:cancel()
    is_closed(reader:join())
    is_closed(file:read())
    other:write("to nobody\n")
  end)

  it_runs("finishes a write that was interrupted while the system was at work", function()
    local other <close> = at.open_fifo()
    local file <close> = assert(curio.aopen(at.fifo, "w"))
    local text = ("x"):rep(200000) -- more than the pipe holds
    local task = helper.spawn(file.write, file, text)
    assert.equal("FILE_WAIT", task.state)
    assert.equal("x", other:read(1)) -- so it has begun
    local queued = helper.spawn(file.write, file, "never")
    queued:cancel()
    assert.equal(0, queued.exception.bytes_written)
    task:cancel()
    assert.equal(#text, task.exception.bytes_written)
    local last = helper.spawn(file.write, file, "last")
    assert.equal(text:sub(2), other:read(#text - 1))
    assert.equal(file, last:join())
    assert.is_true(file:flush())
    assert.equal("last", other:read(4))
  end)

  it_runs("never begins what was cancelled while all threads were busy", function()
    local other <close> = at.open_fifo()
    local hung = {}
    for i = 1, 64 do
      hung[i] = assert(curio.aopen(at.fifo, "r+"))
    end
    local file <close> = assert(curio.aopen(at.path, "w"))
    file:write("kept ")
    for i, one in ipairs(hung) do
      hung[i] = { one, helper.started(one.read, one, 1) }
    end
    local write = helper.spawn(file.write, file, ("x"):rep(100000))
    local open = helper.spawn(curio.aopen, at.path .. ".new", "w")
    write:cancel()
    open:cancel()
    assert.equal(0, write.exception.bytes_written)
    for _, pair in ipairs(hung) do
      while not pair[2].terminated do -- any of them may take any number
        other:write(".")
        curio.sleep(0.001)
      end
      assert.equal(".", pair[2].result)
    end
    for _, pair in ipairs(hung) do
      pair[1]:close()
    end
    file:close()
    assert.equal("kept ", at.content())
    assert.is_nil(io.open(at.path .. ".new"))
  end)

  it_runs("is opened, used and given up at any moment", function()
    local lowest = helper.lowest_fd()
    at.fill("line\n")
    local steps = {
      function(file) file:read() end,
      function(file) file:write("x") end,
      function(file) file:flush() end,
      function(file) file:seek("end") end,
      function(file) file:close() end,
    }
    math.randomseed(11)
    for i = 1, helper.fewer(600) do
      local task = curio.spawn(function()
        local file = assert(curio.aopen(at.path, "r+"))
        for _ = 1, 3 do
          steps[math.random(#steps)](file)
        end
        if i % 2 == 0 then
          file:close()
        end
      end)
      for _ = 1, math.random(0, 9) do
        curio.sleep(math.random(3) == 1 and 0.0001 or 0)
      end
      task:cancel()
    end
    repeat
      collectgarbage()
      curio.sleep(0.001)
    until helper.lowest_fd() == lowest
  end)

  -- ---- left behind ----

  it_runs("that is collected is written out and closed", function()
    assert(curio.aopen(at.path, "w")):write("not lost")
    while at.content() ~= "not lost" do
      collectgarbage()
      curio.sleep(0.001)
    end
  end)

  it("is used in one run after the other", function()
    local file
    curio.run(function()
      file = assert(curio.aopen(at.path, "w+"))
      file:write("one ")
    end)
    curio.run(function()
      file:write("two")
      file:seek("set")
      assert.equal("one two", file:readall())
      file:close()
    end)
  end)

  it("outlives a kernel that ends while it is being read", function()
    local other <close> = at.open_fifo()
    local file
    curio.run(function()
      file = assert(curio.aopen(at.fifo, "r+"))
      helper.spawn(file.read, file)
    end)
    other:write("kept\n")
    curio.run(function()
      assert.equal("kept", file:read())
      file:close()
    end)
  end)

  it("as a closed variable needs no kernel", function()
    do
      local file <close> = curio.run(function()
        return assert(curio.aopen(at.path, "w")):write("kept")
      end)
      assert.equal("", at.content())
      assert.equal("userdata", type(file))
    end
    collectgarbage()
    assert.equal("kept", at.content())
  end)

  it("is written out at the end of the process, however that ends", function()
    for _, ending in ipairs { "", "os.exit(0)", "os.exit(0, true)", "error 'failed'" } do
      helper.child(([[
        local curio = require "curio"
        curio.run(function()
          kept = curio.aopen(%q, "w")
          kept:write("not lost")
          %s
        end)
      ]]):format(at.path, ending))
      assert.equal("not lost", at.content(), ending)
      at.fill("")
    end
  end)
end)
