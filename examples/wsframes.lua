-- The frames of the WebSocket protocol (RFC 6455) as a server has them, for websocket.lua.

local CLOSE = 8

local M = {}

function M.write(stream, data, kind)
  local n = #data
  local length = n < 126 and ("B"):pack(n) or n < 65536 and (">BI2"):pack(126, n)
    or (">BI8"):pack(127, n)
  return stream:write(string.char(0x80 | kind), length, data)
end

local function exactly(stream, n)
  return n == 0 and "" or assert(stream:read_exactly(n))
end

local function unmask(data, key)
  return ((data .. ("\0"):rep(-#data % 4)):gsub("....", function(word)
    return ("<I4"):pack(("<I4"):unpack(word) ~ key)
  end)):sub(1, #data)
end

-- A frame of at most `room` bytes: its data, its kind (0: goes on with what has begun), and whether
-- its message ends here. Or nil and the code of what is wrong.
function M.read(stream, room)
  local head, n = (stream:read_exactly(2) or "\xf0\0"):byte(1, 2)
  local kind, final = head & 15, head & 128 ~= 0
  if head & 0x70 ~= 0 or n < 128 or kind >= CLOSE and (n > 253 or not final) then
    return nil, 1002 -- reserved bits, no mask, a control frame that is long or in parts
  end
  n = n & 127
  n = n == 126 and (">I2"):unpack(exactly(stream, 2)) or n == 127 and
    (">i8"):unpack(exactly(stream, 8)) or n
  if n < 0 or n > room then
    return nil, 1009
  end
  local key = ("<I4"):unpack(exactly(stream, 4))
  return unmask(exactly(stream, n), key), kind, final
end

return M
