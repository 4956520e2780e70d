--- The face of curio: names only. Each is loaded from its module when first used.

local report = require "curio.report"
local errors = require "curio.errors"

local curio = {
  log = report.default,
  is = errors.is,
}
report.face = curio

local homes = {
  kernel = { "run", "Kernel" },
  task = {
    "spawn", "current_task", "schedule", "disable_cancellation", "check_cancellation",
    "set_cancellation", "pcall", "xpcall", "Local",
  },
  time = { "sleep", "clock", "timeout_after", "ignore_after" },
  group = { "TaskGroup", "group", "started" },
  sync = { "Event", "Result", "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition",
    "UniversalEvent", "UniversalResult" },
  queue = { "Queue", "LifoQueue", "PriorityQueue", "UniversalQueue" },
  file = { "aopen" },
  thread = { "spawn_thread", "AWAIT", "Thread" },
  workers = { "run_in_thread", "run_in_process" },
  channel = { "Channel", "Connection" },
  network = {
    "open_connection", "open_unix_connection", "tcp_server", "unix_server", "run_server",
    "tcp_server_socket", "unix_server_socket",
  },
}

local modules = {
  "errors", "task", "time", "sync", "queue", "io", "file", "socket", "ssl", "network", "subprocess",
  "signal", "thread", "workers", "channel", "monitor", "debug", "traps", "sched", "meta", "testing",
}

local home_of = {}
for module, names in pairs(homes) do
  for _, name in ipairs(names) do
    home_of[name] = module
  end
end
for _, module in ipairs(modules) do
  home_of[module] = false
end

for name, class in pairs(errors) do
  if type(class) == "table" then
    curio[name] = class
  end
end

return setmetatable(curio, {
  __index = function(self, name)
    local home = home_of[name]
    if home == nil then
      return nil
    end
    local value
    if home then
      value = require("curio." .. home)[name]
    else
      value = require("curio." .. name)
    end
    self[name] = value
    return value
  end,

  -- Goes over all names, and so loads what they name.
  __pairs = function(self)
    for name in pairs(home_of) do
      local _ = self[name]
    end
    return next, self, nil
  end,
})
