-- The answer to a WebSocket handshake's key (RFC 6455, 4.2.2), for websocket.lua: SHA-1 and base64
-- in plain Lua. For nothing that has to be safe.

local GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function rotate(x, n)
  return (x << n | x >> (32 - n)) & 0xffffffff
end

-- The 80 words of a block of 64 bytes.
local function schedule(text, at)
  local w = { (">I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4"):unpack(text, at) }
  for i = 17, 80 do
    w[i] = rotate(w[i - 3] ~ w[i - 8] ~ w[i - 14] ~ w[i - 16], 1)
  end
  return w
end

local function mix(i, b, c, d)
  if i <= 20 then
    return b & c | ~b & d, 0x5a827999
  elseif i <= 40 then
    return b ~ c ~ d, 0x6ed9eba1
  elseif i <= 60 then
    return b & c | b & d | c & d, 0x8f1bbcdc
  end
  return b ~ c ~ d, 0xca62c1d6
end

local function sha1(text)
  local h = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 }
  local padded = text .. "\x80" .. ("\0"):rep(-(#text + 9) % 64) .. (">I8"):pack(#text * 8)
  for at = 1, #padded, 64 do
    local w = schedule(padded, at)
    local a, b, c, d, e = table.unpack(h)
    for i = 1, 80 do
      local f, k = mix(i, b, c, d)
      a, b, c, d, e = rotate(a, 5) + f + e + k + w[i] & 0xffffffff, a, rotate(b, 30), c, d
    end
    for i, x in ipairs { a, b, c, d, e } do h[i] = h[i] + x & 0xffffffff end
  end
  return (">I4I4I4I4I4"):pack(table.unpack(h))
end

local function base64(data)
  local text = (data .. ("\0"):rep(-#data % 3)):gsub("...", function(three)
    local bits = (">I3"):unpack(three)
    return (("...."):gsub("()%.", function(i)
      local n = (bits >> (24 - 6 * i) & 63) + 1
      return LETTERS:sub(n, n)
    end))
  end)
  return text:sub(1, (#data * 8 + 5) // 6) .. ("="):rep(-#data % 3)
end

return function(key)
  return base64(sha1(key .. GUID))
end
