-- The example about channels: two processes, and a third that does not know the key.

local helper = require "spec.helper"
local subprocess = require "curio.subprocess"
local testing = require "curio.testing"

local it = testing.it(it)
local PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT

local function environment(key)
  local env = { LUA_PATH = package.path, LUA_CPATH = package.cpath, SUMS_KEY = key }
  for _, name in ipairs { "PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "TSAN_OPTIONS" } do
    env[name] = os.getenv(name)
  end
  return env
end

local function command(...)
  return { helper.interpreter(), "examples/sums.lua", ... }
end

local function ask(port, key, ...)
  local t = command("ask", "127.0.0.1", port, ...)
  t.stdout, t.stderr, t.env, t.timeout = PIPE, STDOUT, environment(key), helper.PATIENCE
  local result = assert(subprocess.run(t))
  return result.stdout, result.returncode
end

describe("examples/sums.lua", function()
  it("adds up for who has the key, and for nobody else", function()
    local t = command("serve", "127.0.0.1", "0")
    t.stdout, t.env = PIPE, environment "a key"
    local server <close> = assert(subprocess.Popen(t))
    local _ <close> = helper.closing(function()
      server:kill()
    end)
    local port = server.stdout:read("l"):match ":(%d+)$"
    local out, status = ask(port, "a key", "1", "2", "3.5")
    assert.equal("6.5\n", out)
    assert.equal(0, status)
    assert.equal("send a list of numbers\n", (ask(port, "a key", "x")))
    out, status = ask(port, "another", "1")
    assert.equal(1, status)
    assert.matches("AuthenticationError", out)
    assert.equal("refused: the peer has another key", server.stdout:read "l")
    assert.equal("7\n", (ask(port, "a key", "3", "4")))
  end)
end)
