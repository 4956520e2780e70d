-- The messages of the domain name system (RFC 1035), for dig.lua.

local TYPES = { A = 1, NS = 2, CNAME = 5, PTR = 12, MX = 15, TXT = 16, AAAA = 28 }
local M = {}

function M.query(id, name, kind)
  local labels = name:gsub("([^.]+)%.?", function(label) return ("s1"):pack(label) end)
  return (">I2I2I2I2I2I2"):pack(id, 0x100, 1, 0, 0, 0) .. labels .. "\0"
    .. (">I2I2"):pack(TYPES[kind] or error("no type " .. kind, 0), 1)
end

-- The name at a position, and the position behind it. A pointer leads backwards, or is a trick.
local function read_name(text, at, limit)
  local name, n = "", ("B"):unpack(text, at)
  while n > 0 and n < 64 do
    name, at = name .. text:sub(at + 1, at + n) .. ".", at + n + 1
    n = ("B"):unpack(text, at)
  end
  if n == 0 then
    return name, at + 1
  end
  local target = ((">I2"):unpack(text, at) & 0x3fff) + 1
  assert(target < (limit or at), "a name without end")
  return name .. read_name(text, target, target), at + 2
end

-- What a record says, by type.
local function read_data(text, at, kind, length)
  if kind == TYPES.NS or kind == TYPES.CNAME or kind == TYPES.PTR then
    return (read_name(text, at))
  elseif kind == TYPES.MX then
    return ("%d %s"):format((">I2"):unpack(text, at), (read_name(text, at + 2)))
  end
  local data = text:sub(at, at + length - 1)
  if kind == TYPES.A then
    return ("%d.%d.%d.%d"):format(data:byte(1, -1))
  elseif kind == TYPES.AAAA then
    return ("%x:%x:%x:%x:%x:%x:%x:%x"):format((">I2I2I2I2I2I2I2I2"):unpack(data))
  end
  return ("%q"):format(kind == TYPES.TXT and ("s1"):unpack(data) or data)
end

-- An answer's records as lines, whether it was cut short, and its code (0: well, 3: no such name).
-- Raises for what does not answer that query.
function M.read(text, query)
  local id, flags, _, count = (">I2I2I2I2xxxx"):unpack(text)
  assert(id == (">I2"):unpack(query) and flags & 0x8000 ~= 0 and
    text:sub(13, #query) == query:sub(13), "no answer to the question")
  local lines, at = {}, #query + 1
  for i = 1, count do
    local name, kind, ttl, length
    name, at = read_name(text, at)
    kind, ttl, length, at = (">I2xxI4I2"):unpack(text, at)
    lines[i] = ("%s\t%d\t%s"):format(name, ttl, read_data(text, at, kind, length))
    at = at + length
  end
  return lines, flags & 0x200 ~= 0, flags & 15
end

return M
