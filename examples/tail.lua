-- tail -f: prints the last lines of a file, then what is appended to it, from the start again if it
-- becomes shorter.
--
--     curio examples/tail.lua FILE [LINES]

local curio = require "curio"

local INTERVAL = 0.1 -- seconds between two looks
local BLOCK = 4096

-- The position where the last n lines begin.
local function last_lines(file, n)
  local size = assert(file:seek "end")
  local at = size
  while at > 0 do
    local from = math.max(0, at - BLOCK)
    assert(file:seek("set", from))
    local block = assert(file:read_exactly(at - from))
    for i = #block, 1, -1 do
      if block:byte(i) == 10 and from + i < size then -- not the last line's own end
        n = n - 1
        if n == 0 then
          return from + i
        end
      end
    end
    at = from
  end
  return 0
end

local function follow(path, n)
  local file <close> = assert(curio.aopen(path))
  assert(file:seek("set", last_lines(file, n)))
  while true do
    local text = assert(file:readall())
    io.write(text):flush()
    if text == "" then
      local at = assert(file:seek())
      if assert(file:seek "end") >= at then
        assert(file:seek("set", at))
      else
        io.stderr:write(path, " has become shorter\n")
        assert(file:seek "set")
      end
      curio.sleep(INTERVAL)
    end
  end
end

assert(arg[1], "which file?")
curio.run(follow, arg[1], tonumber(arg[2] or 10))
