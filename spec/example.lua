-- What the specs of the examples share: each example is a process of its own, run by the
-- interpreter that runs the spec.

local helper = require "spec.helper"
local subprocess = require "curio.subprocess"

local M = {}

local INHERITED = { "PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS" }

local function environment(more)
  local env = { LUA_PATH = package.path, LUA_CPATH = package.cpath }
  for _, name in ipairs(INHERITED) do
    env[name] = os.getenv(name)
  end
  for name, value in pairs(more or {}) do
    env[name] = value
  end
  return env
end

local function command(t, name, ...)
  t.stdin = not t.input and subprocess.DEVNULL or nil
  t.stdout, t.stderr, t.env = subprocess.PIPE, subprocess.STDOUT, environment(t.env)
  for i, word in ipairs { helper.interpreter(), ("examples/%s.lua"):format(name), ... } do
    t[i] = word
  end
  return t
end

-- Runs an example to its end: what it prints, stderr too, and its status.
function M.run(name, ...)
  local result = assert(subprocess.run(command({ timeout = helper.PATIENCE }, name, ...)))
  return result.stdout, result.returncode
end

-- The same, with some options of subprocess.run; those of a table.
function M.run_with(options, name, ...)
  options.timeout = helper.PATIENCE
  local result = assert(subprocess.run(command(options, name, ...)))
  return result.stdout, result.returncode
end

-- Starts an example; the second result, in a <close> variable, ends it.
function M.start(name, ...)
  local process = assert(subprocess.Popen(command({}, name, ...)))
  return process, helper.closing(function()
    local _ <close> = process -- waits, and closes the pipe
    process:kill()
  end)
end

-- Reads until a line has the pattern: what it captures, and the lines until there.
function M.expect(process, pattern)
  local lines = {}
  repeat
    lines[#lines + 1] = assert(process.stdout:read "l", table.concat(lines, "\n"))
  until lines[#lines]:find(pattern)
  return lines[#lines]:match(pattern), lines
end

-- Starts an example that serves: its port, what ends it, its process.
function M.serve(name, ...)
  local process, closing = M.start(name, ...)
  return tonumber((M.expect(process, "istening at %S+:(%d+)$"))), closing, process
end

return M
