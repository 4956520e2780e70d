-- tasks.lua: what tasks cost, beside what bare Lua coroutines cost in the same run.
--
--     curio bench/tasks.lua [--quick] [ROW...]        also under lua5.4, with the module installed
--
-- Rows: coroutines switch spawn batch sleepers timers expire memory million; all by default.
-- Rates are per second of CPU time of this process (os.clock), so that other programs on the
-- machine disturb less. Rows with a ratio take turns with the bare coroutines, round by round; the
-- ratio is the median of the rounds. What is about memory runs in a process of its own.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local curio = require "curio"
local report = require "report"

-- Lua's own coroutine library: curio puts versions of its own in place of resume, wrap and close.
local bare = assert(package.loadlib("", "luaopen_coroutine"),
  "this program does not export Lua's own coroutine library")()

local rounds, scale, quick = 5, 1, false

local function nothing() end

-- ---- what is measured: each takes a count and does that many ----

local function bare_pairs(n)
  local resume, yield = bare.resume, bare.yield
  local co = bare.create(function()
    while true do
      yield()
    end
  end)
  for _ = 1, n do
    resume(co)
  end
end

-- Coroutines used anew, as Lua programs with many short ones do: one that has finished its function
-- goes to the pool and waits for the next. `create` hands the function over, `resume` starts it.
local pool = {}

local function recycled_create(fn)
  local co = pool[#pool]
  if co then
    pool[#pool] = nil
    bare.resume(co, fn)
    return co
  end
  local yield = bare.yield
  co = bare.create(function(...)
    fn(...)
    while true do
      fn = nil
      pool[#pool + 1] = co
      fn = yield()
      fn(yield())
    end
  end)
  return co
end

local function bare_recycled(n)
  local create, resume = recycled_create, bare.resume
  for _ = 1, n do
    resume(create(nothing))
  end
end

-- The least that running a function in a coroutine can cost: one that waits for functions.
local function bare_worker(n)
  local resume, yield = bare.resume, bare.yield
  local co = bare.create(function(fn)
    while true do
      fn = yield(fn())
    end
  end)
  for _ = 1, n do
    resume(co, nothing)
  end
end

-- Two tasks in turn, n switches between them.
local function ping_pong(n, switch, ...)
  local function player(turns, ...)
    for _ = 1, turns do
      switch(...)
    end
  end
  local one = curio.spawn(player, n // 2, ...)
  local two = curio.spawn(player, n // 2, ...)
  one:join()
  two:join()
end

local function ping_pong_schedule(n)
  ping_pong(n, curio.schedule)
end

local function ping_pong_sleep(n)
  ping_pong(n, curio.sleep, 0)
end

local function spawn_join(n)
  local spawn = curio.spawn
  for _ = 1, n do
    spawn(nothing):join()
  end
end

local function spawn_batches(n)
  local spawn, tasks = curio.spawn, {}
  for _ = 1, n // 1000 do
    for i = 1, 1000 do
      tasks[i] = spawn(nothing)
    end
    for i = 1, 1000 do
      tasks[i]:join()
    end
  end
end

-- ---- rounds ----

local function rate(measure, n)
  n = n // scale
  collectgarbage()
  local start = os.clock()
  measure(n)
  return n / (os.clock() - start)
end

-- Runs the measurements {field = {fn, n}} in turn, round by round: a list of {field = rate}.
local function take_turns(order, measures)
  local list = {}
  for round = 0, rounds do -- round 0 warms up and does not count
    list[round] = {}
    for _, field in ipairs(order) do
      local measure, n = table.unpack(measures[field])
      list[round][field] = rate(measure, n)
    end
  end
  return list
end

local function median_ratio(list, field, beside)
  return report.median_of(list, function(item)
    return item[field] / item[beside]
  end)
end

local FORMAT = "%-44s %14s  %6s  %s"

local function pad(text, width)
  return text .. (" "):rep(width - utf8.len(text))
end

-- Prints a row at once: some take long.
local function row(name, figure, ratio, target, met)
  local verdict = met ~= nil and report.verdict(met) or ""
  print((FORMAT:format(pad(name, 44), figure, ratio and ("%.2f"):format(ratio) or "",
    pad(target or "", 9) .. verdict):gsub("%s+$", "")))
  io.flush()
end

local function per_second(list, field)
  return report.count(report.median_of(list, field)) .. "/s"
end

-- ---- rows ----

local rows = {}

function rows.coroutines()
  local list = take_turns({"pairs", "recycled", "worker"}, {
    pairs = {bare_pairs, 2000000}, recycled = {bare_recycled, 1000000},
    worker = {bare_worker, 1000000}})
  row("bare Lua: resume+yield", per_second(list, "pairs"))
  row("bare Lua: create+resume, recycled", per_second(list, "recycled"))
  row("bare Lua: a function run by a waiting one", per_second(list, "worker"))
end

function rows.switch()
  local list = take_turns({"pairs", "schedule", "sleep"}, {pairs = {bare_pairs, 2000000},
    schedule = {ping_pong_schedule, 2000000}, sleep = {ping_pong_sleep, 2000000}})
  for _, field in ipairs {"schedule", "sleep"} do
    local ratio = median_ratio(list, field, "pairs")
    row(("switch, curio.%s, to resume+yield"):format(field == "sleep" and "sleep(0)" or field),
      per_second(list, field), ratio, "≥ 0.60", ratio >= 0.6)
  end
end

function rows.spawn()
  local list = take_turns({"recycled", "worker", "spawn"}, {recycled = {bare_recycled, 500000},
    worker = {bare_worker, 500000}, spawn = {spawn_join, 300000}})
  local ratio = median_ratio(list, "spawn", "recycled")
  row("spawn+join, to create+resume, recycled", per_second(list, "spawn"), ratio, "≥ 0.50",
    ratio >= 0.5)
  row("spawn+join, to a waiting coroutine", "", median_ratio(list, "spawn", "worker"))
end

function rows.batch()
  local list = take_turns({"batch"}, {batch = {spawn_batches, 500000}})
  local value = report.median_of(list, "batch")
  row("spawn+join, 1,000 at a time", per_second(list, "batch"), nil, "≥ 2 M/s", value >= 2e6)
end

-- A list of n places, so that filling it later takes no memory.
local function places(n)
  local list = {}
  for i = 1, n do
    list[i] = false
  end
  return list
end

local function spawn_sleepers(tasks, ...)
  for i = 1, #tasks do
    tasks[i] = curio.spawn(...)
  end
  curio.sleep(0)
end

local function join_all(tasks)
  for i = 1, #tasks do
    tasks[i]:join()
  end
end

local function cancel_all(tasks)
  for i = 1, #tasks do
    tasks[i]:cancel()
    tasks[i] = false
  end
end

function rows.sleepers()
  local sleepers, ratios = places(100000 // scale), {}
  for round = 1, rounds do
    local alone = rate(ping_pong_schedule, 1000000)
    spawn_sleepers(sleepers, curio.sleep, 3600)
    ratios[round] = rate(ping_pong_schedule, 1000000) / alone
    cancel_all(sleepers)
  end
  local ratio = report.median(ratios)
  row(("switch beside %s sleepers, to without"):format(report.count(#sleepers)), "", ratio,
    "≥ 0.95", ratio >= 0.95)
end

-- CPU seconds of n tasks that sleep for 0 to 1 s, evenly spread and in random order.
local function sleep_all(n)
  local delays, tasks = {}, places(n)
  for i = 1, n do
    local j = math.random(i)
    delays[i] = delays[j]
    delays[j] = i / n
  end
  collectgarbage()
  local function nap(seconds)
    curio.sleep(seconds)
  end
  local start = os.clock()
  for i = 1, n do
    tasks[i] = curio.spawn(nap, delays[i])
  end
  join_all(tasks)
  return os.clock() - start
end

function rows.timers()
  local n, list = 100000 // scale, {}
  for round = 1, rounds do
    list[round] = sleep_all(n)
  end
  local cpu = report.median(list)
  local target = 0.6 / scale
  row(("%s tasks sleep 0 to 1 s each"):format(report.count(n)), ("%.3f CPU s"):format(cpu), nil,
    ("≤ %g s"):format(target), cpu <= target)
end

-- As many errors as tasks: each deadline raises one, which the kernel keeps while it is in force.
function rows.expire()
  local n, list = 100000 // scale, {}
  for round = 1, rounds do
    local tasks = places(n)
    collectgarbage()
    local start = os.clock()
    spawn_sleepers(tasks, curio.ignore_after, 0.001, curio.sleep, 3600)
    join_all(tasks)
    list[round] = os.clock() - start
  end
  row(("%s tasks run out of time"):format(report.count(n)),
    ("%.3f CPU s"):format(report.median(list)))
end

-- ---- rows about memory: each figure comes from a process of its own ----

-- VmRSS, VmHWM: bytes.
local function memory_of_process(field)
  local file = assert(io.open("/proc/self/status"))
  local text = file:read("a")
  file:close()
  return tonumber(text:match(field .. ":%s*(%d+)")) * 1024
end

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

local alone = {} -- what such a process does; it prints key=value

local function measure_sleeping(body, ...)
  local tasks = places(100000)
  curio.spawn(body, 0):join()
  collectgarbage()
  collectgarbage()
  local rss, lua = resident(), collectgarbage("count")
  spawn_sleepers(tasks, body, ...)
  collectgarbage()
  collectgarbage()
  print(("rss=%.1f lua=%.1f"):format((resident() - rss) / #tasks,
    (collectgarbage("count") - lua) * 1024 / #tasks))
  os.exit(0) -- at once: ending the tasks is not what is measured
end

function alone.sleep()
  measure_sleeping(curio.sleep, 3600)
end

alone["function"] = function()
  measure_sleeping(function(seconds)
    curio.sleep(seconds)
    return seconds
  end, 3600)
end

-- A million tasks asleep at once. They sleep for `nap` seconds, in which all must have started.
function alone.million()
  local n, nap = 1000000, 15
  local asleep, most, finished = 0, 0, 0
  local function sleeper()
    asleep = asleep + 1
    most = math.max(most, asleep)
    curio.sleep(nap)
    asleep = asleep - 1
    finished = finished + 1
  end
  local cpu, begin = os.clock(), curio.clock()
  for _ = 1, n do
    curio.spawn(sleeper)
  end
  curio.sleep(0)
  local started, start_cpu = curio.clock() - begin, os.clock() - cpu
  repeat
    curio.sleep(0.05)
  until finished == n or curio.clock() - begin > 120
  print(("start=%.3f end=%.3f cpu_start=%.3f cpu=%.3f most=%d finished=%d rss=%d"):format(started,
    curio.clock() - begin - nap, start_cpu, os.clock() - cpu, most, finished,
    memory_of_process("VmHWM")))
end

-- Runs this script anew for one of these: its figures as a table.
local function in_process(name)
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  local pipe = assert(io.popen(("%s %s --alone %s"):format(arg[first], arg[0], name)))
  local text = pipe:read("a")
  assert(pipe:close(), "the process for " .. name .. " failed")
  local figures = {}
  for key, value in text:gmatch("(%w+_?%w*)=(%S+)") do
    figures[key] = tonumber(value)
  end
  return figures
end

function rows.memory()
  for _, body in ipairs {"sleep", "function"} do
    local f = in_process(body)
    row(("a sleeping task, body: %s"):format(body == "sleep" and "curio.sleep" or "a Lua function"),
      report.count(f.rss) .. " bytes", nil, "≤ 1,300", f.rss <= 1300)
    row("    of it, as Lua counts", report.count(f.lua) .. " bytes")
  end
end

function rows.million()
  if quick then
    print("1,000,000 sleeping tasks: left out of a quick run")
    return
  end
  local f = in_process("million")
  row("1,000,000 tasks: asleep at once", report.count(f.most), nil, "all", f.most == 1000000)
  row("    finished", report.count(f.finished), nil, "all", f.finished == 1000000)
  row("    all started after", ("%.2f s"):format(f.start))
  row("    all ended, after the last was due", ("%.2f s"):format(f["end"] - f.start))
  row("    CPU time in all", ("%.2f s"):format(f.cpu))
  row("    most memory", ("%.2f GB"):format(f.rss / 1e9))
end

-- ---- the command line ----

local ORDER = {"coroutines", "switch", "spawn", "batch", "sleepers", "timers", "expire", "memory",
  "million"}

local function usage(word)
  io.stderr:write(("bench/tasks.lua: unknown argument %q\n"):format(word),
    "usage: bench/tasks.lua [--quick] [", table.concat(ORDER, "] ["), "]\n")
  os.exit(2)
end

local function main()
  local wanted = {}
  for _, word in ipairs(arg) do
    if word == "--quick" then
      quick, rounds, scale = true, 3, 4
    elseif rows[word] then
      wanted[word] = true
    else
      usage(word)
    end
  end
  print((FORMAT:format(pad("Tasks", 44), "median", "ratio", "target")))
  for _, name in ipairs(ORDER) do
    if not next(wanted) or wanted[name] then
      rows[name]()
    end
  end
end

if arg[1] == "--alone" then
  curio.run(alone[arg[2]])
else
  curio.run(main)
end
