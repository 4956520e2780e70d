-- LuaSocket's module on curio's sockets: both kinds of objects, select, exceptions.
local curio = require "curio"
local socket = require("curio.interop.luasocket").install()

-- A task that dies of a failure may leave the others waiting.
local _ <close> = curio.timeout_after(2)

local server <close> = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local task = curio.spawn(function()
  local client <close> = assert(server:accept())
  assert(client:send("hello\r\n" .. ("x"):rep(5000)))
end)
do
  local client <close> = assert(socket.connect("127.0.0.1", port))
  client:settimeout(1)
  assert(socket.select({ client }, { client }, 1)[client] or true)
  assert(client:receive() == "hello")
  assert(#client:receive "*a" == 5000)
  client:settimeout(0)
  assert(select(2, client:receive()) == "closed")
end
task:join()

local one <close> = assert(socket.udp4())
local other <close> = assert(socket.udp4())
assert(one:setsockname("127.0.0.1", 0))
local ip, to = one:getsockname()
assert(other:sendto("hi", ip, to))
assert(one:receivefrom() == "hi")

local unix = require "socket.unix"
local path = os.tmpname()
os.remove(path)
do
  local listener <close> = assert(unix.stream())
  assert(listener:bind(path) and listener:listen())
  local client <close> = assert(unix())
  assert(client:connect(path) and client:send "over there\n")
  local accepted <close> = assert(listener:accept())
  assert(accepted:receive() == "over there")
end
os.remove(path)

local try = socket.newtry(function() end)
assert(socket.protect(function()
  try(nil, "why")
end)() == nil)
print "ok"
