-- Redis for the programs of this directory: redis-lua, which is written for LuaSocket, on curio's
-- sockets through the bridge. It does not know the commands for streams; they are defined here.
--
-- REDIS_HOST and REDIS_PORT tell where it is. A connection serves one call at a time, and another
-- call only if its answer was read whole: one that an error or a cancellation cut off is closed.

package.path = package.path .. ";/usr/share/lua/5.3/?.lua" -- Debian's lua-redis has none for 5.4

local curio = require "curio"
require("curio.interop.luasocket").install()
local redis = require "redis"

local FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2 -- seconds between attempts to reach it
local PATIENCE = 10 -- seconds for an answer; what waits on purpose waits for less

-- What Redis says when it will answer later.
local LATER = { LOADING = true, BUSY = true, READONLY = true, MASTERDOWN = true, TRYAGAIN = true }

for name in ("xadd xlen xrange xpending xclaim xreadgroup xgroup"):gmatch "%a+" do
  redis.commands[name] = redis.command(name)
end

local idle = {} -- connections

local function attempt(name, ...)
  local client <const> = table.remove(idle) or redis.connect {
    host = os.getenv "REDIS_HOST", port = os.getenv "REDIS_PORT", timeout = PATIENCE,
  }
  local answered = false
  local _ <close> = setmetatable({}, { __close = function()
    if answered then
      table.insert(idle, client)
    else
      client.network.socket:close()
    end
  end })
  local answer = client[name](client, ...)
  answered = true
  return answer
end

--- Calls a command again and again until it is answered; so one that adds may add twice. What Redis
---refuses is raised.
return function(name, ...)
  local pause = FIRST_PAUSE
  while true do
    local done, answer = curio.pcall(attempt, name, ...)
    local refusal = not done and tostring(answer):match "redis error: (%u*)"
    if done then
      return answer
    elseif refusal and not LATER[refusal] then
      error(answer, 0)
    end
    curio.log("warning", ("%s, trying again: %s"):format(name, answer))
    idle = {} -- they are cut off as well
    curio.sleep(pause * (1 + math.random()) / 2) -- not all at once
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end
