-- Pings hosts, some at a time, and says which of them answer, and how fast. Ctrl-C ends it and what
-- it has started.
--
--     curio examples/pinger.lua host ...
--
-- PING_COMMAND may name another command, which is given the host; its status is the answer.

local curio = require "curio"
local subprocess = require "curio.subprocess"

local SECONDS = 2
local AT_ONCE = 16

local function command(host)
  local own = os.getenv "PING_COMMAND"
  if own then
    return { own, host }
  end
  return { "ping", "-n", "-c", "1", "-W", SECONDS, host }
end

local function ping(host)
  local t = command(host)
  t.stdout, t.stderr = subprocess.PIPE, subprocess.STDOUT
  local began = curio.clock()
  local result, err = curio.ignore_after { SECONDS + 1, subprocess.run, t,
    timeout_result = { returncode = 1, stdout = "too late" } }
  if not result then
    return tostring(err)
  elseif result.returncode ~= 0 then
    return "no answer: " .. (result.stdout:match "([^\n]*)\n*$" or "")
  end
  local time = result.stdout:match "time=(%S+)" or ("%.2f"):format((curio.clock() - began) * 1000)
  return time .. " ms"
end

curio.run(function()
  io.stdout:setvbuf "line"
  local group <close> = curio.TaskGroup { limit = AT_ONCE }
  for _, host in ipairs(arg) do
    group:spawn(function()
      print(host, ping(host))
    end)
  end
end)
