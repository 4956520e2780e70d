-- tail -f: prints the last lines of files, then what is appended to any of them; one that becomes
-- shorter is printed from its start again.
--
--     curio examples/tail.lua [-LINES] FILE ...

local curio = require "curio"

local INTERVAL, BLOCK = 0.1, 4096 -- seconds between two looks; bytes

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

local last -- the file that was printed last

local function show(path, text)
  io.write(#arg > 1 and path ~= last and "==> " .. path .. " <==\n" or "", text):flush()
  last = path
end

local function follow(path, n)
  local file <close> = assert(curio.aopen(path))
  local at = assert(file:seek("set", last_lines(file, n)))
  while true do
    if assert(file:seek "end") < at then
      io.stderr:write(path, " has become shorter\n")
      at = 0
    end
    assert(file:seek("set", at))
    local text = assert(file:readall())
    if text ~= "" then
      show(path, text)
    end
    at = at + #text
    curio.started() -- the next file's turn
    curio.sleep(INTERVAL)
  end
end

curio.run(function(n)
  local group <close> = curio.TaskGroup()
  for _, path in ipairs(arg) do group:start(follow, path, n or 10) end
end, (arg[1] or ""):find "^%-[1-9]%d*$" and -table.remove(arg, 1))
