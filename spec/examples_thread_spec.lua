-- The examples about threads and processes, each as a process of its own.

local curio = require "curio"
local helper = require "spec.helper"

local it = helper.task_it(it)

local NAMES = { "universal", "fibserve", "grep", "echocores", "askthread" }

local function output_of(command)
  return (helper.output_of(("timeout -k 1 %d %s examples/%s 2>&1"):format(helper.PATIENCE,
    helper.interpreter(), command)))
end

-- A server that goes on in the background; its address, and what ends it.
local function start(command)
  local path = os.tmpname()
  local shell = "timeout -k 1 %d %s examples/%s >%s 2>&1 </dev/null & echo $!"
  local pid = helper.output_of(shell:format(helper.PATIENCE, helper.interpreter(), command, path))
    :match "%d+"
  local port
  repeat
    curio.sleep(0.01)
    port = helper.read(path):match "Server listening at %S+:(%d+)\n"
  until port or not os.execute(("kill -0 %s 2>/dev/null"):format(pid))
  assert(port, helper.read(path))
  return tonumber(port), helper.closing(function()
    os.execute("kill -INT " .. pid)
    os.remove(path)
  end)
end

describe("The example", function()
  it("universal.lua passes items from a task to a thread", function()
    assert.equal("Got:\t0\nGot:\t1\nGot:\t2\n", output_of "universal.lua 3 0.001")
  end)

  it("askthread.lua shares a queue and a lock with threads", function()
    local out = output_of "askthread.lua"
    assert.matches("one has ended\n", out)
    assert.matches("two has ended\n", out)
    assert.matches("total\t192527500\n$", out)
  end)

  it("grep.lua finds lines", function()
    local out = output_of "grep.lua 'local function .earch' examples"
    assert.matches("^examples/grep.lua:%d+: local function search%(path, pattern%)\n$", out)
  end)

  it("fibserve.lua answers several at once", function()
    local port, _ <close> = start "fibserve.lua 0"
    local a, b = assert(curio.open_connection("127.0.0.1", port)),
      assert(curio.open_connection("127.0.0.1", port))
    a:sendall "20\n"
    b:sendall "10\nx\n"
    local from_a, from_b = a:as_stream(), b:as_stream()
    assert.equal("55", from_b:read())
    assert.equal("a whole number, please", from_b:read())
    assert.equal("6765", from_a:read())
    from_a:close()
    from_b:close()
  end)

  it("echocores.lua echoes", function()
    local port, _ <close> = start "echocores.lua 0 2"
    for _ = 1, 5 do
      local sock <close> = assert(curio.open_connection("127.0.0.1", port))
      sock:sendall "hello"
      assert.equal("hello", sock:recv(100))
    end
  end)

  for _, name in ipairs(NAMES) do
    it(name .. ".lua is not longer than 60 lines", function()
      local _, lines = helper.read("examples/" .. name .. ".lua"):gsub("\n", "")
      assert.is_true(lines <= 60)
    end)
  end
end)
