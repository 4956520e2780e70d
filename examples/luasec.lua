-- luasec.lua: when the certificates of servers expire, by LuaSec, all asked at once. What is
-- written for LuaSec stays as it is; the bridge has its connections wait without holding up others.
--
--     curio examples/luasec.lua [-CAFILE] HOST[:PORT]...

local curio = require "curio"
local ssl = require("curio.interop.luasec").install()
local socket = require "socket"

local params = { mode = "client", protocol = "any", verify = "none", options = "all" }

local function connect(host, port)
  local sock = assert(socket.tcp())
  sock:settimeout(10)
  assert(sock:connect(host, port))
  local conn <const> = assert(ssl.wrap(sock, params))
  conn:settimeout(10)
  conn:sni(host)
  assert(conn:dohandshake())
  return conn
end

local function check(target)
  local host, port = target:match "^(.-):(%d+)$"
  local conn <close> = connect(host or target, port or 443)
  local cert = conn:getpeercertificate()
  return ("%s, %s, until %s"):format(conn:info "protocol", cert:subject()[1].value,
    cert:notafter())
end

local function tell(target)
  local done, text = curio.pcall(check, target)
  print(target, done and text or "failed: " .. tostring(text):gsub("^[^:]*:%d+: ", ""))
end

local targets = {}
for _, word in ipairs(arg) do
  if word:sub(1, 1) == "-" then
    params.verify, params.cafile = "peer", word:sub(2)
  else
    targets[#targets + 1] = word
  end
end

curio.run(function()
  local group <close> = curio.TaskGroup { limit = 50 }
  for _, target in ipairs(targets) do
    group:spawn(tell, target)
  end
end)
