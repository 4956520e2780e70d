-- tail -f: prints the last lines of a file, then what is appended to it, also after it has been cut
-- or replaced by another one of its name, as log files are.
--
--     curio examples/tail.lua [-n LINES] FILE

local curio = require "curio"

local INTERVAL = 0.2 -- seconds between two looks
local BLOCK = 4096

-- The position of the last n lines.
local function last_lines(file, n)
  local size = assert(file:seek("end"))
  local at, missing = size, n
  while at > 0 do
    local from = math.max(0, at - BLOCK)
    assert(file:seek("set", from))
    local block = assert(file:read_exactly(at - from))
    for i = #block, 1, -1 do
      if block:byte(i) == 10 and from + i < size then -- the end of a line before the last
        missing = missing - 1
        if missing == 0 then
          return from + i
        end
      end
    end
    at = from
  end
  return 0
end

local function open(path, n)
  local file = assert(curio.aopen(path))
  assert(file:seek("set", n and last_lines(file, n) or 0))
  return file
end

-- Is there another file under that name, or has it become shorter?
local function has_begun_anew(file, path)
  local at = assert(file:seek())
  if assert(file:seek("end")) < at then
    return true
  end
  assert(file:seek("set", at))
  local other <close> = curio.aopen(path)
  return other and assert(other:seek("end")) < at
end

local lines, path = 10, arg[1]
if path == "-n" then
  lines, path = tonumber(arg[2]), arg[3]
end
local file = open(assert(path, "usage: tail.lua [-n LINES] FILE"), lines)
while true do
  local text = assert(file:readall())
  io.write(text):flush()
  if text == "" then
    curio.sleep(INTERVAL)
    if has_begun_anew(file, path) then
      file:close()
      file = open(path)
    end
  end
end
