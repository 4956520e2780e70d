--- The monitor: shows a running program's tasks and cancels them, from outside.
--
-- A thread of the kernel (src/monitor.c) takes commands from a socket; what they mean stands here.
-- It runs in the kernel's thread between tasks, or in a hook of a task that never gives way, so
-- nothing here may block. The socket is a Unix one that only its owner may connect to, or one of
-- loopback.
--
-- *curio: curio.monitor.*

local core = require "curio.core"
local report = require "curio.report"

local monitor = {}

-- ---- finding tasks ----

local function tasks_by_id()
  local list = core.tasks()
  table.sort(list, function(a, b)
    return a.id < b.id
  end)
  return list
end

local function find(word)
  local id = math.tointeger(tonumber(word))
  for _, task in ipairs(core.tasks()) do
    if task.id == id then
      return task
    end
  end
  return nil, word and ("there is no task %s\n"):format(word) or "which task? give its number\n"
end

local function place(task)
  local file, line = task:where()
  return file and ("%s:%d"):format(file, line) or "-"
end

-- Names are the program's, and go to a terminal: nothing in them may steer that.
local function harmless(text, controls)
  return (text:gsub(controls, function(c)
    return ("\\%d"):format(c:byte())
  end))
end

local function name_of(task)
  return harmless(task.name, "%c")
end

-- What the task waits for, with what only shows from outside.
local function state_of(task, details)
  return details.fd and ("%s fd %d"):format(task.state, details.fd) or task.state
end

local function seconds(n)
  return n and ("%.3f"):format(n) or "None"
end

-- ---- tables ----

-- Rows of cells as lines of text; the last column is as wide as it is.
local function layout(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do
      widths[i] = math.max(widths[i] or 0, #row[i])
    end
  end
  local rule = {}
  for i, width in ipairs(widths) do
    rule[i] = ("-"):rep(width)
  end
  rule[#widths + 1] = ("-"):rep(20)
  table.insert(rows, 2, rule)
  local lines = {}
  for _, row in ipairs(rows) do
    local cells = {}
    for i, width in ipairs(widths) do
      cells[i] = row[i] .. (" "):rep(width - #row[i])
    end
    cells[#cells + 1] = row[#row]
    lines[#lines + 1] = table.concat(cells, " ")
  end
  return table.concat(lines, "\n") .. "\n"
end

-- ---- the commands: each gives the text of the answer, and true to hang up ----

local commands = {}

function commands.ps()
  local rows = { { "Task", "State", "Cycles", "Timeout", "Sleep", "Where", "Name" } }
  for _, task in ipairs(tasks_by_id()) do
    local details = core.monitor.details(task)
    rows[#rows + 1] = {
      tostring(task.id), state_of(task, details), tostring(task.cycles), seconds(details.timeout),
      seconds(details.sleep), place(task), name_of(task),
    }
  end
  return layout(rows)
end

function commands.where(word)
  local task, problem = find(word)
  return task and harmless(task:traceback(), "[^%C\n\t]") .. "\n" or problem
end

function commands.parents(word)
  local task, problem = find(word)
  if not task then
    return problem
  end
  local lines, seen = {}, {}
  while task and not seen[task] do
    seen[task] = true
    lines[#lines + 1] = ("%d %s %s\n"):format(task.id, state_of(task, core.monitor.details(task)),
      name_of(task))
    local parent = task.parentid
    task = parent and find(parent)
    if parent and not task then
      lines[#lines + 1] = ("%d (ended)\n"):format(parent)
    end
  end
  return table.concat(lines)
end

-- Each task below the one that spawned it; those whose spawner has ended stand at the left.
function commands.tree()
  local children, alive, groups, ngroups = {}, {}, {}, 0
  local list = tasks_by_id()
  for _, task in ipairs(list) do
    alive[task.id] = true
  end
  for _, task in ipairs(list) do
    local parent = alive[task.parentid] and task.parentid or 0
    children[parent] = children[parent] or {}
    table.insert(children[parent], task)
  end
  local lines = {}
  local function show(task, depth)
    local details = core.monitor.details(task)
    local group = details.group
    if group and not groups[group] then
      ngroups = ngroups + 1
      groups[group] = ngroups
    end
    lines[#lines + 1] = ("%s%d %s %s%s\n"):format(("  "):rep(depth), task.id,
      state_of(task, details), name_of(task), group and (" (group %d)"):format(groups[group]) or "")
  end
  -- By hand, not by recursion: generations may be many.
  local stack = { { children[0] or {}, 0 } }
  while #stack > 0 do
    local top = stack[#stack]
    top[2] = top[2] + 1
    local task = top[1][top[2]]
    if task then
      show(task, #stack - 1)
      stack[#stack + 1] = { children[task.id] or {}, 0 }
    else
      stack[#stack] = nil
    end
  end
  return table.concat(lines)
end

function commands.cancel(word)
  local task, problem = find(word)
  if not task then
    return problem
  end
  task:cancel { blocking = false, reason = "monitor" }
  return ("cancelling task %d\n"):format(task.id)
end

-- The number of "SIGTERM", "term" or "15"; nil: there is none.
local function signal_number(word)
  local n = math.tointeger(tonumber(word))
  local name = word:upper():gsub("^SIG", "")
  local known = core.signal["SIG" .. name]
  if n then
    return n > 0 and n <= core.signal.SIGRTMAX and n or nil
  end
  return math.type(known) and known
end

function commands.signal(word)
  local signo = signal_number(word or "")
  if not signo then
    return "which signal? give its name, such as SIGTERM, or number\n"
  end
  local ok, err = core.monitor.kill(signo)
  return ok and ("sent %s to the process\n"):format(word) or tostring(err) .. "\n"
end

function commands.help()
  return [[
ps             all tasks: state, cycles, seconds to the deadline and of sleep left, where they are
tree           all tasks, each below the one that spawned it
where ID       the stack of a task
parents ID     a task, the task that spawned it, and so on
cancel ID      cancels a task; does not wait for its end
signal NAME    sends a signal to the process
help           this text
quit           ends the connection
]]
end

function commands.quit()
  return "bye\n", true
end

commands.exit = commands.quit
commands["?"] = commands.help

--- What the monitor answers to a line.
---@param line string
---@return string text
---@return boolean? bye  the connection is to end
function monitor.command(line)
  local name, rest = line:match "^%s*(%S+)%s*(.-)%s*$"
  if not name then
    return ""
  end
  local command = commands[name:lower()]
  if not command or rest:find "%s" then
    return ("%q is not a command. Type help for the commands.\n"):format(line:sub(1, 60))
  end
  return command(rest ~= "" and rest or nil)
end

function report.hooks.monitor()
  local ok, text, bye = pcall(monitor.command, core.monitor.command() or "")
  core.monitor.answer(ok and text or "the command failed: " .. core.errors.text(text) .. "\n", bye)
end

-- ---- opening and closing ----

local function is_loopback(host)
  return host == "localhost" or host == "::1" or host:find "^127%.%d+%.%d+%.%d+$" ~= nil
end

-- "host:port", "[::1]:port", ":port"; nil: it is not one.
local function host_and_port(address)
  local host, port = address:match "^%[?([%w.:]-)%]?:(%d+)$"
  if host and tonumber(port) > 65535 then
    error(("monitor: %s has no port: it must be 0 to 65535"):format(address), 0)
  end
  return host and (host == "" and "127.0.0.1" or host), math.tointeger(tonumber(port))
end

local function open_loopback(kernel, host, port)
  local socket = require "curio.socket"
  host = host == "localhost" and "127.0.0.1" or host
  local family = host:find(":", 1, true) and socket.AF_INET6 or socket.AF_INET
  local sock, err = socket.socket(family, socket.SOCK_STREAM)
  if not sock then
    return nil, err
  end
  local _ <close> = sock
  sock:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, true)
  for _, step in ipairs { { "bind", host, port }, { "listen", 16 } } do
    local ok
    ok, err = sock[step[1]](sock, table.unpack(step, 2))
    if not ok then
      return nil, err
    end
  end
  return core.monitor.adopt(kernel, sock:detach())
end

-- PID.sock; further kernels of the process have a number more.
local function open_default(kernel)
  local directory, err = core.monitor.directory()
  if not directory then
    return nil, err
  end
  core.monitor.sweep(directory)
  local ok
  for i = 1, 64 do
    local path = ("%s/%d%s.sock"):format(directory, core.monitor.pid(), i > 1 and "-" .. i or "")
    ok, err = core.monitor.open(kernel, path)
    if ok or err.code ~= "EADDRINUSE" then
      break
    end
  end
  return ok, err
end

--- Gives a kernel a monitor, until it is shut down. Raises OSError if the address cannot be had.
---@param kernel curio.Kernel
---@param address string|boolean|nil  a path, "host:port" of loopback; true or nil: the default
function monitor.open(kernel, address)
  local ok, err
  if core.monitor.has(kernel) then
    return
  elseif address == nil or address == true then
    ok, err = open_default(kernel)
  elseif type(address) ~= "string" then
    error("monitor: an address is a path or host:port, got " .. type(address), 0)
  elseif address == "" or address:find "%z" then
    -- An abstract socket, or one that gets its name from the system, would have no owner.
    error(("monitor: %q is no path"):format(address), 0)
  else
    local host, port = host_and_port(address)
    if not host then
      ok, err = core.monitor.open(kernel, address)
    elseif is_loopback(host) then
      ok, err = open_loopback(kernel, host, port)
    else
      error(("monitor: %s is not of loopback: others could cancel tasks"):format(address), 0)
    end
  end
  if not ok then
    error(err, 0)
  end
end

--- Takes the monitor away again.
---@param kernel curio.Kernel
function monitor.close(kernel)
  core.monitor.close(kernel)
end

--- What the environment variable CURIOMONITOR asks for: nil: no monitor; an address; or true.
---@return string|boolean|nil
function monitor.from_environment()
  local value = os.getenv "CURIOMONITOR"
  if not value or value == "" or value == "0" then
    return nil
  end
  local yes = { ["1"] = true, ["true"] = true, yes = true }
  return yes[value:lower()] or value
end

-- ---- the other side ----

local function connect(target)
  local network = require "curio.network"
  local host, port = host_and_port(target)
  if host then
    return network.open_connection(host, port)
  elseif target:find "^%d+$" then
    local directory, err = core.monitor.directory()
    if not directory then
      return nil, err
    end
    target = ("%s/%s.sock"):format(directory, target)
  end
  return network.open_unix_connection(target)
end

--- Connects the terminal to a monitor, until either side has had enough.
---@async
---@param target string  the number of a process, or an address as for open
---@return true? ok
---@return table? err  what connecting failed with
function monitor.attach(target)
  local group = require "curio.group"
  local io = require "curio.io"
  local sock, err = connect(target)
  if not sock then
    return nil, err
  end
  local _ <close> = sock
  local g <close> = group.TaskGroup { wait = "any" }
  g:spawn(io.copy, sock, io.stdout)
  g:spawn {
    function()
      io.copy(io.stdin, sock)
      sock:shutdown "wr"
    end,
    daemon = true,
  }
  g:join()
  return true
end

return monitor
