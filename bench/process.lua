-- process.lua: starts, watches and ends the programs that bench/ measures, with nothing but
-- io.popen and os.execute, so that what is measured has no part in measuring it.
--
-- Every process started here is known by its id, and stop_all() ends exactly those.

local process = {}

local running = {} -- [process] = true

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file = io.open(path)
  local text = file and file:read("a")
  if file then
    file:close()
  end
  return text
end

-- The output of a shell command, and whether it succeeded.
function process.capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return text, pipe:close() == true
end

function process.sleep(seconds)
  if not os.execute(("sleep %.3f"):format(seconds)) then
    error("interrupted", 0)
  end
end

-- Is there a program of this name?
function process.exists(name)
  return os.execute(("command -v %s >/dev/null 2>&1"):format(quoted(name))) == true
end

local cores = tonumber((process.capture("nproc 2>/dev/null"))) or 1
process.can_pin = cores >= 2 and process.exists("taskset")

-- The command, tied to one core if there are several.
function process.pinned(core, command)
  return process.can_pin and ("taskset -c %d %s"):format(core, command) or command
end

local function is_alive(pid)
  local stat = read_file(("/proc/%d/stat"):format(pid))
  return stat ~= nil and not stat:find(") Z ", 1, true)
end

-- Starts a command (one program and its arguments) in the background, on the given core.
-- trace: a file for strace's counts of system calls.
function process.start(command, core, trace)
  local log = os.tmpname()
  local id = log .. ".pid"
  if trace then
    command = ("strace -f -qq -c -o %s sh -c %s"):format(trace,
      quoted(("echo $$ >%s; exec %s"):format(id, command)))
  end
  local pid = process.capture(("ulimit -n $(ulimit -Hn); %s >%s 2>&1 & echo $!"):format(
    process.pinned(core, command), log))
  local p = {pid = tonumber(pid), log = log, id = trace and id, command = command}
  running[p] = true
  return p
end

-- Waits until the process has printed a line with the pattern, and returns its captures.
function process.wait_line(p, pattern, seconds)
  for _ = 1, seconds / 0.05 do
    local text = read_file(p.log) or ""
    if text:find(pattern) then
      return text:match(pattern)
    end
    if not is_alive(p.pid) then
      error(("%s has ended: %s"):format(p.command, text), 0)
    end
    process.sleep(0.05)
  end
  error(("%s printed no line like %q within %g s"):format(p.command, pattern, seconds), 0)
end

-- Ends the process and waits until it is gone.
function process.stop(p)
  running[p] = nil
  local target = p.id and tonumber(read_file(p.id) or "") or p.pid
  os.execute(("kill %d 2>/dev/null"):format(target))
  for turn = 1, 100 do
    if not is_alive(p.pid) then
      break
    elseif turn == 100 then
      os.execute(("kill -9 %d %d 2>/dev/null"):format(target, p.pid))
    end
    process.sleep(0.05)
  end
  os.remove(p.log)
  os.remove(p.log .. ".pid")
end

function process.stop_all()
  for p in pairs(running) do
    process.stop(p)
  end
end

-- Keeps the given cores from falling asleep, with a loop of the idle class on each, which gives way
-- to anything else at once. Waking a sleeping core takes long, on a virtual machine up to a hundred
-- times the message that wakes it, and it is not what we measure. Returns whether it could.
function process.keep_awake(...)
  if not (process.can_pin and process.exists("chrt")) then
    return false
  end
  local self = read_file("/proc/self/stat"):match("^%d+")
  local loop = ("while [ -d /proc/%s ]; do i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done; done")
    :format(self) -- ends by itself should we be killed
  for _, core in ipairs {...} do
    process.start("chrt -i 0 sh -c " .. quoted(loop), core)
  end
  return true
end

-- CPU time used so far by all threads of a process, in seconds; nil if the system does not tell.
function process.cpu_seconds(p)
  local text = process.capture(("cat /proc/%d/task/*/schedstat 2>/dev/null"):format(p.pid))
  local sum
  for ns in text:gmatch("(%d+) %d+ %d+\n") do
    sum = (sum or 0) + tonumber(ns)
  end
  return sum and sum / 1e9
end

-- Resident memory of a process, in bytes.
function process.resident(p)
  local status = read_file(("/proc/%d/status"):format(p.pid)) or ""
  return tonumber(status:match("VmRSS:%s*(%d+)") or 0) * 1024
end

return process
