-- A WebSocket server that echoes what it is told.
--
--     curio examples/ws_server.lua [PORT]      then, in a browser's console:
--     ws = new WebSocket("ws://localhost:25000"); ws.onmessage = e => console.log(e.data)
--     ws.send("hello")

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path -- for its neighbours

local curio = require "curio"
local websocket = require "websocket"

local HANDSHAKE = 10 -- seconds

local function handle(client)
  local stream = client:as_stream()
  if curio.ignore_after(HANDSHAKE, websocket.accept, stream) then
    for data, kind in websocket.receive, stream do
      assert(websocket.send(stream, data, kind))
    end
  end
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), handle, { ready = function(addr)
  io.stdout:write("Server listening at ", tostring(addr), "\n"):flush()
end })
