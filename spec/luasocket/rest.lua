-- Exceptions, sources and sinks, names: what LuaSocket and the bridge ought to do alike.

local socket = ...
local shown = require "spec.luasocket.show"
local show, try = shown.show, shown.try

local function pair()
  local s = assert(socket.bind("127.0.0.1", 0))
  local _, p = s:getsockname()
  local a = assert(socket.connect("127.0.0.1", p))
  local b = assert(s:accept())
  s:close()
  return a, b
end

-- exceptions
local log = {}
local t = socket.newtry(function() log[#log + 1] = "f" end)
try(socket.protect(function() return t(1, 2, 3) end))
try(socket.protect(function() return t(nil, "e", 3) end))
try(socket.protect(function() return t(false, nil, 3) end))
try(socket.protect(function() return t(nil, {1}) end))
try(socket.protect(function() return t() end))
show(#log)
try(socket.protect(function() error "plain" end))
try(socket.protect(function() error({}) end))
try(socket.protect(function() error(nil) end))
try(socket.protect(function() error(12) end))
try(socket.protect(function(...) return select("#", ...), ... end), 1, nil, 3)
try(socket.protect(function()
  return socket.protect(function() return t(nil, "inner") end)()
end))
show(type(select(2, pcall(t, nil, "caught"))))
try(socket.try, 1, 2)
try(socket.protect(function() return socket.try(nil, "why") end))
local co = coroutine.wrap(socket.protect(function()
  t(nil, "after " .. tostring(coroutine.yield(1)))
end))
try(co)
try(co, "y")

-- ltn12 and the like
local ltn12 = require "ltn12"
local a, b = pair()
a:send(("z"):rep(5000))
a:close()
local got = {}
try(ltn12.pump.all, socket.source("until-closed", b), (ltn12.sink.table(got)))
show(#table.concat(got))
a, b = pair()
a:send(("z"):rep(5000))
got = {}
try(ltn12.pump.all, socket.source("by-length", b, 4100), (ltn12.sink.table(got)))
show(#table.concat(got))
a:close()
got = {}
try(ltn12.pump.all, socket.source("by-length", b, 1000), (ltn12.sink.table(got)))
show(#table.concat(got))
a, b = pair()
try(ltn12.pump.all, ltn12.source.string("some text"), socket.sink("close-when-done", a))
show(b:receive("*a"))
show(a:getfd())
try(socket.sink, "x", a)
try(socket.source, "x", a)
try(socket.source, nil, a)
try(socket.skip, 1)
try(socket.skip, 0, 1, 2)
try(socket.skip, 1, 2, 3)
try(socket.skip)
try(socket.skip, "1", 2, 3)
try(socket.sleep, "0")
try(socket.sleep, {})
try(socket.sleep, -1)

-- dns
show((socket.dns.toip "127.0.0.1"))
try(socket.dns.toip)
try(socket.dns.toip, {})
try(socket.dns.getaddrinfo)
try(socket.dns.getaddrinfo, {})
try(socket.dns.getnameinfo, "127.0.0.1", "no such service")
try(socket.dns.getnameinfo, nil, "http")
