-- lines.lua: reading lines from streams, and what idle streams cost.
--
--     curio bench/lines.lua [--quick] [ROW...]        rows: lines idle; all of them by default
--
-- Lines of 40 bytes, newline included, come through a socket pair in blocks of 64 KiB that another
-- task of the same process writes; beside it io.lines reads the same data from a file that the
-- system has in memory. They take turns; rates are per second of CPU time, the writer's included.
-- Idle: streams over socket pairs, a task asleep in each.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local curio = require "curio"
local socket = require "curio.socket"
local report = require "report"

local quick, wanted = false, {}
for _, word in ipairs(arg) do
  if word == "--quick" then
    quick = true
  else
    wanted[word] = true
  end
end

local LINE = ("x"):rep(39) .. "\n"
local LINES = quick and 1000000 or 4000000
local ROUNDS = quick and 3 or 5

-- Four descriptors for each, as far as this process may have so many.
local LIMIT = io.open("/proc/self/limits"):read("a"):match "Max open files%s+(%d+)"
local STREAMS = math.min(5000, (tonumber(LIMIT) or 1024) // 4 - 50)

local function per_second(n, fn)
  collectgarbage()
  local begin = os.clock()
  fn()
  return n / (os.clock() - begin)
end

local function from_stream()
  local a, b = assert(socket.socketpair())
  local block = LINE:rep(65536 // #LINE)
  local per_block = #block // #LINE
  local blocks = LINES // per_block
  local writer = curio.spawn(function()
    for _ = 1, blocks do
      assert(a:sendall(block))
    end
    a:close()
  end)
  local n = 0
  local rate = per_second(blocks * per_block, function()
    for line in b:as_stream():lines() do
      n = n + #line
    end
  end)
  writer:join()
  b:close()
  assert(n == blocks * per_block * (#LINE - 1))
  return rate
end

local function from_file(path)
  local n = 0
  local rate = per_second(LINES, function()
    for line in io.lines(path) do
      n = n + #line
    end
  end)
  assert(n == LINES * (#LINE - 1))
  return rate
end

local function lines()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  for _ = 1, LINES // 1000 do
    file:write((LINE:rep(1000)))
  end
  file:close()
  local streams, files, ratios = {}, {}, {}
  for round = 1, ROUNDS do
    streams[round], files[round] = from_stream(), from_file(path)
    ratios[round] = streams[round] / files[round]
  end
  os.remove(path)
  local rate, ratio = report.median(streams), report.median(ratios)
  report.table("Lines of 40 bytes", {"", "lines/s", "to io.lines", "target"}, {
    {"io.lines of a file", report.count(report.median(files)), "", ""},
    {"stream:lines over a socket pair", report.count(rate), ("%.2f"):format(ratio),
      "≥ 1,500,000 or ≥ 0.50 " .. report.verdict(rate >= 1.5e6 or ratio >= 0.5)}})
end

local function resident()
  local text = io.open("/proc/self/status"):read "a"
  return tonumber(text:match "VmRSS:%s*(%d+)") * 1024
end

-- The other ends are sockets of this process too; they are taken off as measured without streams.
local function idle()
  local held = {}
  local function open(with_streams)
    collectgarbage()
    collectgarbage()
    local before = resident()
    for _ = 1, STREAMS do
      local a, b = assert(socket.socketpair())
      held[#held + 1] = { a, b }
      if with_streams then
        local stream = b:as_stream()
        curio.spawn { function()
          a:sendall "a line\n"
          stream:read()
          stream:read()
        end, daemon = true }
      end
    end
    curio.sleep(0.2)
    collectgarbage()
    return (resident() - before) / STREAMS
  end
  local plain = open(false)
  local streams = open(true)
  report.table(("%s idle streams, a task asleep in each"):format(report.count(STREAMS)),
    {"", "bytes for each", "target"}, {
      {"two sockets", report.count(plain), ""},
      {"two sockets, a stream, a task", report.count(streams), ""},
      {"a stream and a task", report.count(streams - plain),
        "≤ 2,000 " .. report.verdict(streams - plain <= 2000)}})
end

curio.run(function()
  if not next(wanted) or wanted.lines then
    lines()
  end
  if not next(wanted) or wanted.idle then
    idle()
  end
end)
