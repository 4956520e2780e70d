-- Files: Lua's io and curio.aopen beside each other, on a file that the system has in memory; and
-- what a job for the pool costs. Rates are by CPU time, of all threads; medians of five turns.
--
--     build/bin/curio bench/files.lua

local curio = require "curio"
local report = dofile((arg[0]:match "^(.*)/" or ".") .. "/report.lua")

local LINES, TURNS, JOBS = 500000, 5, 10000
local path = os.tmpname()

local works = {
  { "lines of 40 bytes", "lines/s", LINES, "r", function(file)
    local n = 0
    for _ in file:lines() do
      n = n + 1
    end
    assert(n == LINES)
  end },
  { "read \"l\"", "lines/s", LINES, "r", function(file)
    while file:read "l" do end
  end },
  { "write of a string, a number, a newline", "writes/s", LINES, "w", function(file)
    for i = 1, LINES do
      file:write("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", i % 10, "\n")
    end
  end },
  { "write, nothing buffered", "writes/s", JOBS, "w", function(file)
    file:setvbuf "no"
    for _ = 1, JOBS do
      file:write "x"
    end
  end },
}

local function rate(open, work)
  local file = assert(open(path, work[4]))
  local start = os.clock()
  work[5](file)
  local seconds = os.clock() - start
  file:close()
  return work[3] / seconds
end

local function fill()
  local file <close> = assert(io.open(path, "w"))
  file:write((("x"):rep(39) .. "\n"):rep(LINES))
end

curio.run(function()
  local rows = {}
  for _, work in ipairs(works) do
    local theirs, ours = {}, {}
    for turn = 1, TURNS do
      fill()
      theirs[turn] = { rate = rate(io.open, work) }
      fill()
      ours[turn] = { rate = rate(curio.aopen, work) }
    end
    rows[#rows + 1] = { work[1], work[2], report.count(report.median_of(theirs, "rate")),
      report.count(report.median_of(ours, "rate")),
      ("%.2f"):format(report.median_ratio(ours, theirs, "rate")) }
  end
  report.table("Files, by CPU time", { "", "", "io", "curio", "ratio" }, rows)
end)
os.remove(path)
