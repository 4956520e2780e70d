-- Writing to streams.

local curio = require "curio"
local sockets = require "spec.sockets"
local testing = require "curio.testing"

local run = sockets.run
local until_asleep = sockets.until_asleep
local raises = sockets.raises
local is_os_error = sockets.is_os_error
local BIG = sockets.BIG

local function pair()
  local a, b, closer = sockets.pair()
  return a:as_stream(), b:as_stream(), closer
end

describe("stream:write", function()
  it("writes strings and numbers as Lua's files do", run(function()
    local values = { "text", 1, -7, 1.0, 0.1, 2 ^ 53, 1e100, math.huge, math.mininteger, "", "\0" }
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(table.unpack(values))
    file:close()
    file = assert(io.open(path))
    local expected = file:read "a"
    file:close()
    os.remove(path)
    local x, y, _ <close> = pair()
    assert.equal(x, x:write(table.unpack(values)))
    assert.equal(x, x:writelines(values))
    x:close()
    assert.equal(expected:rep(2), y:readall())
  end))

  it("of nothing writes nothing", run(function()
    local x, y, _ <close> = pair()
    assert.equal(x, x:write())
    assert.equal(x, x:write("", ""))
    assert.equal(x, x:writelines {})
    assert.equal(x, x:flush())
    x:close()
    assert.equal("", y:readall())
  end))

  it("refuses other values, and has written nothing then", run(function()
    local x, y, _ <close> = pair()
    assert.error_matches(function()
      x:write("a", {})
    end, "string expected, got table")
    assert.error_matches(function()
      x:write(nil)
    end, "string expected, got nil")
    assert.error_matches(function()
      x:writelines { "a", false }
    end, "element 2 is a boolean value, not a string")
    assert.error_matches(function()
      x:writelines "a"
    end, "table expected")
    x:close()
    assert.equal("", y:readall())
  end))

  it("of many pieces keeps their order, whatever goes out at once", run(function()
    local pieces = {}
    for i = 1, 5000 do
      pieces[i] = ("%d:"):format(i):rep(i % 50)
    end
    local x, y, _ <close> = pair()
    local task = curio.spawn(function()
      x:writelines(pieces)
      x:write(table.unpack(pieces, 1, 200))
      x:close()
    end)
    local expected = table.concat(pieces) .. table.concat(pieces, "", 1, 200)
    assert.equal(expected, y:readall())
    task:join()
  end))

  it("writes a list as it was when it was called", run(function()
    local x, y, _ <close> = pair()
    local list = { BIG, "end" }
    local task = curio.spawn(x.writelines, x, list)
    until_asleep(task, "WRITE_WAIT")
    list[1], list[2] = "x", 17
    assert.equal(BIG .. "end", y:read_exactly(#BIG + 3))
    task:join()
  end))

  it("tells how much was written when it is cancelled, and that is what has come", run(function()
    local x, y, _ <close> = pair()
    local err = sockets.cancelled("WRITE_WAIT", x.write, x, "head", BIG, BIG)
    x:close()
    local got = y:readall()
    assert.equal(#got, err.bytes_written)
    assert.is_true(#got > 0)
    assert.equal(("head" .. BIG .. BIG):sub(1, #got), got)
  end))

  it("tells it for a socket in memory too", run(function()
    local a, b = testing.socketpair()
    local x, y = a:as_stream(), b:as_stream()
    local err = sockets.cancelled("WRITE_WAIT", x.write, x, "head", BIG)
    x:close()
    local got = y:readall()
    assert.equal(#got, err.bytes_written)
    assert.equal(("head" .. BIG):sub(1, #got), got)
  end))

  it("times out", run(function()
    local x, _, _ <close> = pair()
    local err = raises(curio.TaskTimeout, curio.timeout_after, 0.01, x.write, x, BIG)
    assert.is_true(err.bytes_written > 0)
  end))

  it("gives a ClosedError when the stream is closed meanwhile", run(function()
    local x, _, _ <close> = pair()
    local err = sockets.closed("WRITE_WAIT", x, "write", BIG)
    assert.is_true(err.bytes_written > 0)
  end))

  it("refuses a second writer meanwhile", run(function()
    local x, y, _ <close> = pair()
    local task = curio.spawn(x.write, x, BIG)
    until_asleep(task, "WRITE_WAIT")
    raises(curio.WriteResourceBusy, x.write, x, "between")
    assert.equal(BIG, y:read_exactly(#BIG))
    task:join()
    x:write("after")
    assert.equal("after", y:read(5))
  end))

  it("gives EPIPE, and no signal, when nobody reads any more", run(function()
    local x, y, _ <close> = pair()
    y:close()
    local err = is_os_error("EPIPE", "write", x:write("lost"))
    assert.equal(0, err.bytes_written)
  end))

  it("lets others run, though it never has to wait", run(function()
    local null <close> = assert(curio.io.FileStream(io.open("/dev/null", "w")))
    local turns = 0
    local other = curio.spawn(function()
      while true do
        turns = turns + 1
        curio.schedule()
      end
    end)
    for _ = 1, 2 do
      null:write(BIG, BIG, BIG)
    end
    assert.is_true(turns > 2)
    other:cancel()
  end))

  it("goes on while another task reads", run(function()
    local x, y, _ <close> = pair()
    local echo = curio.spawn(function()
      for line in y:lines "L" do
        y:write(line)
      end
      y:close()
    end)
    local writer = curio.spawn(function()
      for i = 1, 1000 do
        x:write(i, "\n")
      end
    end)
    for i = 1, 1000 do
      assert.equal(tostring(i), x:read())
    end
    writer:join()
    x:close()
    echo:join()
  end))
end)
