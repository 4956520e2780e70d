-- Runs several commands at once and shows their lines as they come, each behind the name of its
-- command. When one fails the others are ended, with all that they have started.
--
--     curio examples/together.lua NAME='command' ...

local curio = require "curio"
local subprocess = require "curio.subprocess"

local function follow(name, command)
  local process <close> = assert(subprocess.Popen { command, shell = true, start_new_session = true,
    stdin = subprocess.DEVNULL, stdout = subprocess.PIPE, stderr = subprocess.STDOUT })
  for line in process.stdout:lines() do
    print(("%-10s| %s"):format(name, line))
  end
  local status = process:wait()
  if status ~= 0 then
    error(("%s has ended with status %d"):format(name, status), 0)
  end
end

local function main()
  io.stdout:setvbuf "line"
  local group <close> = curio.TaskGroup()
  for _, word in ipairs(arg) do
    local name, command = word:match "^([^=]+)=(.+)$"
    group:spawn(follow, assert(name, "usage: together.lua NAME='command' ..."), command)
  end
end

local ok, err = pcall(curio.run, main)
if not ok then
  io.stderr:write(tostring(curio.is(err, curio.TaskError) and err.cause or err), "\n")
  os.exit(1, true)
end
