-- The examples about processes and signals: each runs as a process of its own, by Popen.

local curio = require "curio"
local helper = require "spec.helper"
local signal = require "curio.signal"
local subprocess = require "curio.subprocess"
local testing = require "curio.testing"

local it = testing.it(it)
local PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT

-- An environment like ours, with some more.
local function environment(more)
  local env = { LUA_PATH = package.path, LUA_CPATH = package.cpath }
  for _, name in ipairs { "PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "TSAN_OPTIONS" } do
    env[name] = os.getenv(name)
  end
  for name, value in pairs(more or {}) do
    env[name] = value
  end
  return env
end

local function command(name, ...)
  return { helper.interpreter(), ("examples/%s.lua"):format(name), ... }
end

-- Its output, stderr too, and its status.
local function run(t, env)
  t.stdout, t.stderr, t.env, t.timeout = PIPE, STDOUT, environment(env), helper.PATIENCE
  local result = assert(subprocess.run(t))
  return result.stdout, result.returncode
end

local function rules_file(text)
  local path = helper.write(os.tmpname(), text)
  return path, helper.closing(function()
    os.remove(path)
  end)
end

local function is_alive(pid)
  local file <close> = io.open(("/proc/%d/stat"):format(pid))
  return file ~= nil and not file:read("a"):find(") Z ", 1, true)
end

describe("examples/make.lua", function()
  it("builds what is needed first, and the rest at once", function()
    local path, _ <close> = rules_file [[return {
      all = { "a", "b" },
      a = { "c", run = "echo made a" }, b = { "c", run = "echo made b" },
      c = { run = "echo made c" },
    }]]
    local out, status = run(command("make", path, 2))
    assert.equal(0, status)
    assert.matches("^%+ echo made c\nmade c\n", out)
    assert.matches("made a\n", out)
    assert.matches("made b\n", out)
  end)

  it("keeps to its limit", function()
    local rules = {}
    for i = 1, 9 do
      rules[i] = ("t%d = { run = 'echo begin; sleep 0.03; echo end' },"):format(i)
    end
    local path, _ <close> = rules_file("return {" .. table.concat(rules) .. "}")
    local out, status = run(command("make", path, 3))
    assert.equal(0, status)
    local running, most = 0, 0
    for word in out:gmatch "[^\n]+" do
      running = running + (word == "begin" and 1 or word == "end" and -1 or 0)
      most = math.max(most, running)
    end
    assert.equal(0, running)
    assert.is_true(most <= 3)
  end)

  it("stops at the first failure, with all that runs", function()
    local path, _ <close> = rules_file [[return {
      all = { "bad", "good" }, bad = { run = "exit 3" }, good = { run = "sleep 100 & wait" },
    }]]
    local out, status = run(command("make", path))
    assert.equal(1, status)
    assert.matches("make: CalledProcessError: exit 3 ended with status 3\n", out)
  end)

  it("refuses a circle", function()
    local path, _ <close> = rules_file "return { a = { 'b' }, b = { 'a' } }"
    local out, status = run(command("make", path))
    assert.equal(1, status)
    assert.matches("make: [ab] depends on itself\n", out)
  end)
end)

describe("examples/supervisor.lua", function()
  it("survives a child that dies at once, one that ignores SIGTERM, one that forks a daemon",
    function()
      local t = command("supervisor", "exit 3",
        "trap '' TERM; echo deaf; while :; do sleep 0.05; done",
        "sleep 1000 & echo daemon $!; exit 0")
      t.stdout, t.stderr, t.env = PIPE, STDOUT, environment { GRACE = "0.2" }
      local process <close> = assert(subprocess.Popen(t))
      local deaths, daemons, deaf, lines = 0, {}, false, {}
      local _ <close> = curio.timeout_after(helper.PATIENCE)
      while deaths < 4 or #daemons < 3 or not deaf do
        local line = assert(process.stdout:read "l", table.concat(lines, "\n"))
        lines[#lines + 1] = line
        deaths = deaths + (line:find "ended%s+3%s+exit 3" and 1 or 0)
        daemons[#daemons + 1] = tonumber(line:match "^daemon (%d+)")
        deaf = deaf or line == "deaf"
      end
      assert.is_nil(process:poll())
      assert.is_true(process:terminate())
      assert.matches("stopping%s+15\n.*stopped\n$", process:communicate())
      assert.equal(0, process.returncode)
      for _, pid in ipairs(daemons) do
        while is_alive(pid) do
          curio.sleep(0.01)
        end
      end
    end)

  it("stops on SIGINT too", function()
    local t = command("supervisor", "sleep 1000")
    t.stdout, t.env = PIPE, environment()
    local process <close> = assert(subprocess.Popen(t))
    local pid = tonumber(process.stdout:read "l":match "started%s+(%d+)")
    process:send_signal(signal.SIGINT)
    assert.matches("stopping%s+2\n.*stopped\n$", process:communicate())
    assert.equal(0, process.returncode)
    assert.is_false(is_alive(pid))
  end)
end)

describe("examples/expect.lua", function()
  local session = "printf 'name? '; read n; stty -echo; printf 'pass: '; read p; echo; "
    .. "echo \"hi $n $p\"; exit 3"

  it("answers what a session asks, and tells its status", function()
    local out, status = run(command("expect", "name%? =bob", "pass: =secret", "--", "sh", "-c",
      session))
    assert.equal(3, status)
    assert.matches("name%? bob\r\n", out)
    assert.matches("pass: \r\nhi bob secret\r\n$", out)
  end)

  it("says so when a session ends early", function()
    local out, status = run(command("expect", "name%? =bob", "--", "echo", "hello"))
    assert.equal(1, status)
    assert.matches('expect: CurioError: the session ended before it asked for "name%%%? "\n$', out)
  end)
end)

describe("examples/pinger.lua", function()
  it("tells who answers, and who does not", function()
    local out, status = run(command("pinger", "127.0.0.1", "::1"), { PING_COMMAND = "true" })
    assert.equal(0, status)
    assert.matches("127%.0%.0%.1\t[%d.]+ ms\n", out)
    assert.matches("::1\t[%d.]+ ms\n", out)
    assert.equal("somebody\tno answer: \n",
      (run(command("pinger", "somebody"), { PING_COMMAND = "false" })))
    assert.matches("ENOENT", (run(command("pinger", "x"), { PING_COMMAND = "/no/such/thing" })))
  end)

  it("has room for many", function()
    local t = command "pinger"
    for i = 1, 40 do
      t[#t + 1] = "host" .. i
    end
    local out = run(t, { PING_COMMAND = "true" })
    assert.equal(40, select(2, out:gsub("\n", "")))
  end)
end)
