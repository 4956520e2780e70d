--- systemd: the sockets it hands over, and telling it how the program is.
--
-- All is in the environment, after sd_listen_fds(3) and sd_notify(3). A process id there says whom
-- it is meant for, so a child that inherits the environment does not take what is its parent's.

local core = require "curio.core"
local socket = require "curio.socket"

local systemd = {}

local FIRST = 3 -- the descriptor

local function is_for_us(variable)
  return tonumber(os.getenv(variable)) == core.monitor.pid()
end

-- ---- sockets ----

local handed_over -- what was made of them: a descriptor has one owner

local function take(n)
  local list = {}
  local names = (os.getenv "LISTEN_FDNAMES" or ""):gmatch "([^:]*):?"
  for i = 1, n do
    local sock, err = socket.fromfd(FIRST + i - 1)
    if not sock then
      for _, earlier in ipairs(list) do
        earlier:close()
      end
      return nil, err
    end
    list[i] = sock
    local name = names()
    if name and name ~= "" and list[name] == nil then
      list[name] = sock
    end
  end
  return list
end

--- The sockets that systemd has opened for this program, in the order of its unit's lines: a list,
---in which each is also found by its FileDescriptorName. Each call gives the same; without systemd
---the list is empty. Does not block.
---@return table? sockets
---@return table? err  what was handed over is no socket
function systemd.sockets()
  if not handed_over then
    local n = is_for_us "LISTEN_PID" and tonumber(os.getenv "LISTEN_FDS") or 0
    local list, err = take(n)
    if not list then
      return nil, err
    end
    handed_over = list
  end
  return handed_over
end

-- ---- notification ----

--- Tells systemd of a change: "READY=1", "STOPPING=1", "STATUS=..."; several are lines of one text.
---@async
---@param state string
---@return boolean? told  false where nobody asks for it
---@return table? err
function systemd.notify(state)
  if type(state) ~= "string" then
    core.args.misuse("systemd.notify: the state must be a string, got " .. type(state))
  end
  local path = os.getenv "NOTIFY_SOCKET"
  if not path or path == "" then
    return false
  end
  local sock <close>, err = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
  if not sock then
    return nil, err
  end
  local sent, failure = sock:sendto(state, { (path:gsub("^@", "\0")) })
  if not sent then
    return nil, failure
  end
  return true
end

--- Tells systemd in time, again and again, that the program is alive, until it is cancelled: it
---does so as long as tasks get their turns. Run it as a daemon task.
---@async
---@return boolean? asked  false at once, where systemd has set no WatchdogSec
---@return table? err
function systemd.watchdog()
  local microseconds = tonumber(os.getenv "WATCHDOG_USEC") or 0
  if microseconds <= 0 or os.getenv "WATCHDOG_PID" and not is_for_us "WATCHDOG_PID" then
    return false
  end
  while true do
    local told, err = systemd.notify "WATCHDOG=1"
    if not told then
      return told, err
    end
    core.sleep(microseconds / 2e6)
  end
end

return systemd
