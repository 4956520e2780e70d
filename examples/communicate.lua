-- What subprocess.run is made of: a task that feeds the child, two that collect what it writes, and
-- a wait for its end. Interrupted, it kills the child and tells what that had written until then.
--
--     curio examples/communicate.lua SECONDS COMMAND [ARG ...] <input

local curio = require "curio"
local subprocess = require "curio.subprocess"

local PIPE = subprocess.PIPE

-- That the child does not read all of its input is its own affair.
local function feed(stdin, input)
  stdin:write(input)
  stdin:close()
end

local function run(command, input)
  command.stdin, command.stdout, command.stderr = PIPE, PIPE, PIPE
  command.start_new_session = true
  local process = assert(subprocess.Popen(command))
  local feeder = curio.spawn(feed, process.stdin, input)
  local stdout = curio.spawn(process.stdout.readall, process.stdout)
  local stderr = curio.spawn(process.stderr.readall, process.stderr)
  local ok, err = pcall(process.wait, process)
  if not ok then
    process:kill { group = true } -- then the pipes end, and so do the tasks
  end
  return curio.disable_cancellation(function()
    local result = { stdout = stdout:join(), stderr = stderr:join() }
    feeder:cancel()
    result.returncode = process:wait()
    if not ok then
      err.stdout, err.stderr = result.stdout, result.stderr
      error(err, 0)
    end
    return result
  end)
end

local function main(seconds, ...)
  local input = curio.io.stdin:readall()
  local ok, result = pcall(curio.timeout_after, seconds, run, { ... }, input)
  if ok or result.stdout then
    io.stdout:write(result.stdout):flush()
    io.stderr:write(result.stderr, ok and "" or "interrupted: " .. result.name .. "\n")
    return ok and result.returncode or 1
  end
  error(result, 0)
end

assert(tonumber(arg[1]) and arg[2], "usage: communicate.lua SECONDS COMMAND [ARG ...]")
os.exit(curio.run(main, tonumber(arg[1]), table.unpack(arg, 2)), true)
