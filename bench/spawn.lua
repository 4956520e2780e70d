-- Starts /bin/true and waits for it, so many times, so many at a time, in a process of the given
-- size; prints what bench/spawn.c prints, and what is left behind. Or with "cat": passes so many
-- megabytes through cat, both ways at once; prints MB/s, and by how much this process grew.
--
--     curio bench/spawn.lua COUNT WIDTH PROGRAM [MEGABYTES]
--     curio bench/spawn.lua cat MEGABYTES [whole]

local curio = require "curio"
local subprocess = require "curio.subprocess"

local MB = 1024 * 1024

local function status(name)
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read("a"):match(name .. ":%s*(%d+)"))
end

local function descriptors()
  local pipe = io.popen "ls /proc/$PPID/fd | wc -l"
  local n = pipe:read "n"
  pipe:close()
  return n
end

local function zombies()
  local pipe = io.popen "ps -o stat= --ppid $PPID | grep -c Z"
  local n = pipe:read "n"
  pipe:close()
  return n
end

local function spawn_all(count, width, program)
  local left = count
  local group <close> = curio.TaskGroup()
  for _ = 1, width do
    group:spawn(function()
      while left > 0 do
        left = left - 1
        local process = assert(subprocess.Popen { program })
        assert(process:wait() == 0)
      end
    end)
  end
end

local function rate(count, width, program, megabytes)
  local ballast = {}
  for i = 1, megabytes // 16 do
    ballast[i] = ("x"):rep(16 * MB - 64 - i)
  end
  local before = descriptors()
  local began = curio.clock()
  spawn_all(count, width, program)
  local seconds = curio.clock() - began
  print(("rate=%.1f zombies=%d descriptors=%d resident=%d"):format(count / seconds, zombies(),
    descriptors() - before, status "VmRSS" // 1024))
  return ballast
end

local function pieces(megabytes)
  local piece, left = ("x"):rep(65536), megabytes * 16
  return function()
    left = left - 1
    return left >= 0 and piece or nil
  end
end

local function cat(megabytes, whole)
  local input = whole and ("x"):rep(megabytes * MB) or pieces(megabytes)
  local process = assert(subprocess.Popen { "cat", stdin = subprocess.PIPE,
    stdout = subprocess.PIPE })
  local before, got = status "VmHWM", 0
  local began = curio.clock()
  local out = process:communicate(input, not whole and { stdout = function(chunk)
    got = got + #chunk
  end } or nil)
  local seconds = curio.clock() - began
  assert((out and #out or got) == megabytes * MB)
  print(("rate=%.1f grown=%.1f"):format(megabytes / seconds, (status "VmHWM" - before) / 1024))
end

curio.run(function()
  if arg[1] == "cat" then
    cat(tonumber(arg[2]), arg[3] == "whole")
  else
    rate(tonumber(arg[1]), tonumber(arg[2]), arg[3], tonumber(arg[4] or 0))
  end
end)
