-- Further examples about tasks, signals and children.

local curio = require "curio"
local example = require "spec.example"
local helper = require "spec.helper"
local signal = require "curio.signal"
local testing = require "curio.testing"

local it = testing.it(it)

describe("examples/hello.lua", function()
  it("tells its story", function()
    local text, status = example.run("hello", "0.02")
    assert.equal(0, status)
    assert.matches("^Can I play%?\n", text)
    text = text:gsub("Can I play%?\n", "")
    assert.equal("Yes, go play\nBuilding the Millenium Falcon in Minecraft\n"
      .. "Hi, my name is\tMax\nHi, my name is\tLillian\nHi, my name is\tThomas\n"
      .. "T-minus\t5\nT-minus\t4\nT-minus\t3\nT-minus\t2\nT-minus\t1\n"
      .. "We're leaving!\nI warned you!\n"
      .. "Fine. Saving my work.\nThomas\tgoing home\nLillian\tgoing home\nMax\tgoing home\n", text)
  end)
end)

describe("examples/local.lua", function()
  it("has the request in each line", function()
    local text, status = example.run "local"
    assert.equal(0, status)
    for id = 1, 2 do
      local own = {}
      for line in text:gmatch("%[request " .. id .. "%] ([^\n]*)") do
        own[#own + 1] = line
      end
      assert.same({ "begins", "asking the cache", "asking the database", "nothing in the cache",
        "the database has answered", "ends" }, own)
    end
    assert.matches("%[request %-%] all done\n$", text)
  end)
end)

describe("examples/testing.lua", function()
  it("passes its tests", function()
    local text, status = example.run "testing"
    assert.equal(0, status)
    assert.equal(3, select(2, text:gsub("ok\ta session [^\n]+\n", "")))
  end)
end)

describe("examples/signal_handling.lua", function()
  it("waits for SIGHUP", function()
    local process, _ <close> = example.start "signal_handling"
    local pid = tonumber((example.expect(process, "^Send me a SIGHUP\t(%d+)$")))
    assert.equal(process.pid, pid)
    process:send_signal(signal.SIGHUP)
    assert.equal("Got a signal!", process.stdout:read "l")
    assert.equal(0, process:wait())
  end)
end)

describe("examples/multisignal.lua", function()
  it("has signals reach a task and a thread", function()
    local process, _ <close> = example.start "multisignal"
    example.expect(process, "^Send me signals on PID " .. process.pid .. "$")
    for _, signo in ipairs { signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT } do
      process:send_signal(signo)
      local lines = { process.stdout:read("l", "l") }
      table.sort(lines)
      assert.same({ "task got: " .. signo, "thread got: " .. signo }, lines)
    end
    assert.equal(0, process:wait())
  end)
end)

describe("examples/communicate.lua", function()
  -- Its input is that of the spec: nothing may be asked of it.
  local function run(...)
    return example.run_with({ input = ("some input\n"):rep(20000) }, "communicate", ...)
  end

  it("hands its input to a command, and what that says to us", function()
    local text, status = run(helper.PATIENCE, "sh", "-c", "tr a-z A-Z; echo bad >&2; exit 3")
    assert.equal(3, status)
    assert.is_true(text == ("SOME INPUT\n"):rep(20000) .. "bad\n")
  end)

  it("does not mind a command that reads nothing", function()
    local text, status = run(helper.PATIENCE, "echo", "hello")
    assert.equal("hello\n", text)
    assert.equal(0, status)
  end)

  it("says so when there is no such command", function()
    local text, status = run(helper.PATIENCE, "/no/such/thing")
    assert.matches("ENOENT", text)
    assert.equal(1, status)
  end)

  it("interrupted, has what the command had said", function()
    local path = os.tmpname()
    os.remove(path)
    local process, _ <close> = example.start("communicate", "1000", "sh", "-c",
      "cat; echo part; : >" .. path .. "; sleep 1000 & wait") -- cat: until the program waits
    while not os.remove(path) do
      curio.sleep(0.01)
    end
    process:send_signal(signal.SIGINT)
    local text = process:communicate()
    assert.matches("part\n", text)
    assert.matches("Interrupted", text)
  end)
end)

describe("examples/together.lua", function()
  it("shows lines behind names, and ends all when one fails", function()
    local text, status = example.run("together", "one=echo a; sleep 1000",
      "two=echo b; echo c >&2; exit 2")
    assert.equal(1, status)
    assert.matches("two       | b\n.*two       | c\n", text)
    assert.matches("two has ended with status 2\n$", text)
  end)

  it("waits for all that do well", function()
    local text, status = example.run("together", "x=echo a", "y=echo b")
    assert.equal(0, status)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({ "x         | a", "y         | b" }, lines)
  end)
end)
