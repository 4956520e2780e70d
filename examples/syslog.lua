-- Receives what programs log (RFC 3164 and 5424), by UDP and on a Unix socket, and prints it with
-- the names of facility and severity.
--
--     curio examples/syslog.lua [PORT [PATH]]      then: logger -d -n localhost -P 5514 hello

local curio = require "curio"
local socket = require "curio.socket"

local FACILITIES = { [0] = "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
  "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2",
  "local3", "local4", "local5", "local6", "local7" }
local SEVERITIES = { [0] = "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" }

-- No control character that somebody sends reaches the terminal.
local function show(text, from)
  local priority, message = text:match "^<(%d%d?%d?)>1? ?(.*)"
  priority = tonumber(priority or 13)
  print(("%s.%s\t%s\t%s"):format(FACILITIES[priority >> 3] or "unknown", SEVERITIES[priority & 7],
    from and from.host or "local", (message or text):gsub("%c+$", ""):gsub("%c", "?")))
end

local function receive(sock)
  local _ <close> = sock
  while true do
    local text, from = sock:recvfrom(65536)
    show(text or error(from), from)
  end
end

local function open(family, ...)
  local sock = assert(socket.socket(family, socket.SOCK_DGRAM))
  assert(sock:bind(...))
  print("Listening at " .. tostring(sock:getsockname()))
  return sock
end

curio.run(function(port, path)
  io.stdout:setvbuf "line"
  local group <close> = curio.TaskGroup()
  group:spawn(receive, open(socket.AF_INET, "", tonumber(port or 5514)))
  if path then
    group:spawn(receive, open(socket.AF_UNIX, path))
  end
end, table.unpack(arg))
