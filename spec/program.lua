-- What the specs of the program share: build/bin/curio run as a process of its own, through the
-- shell, in a temporary directory that a spec file has for itself.

local assert = require "luassert"
local helper = require "spec.helper"

local quote = helper.quote

local M = {}

M.path = (os.getenv "CURIO_BUILD" or "build") .. "/bin/curio"
if M.path:sub(1, 1) ~= "/" then
  M.path = helper.output_of "pwd":gsub("\n", "/") .. M.path
end

local dir -- the directory; there is one while the specs of a file run

-- Has the directory made before the specs of a file and removed behind them.
function M.prepare(setup, teardown)
  setup(function()
    dir = helper.output_of "mktemp -d":match "[^\n]+"
    -- The shell takes $curio apart at spaces: here there is none.
    os.execute(("mkdir %s/.bin && ln -s %s %s/.bin/curio"):format(dir, quote(M.path), dir))
  end)
  teardown(function()
    os.execute("rm -rf " .. quote(dir))
  end)
end

function M.write(name, text)
  return helper.write(dir .. "/" .. name, text)
end

-- Runs a shell command in which $curio is the program. Gives its exit status as the shell has it,
-- its stdout and its stderr.
function M.shell(command, stdin)
  M.write("stdin", stdin or "")
  M.write("command", command .. "\n")
  local line = "cd %s && curio=%s LUA_PATH=%s timeout %d sh command <stdin >stdout 2>stderr"
  local status = helper.output_of(line:format(quote(dir), dir .. "/.bin/curio",
    quote(dir .. "/?.lua;;"), helper.PATIENCE) .. "; echo $?")
  return tonumber(status), helper.read(dir .. "/stdout"), helper.read(dir .. "/stderr")
end

function M.curio(args, stdin)
  return M.shell("$curio " .. args, stdin)
end

function M.script(text, args)
  M.write("script.lua", text)
  return M.curio("script.lua " .. (args or ""))
end

-- The command succeeds silently but for this output.
function M.prints(expected, status, out, err)
  assert.equal("", err)
  assert.equal(expected, out)
  assert.equal(0, status)
end

function M.fails(pattern, status, _, err)
  assert.matches(pattern, err)
  assert.equal(1, status)
end

return M
