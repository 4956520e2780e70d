-- Channels: values and bytes both ways, a shared key and a wrong one, a peer that means no good.
local channel = require "curio.channel"
local curio = require "curio"
local socket = require "curio.socket"

local KEY = "a key"

local function pair()
  local a, b = socket.socketpair()
  a, b = assert(a):as_stream(), b:as_stream()
  return channel.Connection(a, a), channel.Connection(b, b, { max_message = 1000 }), a
end

-- Both ends prove a key to each other; what each was told.
local function prove(key, other)
  local near, far = pair()
  local a <close> = near
  local b <close> = far
  local ok, err, ok2, err2
  curio.group(function(g)
    g:spawn(function()
      ok2, err2 = a:authenticate_client(other)
    end)
    ok, err = b:authenticate_server(key)
  end)
  assert(ok or err, "no reason")
  assert(ok2 or err2, "no reason")
  return ok, ok2, err
end

local ok, ok2, err = prove(KEY, KEY)
assert(ok and ok2, err)
ok, ok2, err = prove(KEY, "wrong")
assert(not ok and not ok2 and curio.is(err, curio.AuthenticationError), err)

do
  local near, far = pair()
  local a <close> = near
  local b <close> = far
  assert(a:send { 1, 2.5, "three", { four = true } })
  assert(a:send_bytes("bytes", 2, 3))
  local value = assert(b:recv())
  assert(value[3] == "three" and value[4].four)
  assert(b:recv_bytes() == "yt")
  assert(not pcall(a.send, a, print))
  local waiter = curio.spawn(b.recv, b)
  curio.sleep(0)
  waiter:cancel()
  assert(a:send_bytes(("x"):rep(1001)))
  local none, too_long = b:recv_bytes()
  assert(none == nil and too_long.code == "EMSGSIZE", too_long)
end

do
  local _, far, stream = pair()
  local b <close> = far
  assert(stream:write "\0\0\0\1\xc1")
  local none, bad = b:recv()
  assert(none == nil and bad.code == "EBADMSG", bad)
  stream:close()
end

local ch <close> = channel.Channel { "127.0.0.1", 0 }
assert(ch:bind())
curio.group(function(g)
  g:spawn(function()
    local c <close> = assert(channel.Channel(ch.address):connect { authkey = KEY })
    assert(c:recv() == "hello")
  end)
  local c <close> = assert(ch:accept { authkey = KEY })
  assert(c:send "hello")
  assert(c:recv() == nil)
end)
print "ok"
