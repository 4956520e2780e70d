--- What the library says without being asked: crashes, warnings; and the kernel's hooks into Lua.
--
-- curio.log is the one place where the library prints. It belongs to the face, which nothing down
-- here may require; so the face introduces itself (report.face), and the log is looked up at each
-- call.

local core = require "curio.core"
require "curio.errors" -- hands the classes to the core

local report = {}

core.own_source((debug.getinfo(1, "S").source:gsub("report%.lua$", "")))

--- The default of curio.log: one line on stderr.
---@param level string  "error", "warning" or "info"
---@param message string
function report.default(level, message)
  io.stderr:write("curio: ", level, ": ", message, "\n")
end

report.face = { log = report.default }

--- Says it through curio.log as it stands now.
---@param level string
---@param message string
function report.log(level, message)
  report.face.log(level, message)
end

local log = report.log

local function crash_text(task)
  local what = core.errors.text(task.exception)
  local lines = { ("task %d (%s) crashed: %s"):format(task.id, task.name, what) }
  lines[#lines + 1] = task.error_traceback
  if task.spawned_at then
    lines[#lines + 1] = "spawned at " .. task.spawned_at
  end
  return table.concat(lines, "\n")
end

-- What the kernel in C tells the Lua layer. None of these may block.
report.hooks = {
  crash = function(task)
    log("error", crash_text(task))
  end,
  slow = function(task)
    log("warning", "the shutdown waits for " .. tostring(task))
  end,
  forced = function(task)
    log("warning", "closed by force: " .. tostring(task))
  end,
  abandoned = function(n)
    log("warning", ("a kernel with %d tasks was never shut down"):format(n))
  end,
}
core.hooks(report.hooks)

return report
