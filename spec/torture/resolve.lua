-- Name resolution, by the pool's threads; and what it refuses.
local curio = require "curio"
local socket = require "curio.socket"

local found = assert(socket.getaddrinfo("127.0.0.1", 80, { type = socket.SOCK_STREAM }))
assert(found[1].addr.host == "127.0.0.1" and found[1].addr.port == 80)
assert(socket.gethostbyname "127.0.0.1" == "127.0.0.1")
local none, err = socket.getaddrinfo("256.256.256.256", 80, { flags = socket.AI_NUMERICHOST })
assert(none == nil and curio.is(err, curio.ResolveError), err)

local task = curio.spawn(socket.getaddrinfo, "localhost", 80)
curio.sleep(0)
task:cancel()
print "ok"
