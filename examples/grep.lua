-- Searches the files below a directory for a pattern, several at a time, in threads.
--
--     curio examples/grep.lua PATTERN [DIRECTORY]

local curio = require "curio"
local subprocess = require "curio.subprocess"

-- In a thread: plain code, which may block.
local function search(path, pattern)
  local found = {}
  local file <close> = assert(io.open(path))
  local number = 0
  for line in file:lines() do
    number = number + 1
    if line:find(pattern) then
      found[#found + 1] = ("%s:%d: %s"):format(path, number, line)
    end
  end
  return found
end

local function main(pattern, directory)
  local files = assert(subprocess.check_output { "find", directory, "-type", "f" })
  local group <close> = curio.TaskGroup { limit = 8 }
  local lines = {}
  for path in files:gmatch "[^\n]+" do
    group:spawn(function()
      local ok, found = curio.pcall(curio.run_in_thread, search, path, pattern)
      if not ok then
        io.stderr:write(tostring(found):match "^[^\n]*", "\n")
        return
      end
      table.move(found, 1, #found, #lines + 1, lines)
    end)
  end
  group:join()
  table.sort(lines)
  for _, line in ipairs(lines) do
    print(line)
  end
end

curio.run(main, assert(arg[1], "usage: grep.lua PATTERN [DIRECTORY]"), arg[2] or ".")
