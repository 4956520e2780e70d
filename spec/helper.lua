-- What the specs share: tasks that have come to their wait, errors looked at, the log caught, and
-- scripts in processes of their own. (For sockets there is
-- spec/sockets.lua, for build/bin/curio spec/program.lua.)

local assert = require "luassert"
local curio = require "curio"
local testing = require "curio.testing"

local M = {}

-- The globals. busted gives the files of specs an environment of their own, which cannot be sent to
-- a thread; functions that go there are written under `_ENV = helper.globals`.
M.globals = _ENV

M.LONG = 10 -- seconds that nobody waits for
M.SOON = 0.001

-- How many times slower than usual all goes, as under an instrumented build: what waits for a
-- process waits that much longer, and what repeats itself does so less often.
M.SLOW = tonumber(os.getenv "CURIO_SLOW") or 1
M.PATIENCE = 20 * M.SLOW // 1 | 0 -- seconds for a process

-- A loop without end, as source. ThreadSanitizer holds a signal back until the C library is called,
-- so there the loop asks for the time.
M.SPIN = os.getenv "CURIO_SAN" == "thread" and "while true do os.time() end" or "while true do end"

-- Under valgrind a process has, as the system sees it, neither its own limits nor its own handlers
-- of signals; and an exec that the system refuses late is its end.
M.under_valgrind = os.getenv "CURIO_SAN" == "valgrind"

function M.fewer(n)
  return math.max(1, n // M.SLOW | 0)
end

-- Kernels can be made, and tasks' coroutines seen from outside, under stock Lua only.
M.under_program = debug.getinfo(require, "S").what ~= "C"

function M.closing(fn)
  return setmetatable({}, { __close = fn })
end

-- Tasks ---------------------------------------------------------------------------------------

function M.forever()
  curio.sleep(M.LONG)
end

-- A task that has had its first turn.
function M.started(fn, ...)
  local task = curio.spawn(fn, ...)
  curio.sleep(0)
  return task
end

-- A task that has come as far as it can, as all others have.
function M.spawn(fn, ...)
  local task = curio.spawn(fn, ...)
  testing.wait_all_blocked()
  return task
end

-- What is told to curio.log until the second result is closed: a list of "level: message".
function M.logging()
  local lines, real = {}, curio.log
  curio.log = function(level, message)
    lines[#lines + 1] = level .. ": " .. message
  end
  return lines, M.closing(function()
    curio.log = real
  end)
end

-- What is told while fn runs, which may see the list too.
function M.logged(fn)
  local lines, _ <close> = M.logging()
  fn(lines)
  return lines
end

-- An `it` whose body is a task; it gets the list of what curio.log was told. The clock is that of
-- curio.run.
function M.task_it(it, clock)
  return function(name, fn)
    it(name, function()
      local lines, _ <close> = M.logging()
      curio.run { fn, lines, clock = clock }
    end)
  end
end

-- What fn adds to a list, line by line.
function M.log_of(fn)
  local log = {}
  local function add(...)
    local parts = table.pack(...)
    for i = 1, parts.n do
      -- what a function is called in a message depends on where it is found
      parts[i] = tostring(parts[i]):gsub("argument #(%d) to '[^']*'", "argument #%1")
    end
    log[#log + 1] = table.concat(parts, " ")
  end
  fn(add, log)
  return log
end

-- The value as it comes out of n generators, each inside the other.
function M.nested(n, fn)
  if n == 0 then
    return fn()
  end
  return coroutine.wrap(M.nested)(n - 1, fn)
end

-- Errors --------------------------------------------------------------------------------------

-- The name of the error that fn raises, or the error itself if it has none, or nil.
function M.raised(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then
    return nil
  end
  return type(err) == "table" and err.name or err
end

-- fn raises an error of that class.
function M.raises(class, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_true(curio.is(err, class), tostring(err))
  return err
end

-- The blocking call waits in that state, and each of time and cancellation ends its wait.
function M.can_be_interrupted(state, fn, ...)
  local task = M.spawn(fn, ...)
  assert.equal(state, task.state)
  task:cancel()
  assert.is_true(curio.is(task.exception, curio.TaskCancelled))
  M.raises(curio.TaskTimeout, curio.timeout_after, 0.001, fn, ...)
end

-- The call need not wait, and is a cancellation point nevertheless.
function M.is_cancellation_point(fn, ...)
  M.raises(curio.TaskTimeout, curio.timeout_after, 0, fn, ...)
end

-- Lua's own pcall and xpcall, as a program has them that took them before curio was loaded: the
-- base library opened once more.
function M.own_protected()
  local open = assert(package.loadlib("", "luaopen_base"))
  local saved = {}
  for name, value in pairs(_G) do
    saved[name] = value
  end
  open()
  local own = { pcall = rawget(_G, "pcall"), xpcall = rawget(_G, "xpcall") }
  for name, value in pairs(saved) do
    rawset(_G, name, value)
  end
  return own
end

-- Files, descriptors, processes -----------------------------------------------------------------

-- The lowest number free for a descriptor: it rises when one leaks.
function M.lowest_fd()
  local sock <close> = assert(require("curio.socket").socket())
  return sock:fileno()
end

function M.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

function M.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

-- A file with that in it, open for reading, what removes it, and its path.
function M.file_of(text)
  local path = M.write(os.tmpname(), text)
  return assert(io.open(path, "rb")), M.closing(function()
    os.remove(path)
  end), path
end

function M.quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

-- All that a shell command prints, then what closing its pipe gives.
function M.output_of(command)
  local pipe = assert(io.popen(command))
  return pipe:read "a", pipe:close()
end

-- The interpreter that runs this.
function M.interpreter()
  local i = 0
  while arg[i - 1] do
    i = i - 1
  end
  return arg[i]
end

-- Runs a script by this interpreter in a process of its own, for what may end the process: its
-- output, with "status N" as the last line. A command may be given that starts the interpreter.
function M.child(script, through)
  local path = M.write(os.tmpname(), script)
  local command = "LUA_PATH=%s LUA_CPATH=%s timeout -k 1 %d %s %s %s 2>&1; echo \"status $?\""
  local out = M.output_of(command:format(M.quote(package.path), M.quote(package.cpath),
    M.PATIENCE, through or os.getenv "CURIO_THROUGH" or "", M.quote(M.interpreter()), path))
  os.remove(path)
  return out
end

return M
