-- A write that a cancellation stops before its first byte told nothing; or what the call before it
-- had told, as a cancellation is one object however often it is raised.

local curio = require "curio"
local sockets = require "spec.sockets"

local run = sockets.run

-- The methods, and what of the error counts their bytes.
local function writers()
  local a, b = sockets.pair()
  local stream = a:as_stream()
  local path = os.tmpname()
  local file = assert(curio.aopen(path, "w"))
  local source = assert(io.open "/dev/null")
  return {
    { "bytes_sent", a.sendall, a, "x" },
    { "bytes_sent", a.sendfile, a, source },
    { "bytes_written", stream.write, stream, "x" },
    { "bytes_written", stream.writelines, stream, { "x" } },
    { "bytes_written", file.write, file, "x" },
    { "bytes_written", file.write, file },
    { "bytes_copied", curio.io.copy, source, stream },
  }, sockets.closer(stream, b, file, source, { close = function() os.remove(path) end })
end

describe("a write that is cancelled before it begins", function()
  it("has written nothing, and says so", run(function()
    local list, _ <close> = writers()
    for _, writer in ipairs(list) do
      local ok, err = pcall(curio.timeout_after, 0, table.unpack(writer, 2))
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskTimeout))
      assert.equal(0, err[writer[1]])
    end
  end))

  it("does not say what the one before it had written", run(function()
    local a, b, _ <close> = sockets.pair()
    local task = curio.spawn(function()
      local _, first = pcall(a.sendall, a, sockets.BIG)
      local sent = first.bytes_sent
      local _, second = pcall(a.sendall, a, "x")
      return sent, second.bytes_sent
    end)
    sockets.until_asleep(task, "WRITE_WAIT")
    task:cancel()
    local first, second = table.unpack(task.results, 1, 2)
    assert.is_true(first > 0)
    assert.equal(0, second)
    b:close()
  end))
end)
