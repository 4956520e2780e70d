-- Values that belong to a task and to those it spawns: each line of the log tells to which request
-- it belongs, though nobody hands a number around.
--
--     curio examples/local.lua

local curio = require "curio"

local request = curio.Local()

local function log(text)
  print(("[request %s] %s"):format(request.id or "-", text))
end

local function ask_database()
  log "asking the database"
  curio.sleep(0.02)
  log "the database has answered"
end

local function ask_cache()
  log "asking the cache"
  curio.sleep(0.01)
  log "nothing in the cache"
end

local function handle(id)
  request.id = id -- from here on, in this task and what it spawns
  log "begins"
  do
    local group <close> = curio.TaskGroup()
    group:spawn(ask_cache)
    group:spawn(ask_database)
  end
  log "ends"
end

curio.run(function()
  local requests <close> = curio.TaskGroup()
  for id = 1, 2 do
    requests:spawn(handle, id)
  end
  requests:join()
  log "all done"
end)
