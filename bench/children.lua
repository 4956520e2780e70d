-- children.lua: the section `process` of run.lua. What starting and reaping a child costs, against
-- a C loop of posix_spawn and waitpid in the same run, also for a large parent (2 GB resident; in a
-- quick run 256 MB); and what passes through a child both ways at once.

local process = require "process"
local report = require "report"

local WIDTH = 16
local PROGRAM = "/bin/true"

-- The figures that a command prints, as a table.
local function figures(command)
  local text, ok = process.capture(command .. " 2>&1")
  if not ok then
    error(("%s failed: %s"):format(command, text), 0)
  end
  local found = {}
  for key, value in text:gmatch "(%w+)=(%S+)" do
    found[key] = tonumber(value)
  end
  return found
end

-- The first command is the baseline; one without `ours` is a peer, if there is one.
local function spawn_rows(rows, commands, rounds)
  local results = {}
  for round = 1, rounds do
    for i, command in ipairs(commands) do
      results[i] = results[i] or {}
      results[i][round] = figures(command[2])
    end
  end
  for i, command in ipairs(commands) do
    local list, mine = results[i], command.ours
    local ratio = report.median_ratio(list, results[1], "rate")
    rows[#rows + 1] = {command[1], report.count(report.median_of(list, "rate")),
      ("%.2f"):format(ratio), mine and "≥ 0.80 " .. report.verdict(ratio >= 0.8) or "",
      mine and ("%d, %d"):format(report.median_of(list, "zombies"),
        report.median_of(list, "descriptors")) or ""}
  end
  return results
end

local function cat_rows(curio, here, rounds)
  local rows = {}
  for _, mode in ipairs {{"in pieces", ""}, {"as one string", " whole"}} do
    local list = {}
    for round = 1, rounds do
      list[round] = figures(("%s %s/spawn.lua cat 100%s"):format(curio, here, mode[2]))
    end
    rows[#rows + 1] = {mode[1], report.count(report.median_of(list, "rate")),
      ("%.1f"):format(report.median_of(list, "grown"))}
  end
  report.table("100 MB through cat, both ways at once", {"", "MB/s", "memory grown by MB"}, rows)
end

-- go: a program that does the same by Go's os/exec, or nil.
return function(build, curio, here, set, go)
  local count = set.starts * 10
  local rows = {}
  local own = ("%s %s/spawn.lua %d %d %s"):format(curio, here, count, WIDTH, PROGRAM)
  local args = ("%d %d %s"):format(count, WIDTH, PROGRAM)
  local results = spawn_rows(rows, {
    {"C", ("%s/bench/spawn %s"):format(build, args)},
    {"curio", own, ours = true},
    {("curio, %d MB resident"):format(set.resident), ("%s %d"):format(own, set.resident),
      ours = true},
    go and {"Go os/exec", go .. " " .. args} or nil,
  }, set.rounds)
  report.table(("%d times %s, %d at a time"):format(count, PROGRAM, WIDTH), {"", "children/s",
    "rate to C", "target", "zombies, descriptors left"}, rows)
  if go then
    local ratio = report.median_ratio(results[2], results[4], "rate")
    print(("curio to Go's os/exec: %.2f (target ≥ 1.00: %s)"):format(ratio,
      report.verdict(ratio >= 1)))
  end
  cat_rows(curio, here, set.rounds)
end
