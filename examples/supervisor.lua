-- Keeps programs running: one that ends is started again, after a pause that doubles each time it
-- dies young. SIGTERM and SIGINT stop all of them in order: SIGTERM to each with its whole group,
-- and after a time of grace SIGKILL.
--
--     curio examples/supervisor.lua 'command' ...

local curio = require "curio"
local signal = require "curio.signal"
local subprocess = require "curio.subprocess"

local FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10 -- seconds
local YOUNG = 1 -- who has run so long is not punished any more
local GRACE = tonumber(os.getenv "GRACE") or 5

local function log(...)
  print(os.date "%H:%M:%S", ...)
end

-- Whatever the command has left behind, daemons too, goes with it.
local function stop(process)
  curio.disable_cancellation(function()
    process:terminate(GRACE, { group = true })
    process:kill { group = true }
  end)
end

local function run_once(command)
  local process = assert(subprocess.Popen { command, shell = true, start_new_session = true,
    stdin = subprocess.DEVNULL })
  log("started", process.pid, command)
  local _ <close> = setmetatable({}, { __close = function()
    stop(process)
  end })
  return process:wait()
end

local function supervise(command)
  local pause = FIRST_PAUSE
  while true do
    local began = curio.clock()
    log("ended", run_once(command), command)
    if curio.clock() - began >= YOUNG then
      pause = FIRST_PAUSE
    end
    curio.sleep(pause)
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

curio.run(function()
  io.stdout:setvbuf "line"
  local stopped <close> = signal.SignalQueue(signal.SIGTERM, signal.SIGINT)
  local group <close> = curio.TaskGroup()
  for _, command in ipairs(arg) do
    group:spawn(supervise, command)
  end
  log("stopping", stopped:get())
  group:cancel_remaining()
  log "stopped"
end)
