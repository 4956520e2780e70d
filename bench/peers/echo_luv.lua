-- echo_luv.lua: the echo server of bench/ on luv (libuv for Lua), for comparison: callbacks, no
-- coroutines. Prints "listening HOST PORT".

local uv = require "luv"

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))
assert(server:listen(1024, function(err)
  assert(not err, err)
  local client = uv.new_tcp()
  server:accept(client)
  client:read_start(function(failure, data)
    if failure or not data then
      client:close()
    else
      client:write(data)
    end
  end)
end))

local addr = server:getsockname()
io.write("listening ", addr.ip, " ", addr.port, "\n")
io.flush()
uv.run()
