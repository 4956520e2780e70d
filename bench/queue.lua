-- queue.lua: what queues, locks and events cost.
--
--     curio bench/queue.lua [--quick] [ROW...]        also under lua5.4, with the module installed
--
-- Rows: queue lock event; all of them by default. Rates are per second of CPU time of this process;
-- figures are medians. Bare coroutines are measured beside them, to know the machine.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local curio = require "curio"
local report = require "report"

local bare = assert(package.loadlib("", "luaopen_coroutine"),
  "this program does not export Lua's own coroutine library")()

local rounds, scale = 5, 1

-- ---- what is measured: each takes a count and does that many ----

local function bare_pairs(n)
  local co = bare.create(function()
    while true do
      bare.yield()
    end
  end)
  for _ = 1, n do
    bare.resume(co)
  end
end

-- n items from one task to another.
local function pass_items(n, queue)
  local producer = curio.spawn(function()
    for i = 1, n do
      queue:put(i)
    end
  end)
  local last
  for _ = 1, n do
    last = queue:get()
  end
  producer:join()
  assert(last == n)
end

local function acquire_release(n, lock)
  for _ = 1, n do
    lock:acquire()
    lock:release()
  end
end

-- Two tasks, each of which finds the lock taken every time.
local function hand_off(n, lock)
  local function worker()
    for _ = 1, n // 2 do
      lock:acquire()
      curio.schedule()
      lock:release()
    end
  end
  local one, two = curio.spawn(worker), curio.spawn(worker)
  one:join()
  two:join()
end

local function schedule_only(n)
  local function worker()
    for _ = 1, n // 2 do
      curio.schedule()
    end
  end
  local one, two = curio.spawn(worker), curio.spawn(worker)
  one:join()
  two:join()
end

-- ---- rounds ----

local function rate(measure, n, ...)
  n = n // scale
  collectgarbage()
  local start = os.clock()
  measure(n, ...)
  return n / (os.clock() - start)
end

-- make: a function that gives the argument of measure, or nil.
local function median_rate(measure, n, make, ...)
  local rates = {}
  for round = 0, rounds do -- round 0 warms up and does not count
    local value = rate(measure, n, make and make(...))
    rates[round] = value
  end
  return report.median(rates)
end

local FORMAT = "%-46s %14s  %s"

local function row(name, value, target)
  local verdict = target and ("≥ %.1f M  %s"):format(target / 1e6,
    report.verdict(value >= target)) or ""
  print((FORMAT:format(name, report.count(value) .. "/s", verdict):gsub("%s+$", "")))
  io.flush()
end

-- ---- rows ----

local rows = {}

function rows.queue()
  row("bare Lua: resume+yield", median_rate(bare_pairs, 2000000))
  for _, size in ipairs { 1, 100, 0 } do
    local name = size == 0 and "items through a Queue without a limit"
      or ("items through a Queue of size %d"):format(size)
    row(name, median_rate(pass_items, 1000000, curio.Queue, size),
      ({ [1] = 2.5e6, [100] = 6e6 })[size])
  end
  row("items through a PriorityQueue of size 100",
    median_rate(pass_items, 200000, curio.PriorityQueue, 100))
end

function rows.lock()
  row("Lock: acquire and release, free", median_rate(acquire_release, 1000000, curio.Lock))
  row("Semaphore: acquire and release, free",
    median_rate(acquire_release, 1000000, curio.Semaphore))
  row("two tasks that call curio.schedule", median_rate(schedule_only, 1000000))
  row("    and hand a Lock over each time", median_rate(hand_off, 1000000, curio.Lock))
end

-- n tasks wait, one sets the event: CPU seconds of set, and until all have run.
local function wake(n)
  local event, tasks = curio.Event(), {}
  for i = 1, n do
    tasks[i] = curio.spawn(event.wait, event)
  end
  curio.sleep(0)
  local start = os.clock()
  event:set()
  local set = os.clock() - start
  for i = 1, n do
    tasks[i]:join()
  end
  return set, os.clock() - start
end

function rows.event()
  local n, sets, alls = 10000, {}, {}
  for round = 1, rounds * 2 do
    sets[round], alls[round] = wake(n)
  end
  print((FORMAT:format(("Event: set wakes %s tasks in"):format(report.count(n)),
    ("%.2f ms"):format(report.median(sets) * 1000), "")))
  print((FORMAT:format("    and they have run and ended after",
    ("%.2f ms"):format(report.median(alls) * 1000), "")))
end

-- ---- the command line ----

local ORDER = { "queue", "lock", "event" }

local function main()
  local wanted = {}
  for _, word in ipairs(arg) do
    if word == "--quick" then
      rounds, scale = 3, 4
    elseif rows[word] then
      wanted[word] = true
    else
      io.stderr:write(("bench/queue.lua: unknown argument %q\n"):format(word),
        "usage: bench/queue.lua [--quick] [", table.concat(ORDER, "] ["), "]\n")
      os.exit(2)
    end
  end
  print((FORMAT:format("Queues, locks, events", "median", "target")))
  for _, name in ipairs(ORDER) do
    if not next(wanted) or wanted[name] then
      rows[name]()
    end
  end
end

curio.run(main)
