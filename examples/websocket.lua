-- WebSockets (RFC 6455) for servers, as ws_server.lua uses them: the handshake, and messages, which
-- may come in parts, with pings, which are answered, in between.
--
--     if websocket.accept(stream) then
--       for data, kind in websocket.receive, stream do websocket.send(stream, data, kind) end
--     end

local frames = require "wsframes"
local key_answer = require "wskey"

local TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
local LONGEST = 1 << 20 -- bytes of a message

local M = { TEXT = TEXT, BINARY = BINARY, send = frames.write }

-- Reads the request of a handshake and answers it: does the peer speak WebSocket?
function M.accept(stream)
  local head = stream:read_until("\r\n\r\n", { max = 16384 }) or ""
  local headers = {}
  for name, value in head:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    headers[name:lower()] = value
  end
  local key = headers["sec-websocket-key"]
  if not key or headers["sec-websocket-version"] ~= "13" or not head:find "^GET " then
    stream:write("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
      "Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n")
    return false
  end
  stream:write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    "Sec-WebSocket-Accept: ", key_answer(key), "\r\n\r\n")
  return true
end

-- The next message and its kind; nothing when the peer has closed, or broken the rules.
function M.receive(stream)
  local message, of = "", 0
  while true do
    local data, kind, final = frames.read(stream, LONGEST - #message)
    if kind == PING then
      frames.write(stream, data, PONG)
    elseif kind ~= PONG then
      message, of = message .. (data or ""), of == 0 and kind or kind == 0 and of or 15
      local code = not data and kind or kind == CLOSE and 1000
        or (of == 0 or of > BINARY) and 1002
        or final and of == TEXT and not utf8.len(message) and 1007
      if code then
        frames.write(stream, (">I2"):pack(code), CLOSE)
        return nil
      elseif final then
        return message, of
      end
    end
  end
end

return M
