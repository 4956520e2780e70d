-- run.lua: what `make bench` runs. Measures, and prints tables with the targets beside the figures.
--
--     lua5.4 bench/run.lua [--quick] [--peers|--no-peers] [--rounds N] [--seconds S] [SECTION...]
--
-- Sections: echo, syscalls, connect, idle, tls, copy, lines, trace, tasks, queue, values, threads,
-- process, startup; all of them by default. --quick: short runs, fewer of them, no peers; figures
-- of the order of magnitude. On a machine that others use, many short rounds say most. Run from the
-- project's directory after a build. Exit status 1 if a server echoed a wrong byte or lost a
-- connection, or a proxy changed one; a target that is missed only shows in the table.
--
-- Servers run on core 0 and the load on core 1, both kept awake. What is compared takes turns (C,
-- curio, C, curio, ...), so that what disturbs the machine disturbs them alike, and a ratio is the
-- median of the ratios of neighbours.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local peers = require "peers"
local process = require "process"
local report = require "report"

local SERVER_CORE, LOAD_CORE = 0, 1
local BUILD = os.getenv("BUILD") or "build" -- as `make BUILD=dir` has it
local CURIO = BUILD .. "/bin/curio"

local settings = {
  full = {seconds = 2, rounds = 5, warmup = 0.3, trace = {0.4, 1.2}, starts = 300, peers = true,
    bytes = 2 ^ 30 // 1 | 0, resident = 2048},
  quick = {seconds = 1, rounds = 3, warmup = 0.2, trace = {0.2, 0.6}, starts = 50, peers = false,
    bytes = 2 ^ 28 // 1 | 0, resident = 256},
}

local function usage(problem)
  io.stderr:write("bench/run.lua: ", problem, "\n",
    "usage: bench/run.lua [--quick] [--peers|--no-peers] [--rounds N] [--seconds S]\n",
    "       [echo] [syscalls] [connect] [idle] [tls] [copy] [lines] [trace] [tasks] [queue]\n",
    "       [values] [threads] [process] [startup]\n")
  os.exit(2)
end

peers.init(BUILD, here)

-- ---- servers ----

local function start_server(server, trace)
  local p = process.start(server.command, SERVER_CORE, trace)
  p.host, p.port = process.wait_line(p, "listening (%S+) (%d+)", 20)
  return p
end

local function load_command(p, options)
  return ("%s/bench/echo_load %s %s %s"):format(BUILD, p.host, p.port, options)
end

-- One run of the load generator: its figures as a table. What it finds wrong ends the benchmark.
local function run_load(p, options)
  local cpu = process.cpu_seconds(p)
  local text, ok = process.capture(process.pinned(LOAD_CORE, load_command(p, options)))
  if not ok then
    error(("%s failed under load (%s): %s"):format(p.command, options, text), 0)
  end
  local figures = {}
  for key, value in text:gmatch("(%w+)=(%S+)") do
    figures[key] = tonumber(value)
  end
  local used = process.cpu_seconds(p)
  figures.server_cpu = cpu and used and (used - cpu) / figures.total * 1e6 or 0
  return figures
end

-- Runs the same load on all servers in turn, `rounds` times or fewer: a list of figures per server.
local function take_turns(servers, set, options)
  local started, results = {}, {}
  for i, server in ipairs(servers) do
    started[i], results[i] = start_server(server), {}
  end
  for round = 1, set.rounds do
    for i, p in ipairs(started) do
      if round <= (servers[i].rounds or round) then
        results[i][round] = run_load(p, options)
      end
    end
  end
  for _, p in ipairs(started) do
    process.stop(p)
  end
  return results
end

local function ratio_cells(name, ratio, target)
  local cell = ("%.2f"):format(ratio)
  if name ~= "curio" then
    return cell, ""
  end
  return cell, ("≥ %.2f %s"):format(target, report.verdict(ratio >= target))
end

-- A row per server; the first server is the baseline of the ratios.
local function load_rows(rows, servers, results, first_cells)
  for i, server in ipairs(servers) do
    local list = results[i]
    local ratio, target =
      ratio_cells(server.name, report.median_ratio(list, results[1], "rate"), 0.95)
    rows[#rows + 1] = {server.name, first_cells,
      report.count(report.median_of(list, "rate")),
      report.count(report.median_of(list, "p50")), report.count(report.median_of(list, "p99")),
      ratio, target,
      ("%.2f"):format(report.median_of(list, "server_cpu")),
      ("%.2f"):format(report.median_ratio(list, results[1], "server_cpu"))}
  end
end

-- ---- sections ----

local sections = {}

local function echo_table(servers, set, title, more)
  local rows = {}
  for _, connections in ipairs {1, 64, 1000} do
    local options = ("--connections %d --size 1024 --seconds %g --warmup %g%s"):format(
      connections, set.seconds, set.warmup, more)
    load_rows(rows, servers, take_turns(servers, set, options), tostring(connections))
  end
  report.table(title, {"", "connections", "messages/s", "p50 µs",
    "p99 µs", "rate to C", "target", "server µs/message", "to C"}, rows)
end

function sections.echo(servers, set)
  echo_table(servers, set, "Echo of 1 KiB, each byte checked", "")
  local own = {servers[1], servers[2], servers[3]} -- C, curio, bare Lua
  echo_table(own, set, "The same, by a load that never sleeps", " --spin")
end

function sections.connect(servers, set)
  local rows = {}
  local options = ("--connect-rate --connections 64 --size 1024 --seconds %g --warmup %g"):format(
    set.seconds, set.warmup)
  load_rows(rows, servers, take_turns(servers, set, options), "64")
  report.table("Connect, one echo, close", {"", "at a time", "connections/s", "p50 µs", "p99 µs",
    "rate to C", "target", "server µs/connection", "to C"}, rows)
end

local KIND = {
  recvfrom = "recv", recvmsg = "recv", read = "recv", readv = "recv",
  sendto = "send", sendmsg = "send", write = "send", writev = "send",
  epoll_wait = "wait", epoll_pwait = "wait", epoll_pwait2 = "wait", poll = "wait", ppoll = "wait",
  epoll_ctl = "ctl",
}

-- Calls by kind that a server made over its life, and the messages that it echoed.
local function traced_life(server, connections, seconds)
  local trace = os.tmpname()
  local p = start_server(server, trace)
  local figures = run_load(p, ("--connections %d --size 1024 --seconds %g --warmup 0"):format(
    connections, seconds))
  process.sleep(0.5) -- the server sees that the connections have ended
  process.stop(p)
  local calls = {recv = 0, send = 0, wait = 0, ctl = 0, other = 0, messages = figures.total}
  for line in io.lines(trace) do
    local count, name = line:match("^%s*[%d.]+%s+[%d.]+%s+%d+%s+(%d+)[%s%d]*%s([%l_][%w_]*)$")
    if name and name ~= "total" then
      local kind = KIND[name] or "other"
      calls[kind] = calls[kind] + tonumber(count)
    end
  end
  os.remove(trace)
  return calls
end

-- What a message costs once all is set up: the difference of a long life and a short one. Start-up
-- and connecting are the same in both and fall out.
local function calls_per_message(server, connections, set)
  local short = traced_life(server, connections, set.trace[1])
  local long = traced_life(server, connections, set.trace[2])
  local per = {}
  for kind, count in pairs(long) do
    per[kind] = (count - short[kind]) / (long.messages - short.messages)
  end
  return per
end

local function syscalls_row(server, connections, set)
  local per = calls_per_message(server, connections, set)
  -- With one connection there is a wait to each message, whoever serves it.
  local met = per.recv < 1.01 and per.send < 1.01 and per.ctl < 0.001 and
    per.wait < (connections == 1 and 1.01 or 1)
  return {server.name, tostring(connections), ("%.2f"):format(per.recv),
    ("%.2f"):format(per.send), ("%.2f"):format(per.wait), ("%.3f"):format(per.ctl),
    ("%.2f"):format(math.max(per.other, 0)),
    server.name == "curio" and "1, 1, < 1, 0 " .. report.verdict(met) or ""}
end

function sections.syscalls(servers, set)
  if not process.exists("strace") then
    print("\nSystem calls per message: strace is not installed; left out")
    return
  end
  local rows = {}
  for _, connections in ipairs {1, 64, 1000} do
    for _, server in ipairs(servers) do
      if connections == 64 or not server.rounds then
        rows[#rows + 1] = syscalls_row(server, connections, set)
      end
    end
  end
  report.table("System calls per message, as strace counts them", {"", "connections", "recv",
    "send", "epoll_wait", "epoll_ctl", "other", "target"}, rows)
end

-- Opens idle connections to a server: the process that holds them.
local function hold_idle(p, connections)
  local holder = process.start(
    load_command(p, ("--idle --connections %d --size 64 --seconds 3600"):format(connections)),
    LOAD_CORE)
  process.wait_line(holder, "opened connections=" .. connections, 60)
  return holder
end

-- Two servers of a kind, one with idle connections: bytes for each of them, and what they cost.
local function measure_idle(server, connections, set)
  local options = ("--connections 64 --size 1024 --seconds %g --warmup %g"):format(
    set.seconds / 2, set.warmup)
  local free, burdened = start_server(server), start_server(server)
  run_load(burdened, options)
  local before = process.resident(burdened)
  local holder = hold_idle(burdened, connections)
  local bytes = (process.resident(burdened) - before) / connections
  local alone, beside = {}, {}
  for round = 1, set.rounds do
    alone[round], beside[round] = run_load(free, options), run_load(burdened, options)
  end
  for _, p in ipairs {holder, free, burdened} do
    process.stop(p)
  end
  return bytes, report.median_ratio(beside, alone, "rate"),
    report.median_ratio(beside, alone, "server_cpu")
end

function sections.idle(servers, set)
  local limit = tonumber((process.capture("ulimit -Hn"))) or math.huge
  local connections = math.min(10000, limit - 200)
  local rows = {}
  for _, server in ipairs(servers) do
    if not server.peer then
      local bytes, ratio, cpu = measure_idle(server, connections, set)
      local cell, target = ratio_cells(server.name, ratio, 0.95)
      rows[#rows + 1] = {server.name, report.count(bytes),
        server.name == "curio" and "≤ 2,000 " .. report.verdict(bytes <= 2000) or "", cell, target,
        ("%.2f"):format(cpu)}
    end
  end
  report.table(("%s idle connections"):format(report.count(connections)), {"", "bytes for each",
    "target", "rate of 64 others, to that without them", "target", "their CPU time"}, rows)
end

-- One transfer through a proxy: MB/s, and the proxy's CPU seconds for each GB.
local function transfer(proxy, bytes)
  local cpu = process.cpu_seconds(proxy)
  local command = ("%s/bench/transfer send 127.0.0.1 %s %d 2>&1"):format(BUILD, proxy.port, bytes)
  local text, ok = process.capture(process.pinned(LOAD_CORE, command))
  if not ok then
    error(("a transfer through %s failed: %s"):format(proxy.command, text), 0)
  end
  local used = process.cpu_seconds(proxy)
  return {rate = tonumber(text:match("rate=(%S+)")),
    cpu = cpu and used and (used - cpu) / bytes * 1e9 or 0}
end

-- The first transfer warms up.
local function start_proxy(name, command, bytes)
  local p = process.start(command, SERVER_CORE)
  p.name, p.results = name, {}
  p.port = process.wait_line(p, "listening [^\n]-(%d+)\n", 20)
  transfer(p, bytes)
  p.before = process.resident(p)
  return p
end

-- Sender and sink share the load's core.
function sections.copy(_, set)
  local sink = process.start(BUILD .. "/bench/transfer sink", LOAD_CORE)
  local port = process.wait_line(sink, "listening %S+ (%d+)", 20)
  local c = start_proxy("C splice loop", ("%s/bench/splice_proxy %s"):format(BUILD, port),
    set.bytes // 8)
  local ours = start_proxy("curio", ("%s %s/../examples/proxy.lua 0 127.0.0.1 %s"):format(CURIO,
    here, port), set.bytes // 8)
  for round = 1, set.rounds do
    c.results[round], ours.results[round] = transfer(c, set.bytes), transfer(ours, set.bytes)
  end
  local rows = {}
  for i, p in ipairs {c, ours} do
    local ratio = report.median_ratio(p.results, c.results, "rate")
    rows[i] = {p.name, report.count(report.median_of(p.results, "rate")), ("%.2f"):format(ratio),
      p == ours and "≥ 0.90 " .. report.verdict(ratio >= 0.9) or "",
      ("%.3f"):format(report.median_of(p.results, "cpu")),
      report.count(process.resident(p) - p.before)}
  end
  for _, p in ipairs {c, ours, sink} do
    process.stop(p)
  end
  report.table(("%s bytes through a proxy, checksums compared"):format(report.count(set.bytes)),
    {"", "MB/s", "rate to C", "target", "proxy CPU s/GB", "memory grown"}, rows)
end

function sections.trace(_, set)
  if not process.exists(CURIO) then
    return
  end
  local command, file = CURIO .. " %s" .. here .. "/echo.lua", os.tmpname()
  local pair = {{name = "curio", command = command:format ""},
    {name = "curio --trace", command = command:format("--trace=" .. file .. " ")}}
  local results = take_turns(pair, set, ("--connections 64 --size 1024 --seconds %g --warmup %g")
    :format(set.seconds, set.warmup))
  os.remove(file)
  local rows = {}
  for i, server in ipairs(pair) do
    local ratio = report.median_ratio(results[i], results[1], "rate")
    rows[i] = {server.name, report.count(report.median_of(results[i], "rate")),
      ("%.2f"):format(ratio), i == 2 and "≥ 0.87 " .. report.verdict(ratio >= 0.87) or "",
      ("%.2f"):format(report.median_of(results[i], "server_cpu"))}
  end
  report.table("Echo of 1 KiB at 64 connections, traced", {"", "messages/s", "rate to untraced",
    "target", "server µs/message"}, rows)
end

-- A benchmark that is a script of its own, which prints its table.
local function script(name)
  return function(_, _, quick)
    if process.exists(CURIO) then
      print()
      io.flush()
      os.execute("ulimit -n $(ulimit -Hn); " ..
        process.pinned(LOAD_CORE, CURIO .. " " .. here .. "/" .. name .. quick))
    end
  end
end

sections.tasks = script "tasks.lua"
sections.queue = script "queue.lua"
sections.lines = script "lines.lua"

-- Not pinned: it needs both cores.
function sections.values(_, _, quick)
  if process.exists(CURIO) then
    print()
    io.flush()
    os.execute(CURIO .. " " .. here .. "/values.lua" .. quick)
  end
end

-- With both cores.
function sections.threads(_, _, quick)
  if process.exists(CURIO) and process.exists(BUILD .. "/bench/handoff") then
    print()
    io.flush()
    os.execute(("BUILD=%s %s %s/threads.lua%s"):format(BUILD, CURIO, here, quick))
  end
end

function sections.process(_, set)
  if process.exists(CURIO) and process.exists(BUILD .. "/bench/spawn") then
    require "children"(BUILD, CURIO, here, set, set.peers and peers.spawn_peer())
  end
end

function sections.startup(_, set)
  if not process.exists(CURIO) then
    return
  end
  local what = {"lua5.4 -e ''", CURIO .. " -e ''", CURIO .. " -e 'require \"curio\"'"}
  local text, ok = process.capture(process.pinned(LOAD_CORE, ("%s/bench/startup %d %s"):format(
    BUILD, set.starts, table.concat(what, " :: "))))
  if not ok then
    error("bench/startup failed: " .. text, 0)
  end
  local rows, base = {}, nil
  for median, min, cpu in text:gmatch("median=(%d+) min=(%d+) cpu=(%d+)") do
    local ms = median / 1000
    base = base or ms
    rows[#rows + 1] = {what[#rows + 1], ("%.2f"):format(ms), ("%.2f"):format(min / 1000),
      ("%.2f"):format(cpu / 1000), ("%+.2f"):format(ms - base),
      #rows == 1 and "≤ +2.00 " .. report.verdict(ms - base <= 2) or ""}
  end
  report.table("Start-up", {"", "median ms", "best ms", "CPU ms", "to lua5.4", "target"}, rows)
end

function sections.tls(_, set)
  require("tls")({
    build = BUILD, here = here, load_core = LOAD_CORE,
    peers = set.peers and peers.tls_peers or function() return {} end,
    start = function(command)
      return start_server({command = command})
    end,
  }, set)
end

-- ---- the command line ----

local ECHO_SECTIONS = 4 -- the first of them, which compare echo servers

local ORDER = {
  "echo", "syscalls", "connect", "idle", "tls", "copy", "lines", "trace", "tasks", "queue",
  "values", "threads", "process", "startup",
}

-- The number after an option.
local function option_number(i, least)
  local value = tonumber(arg[i + 1])
  if not value or value < least then
    usage(("%s wants a number from %g on"):format(arg[i], least))
  end
  return value
end

local function parse()
  local quick, given, wanted = false, {}, {}
  local i = 1
  while arg[i] do
    local word = arg[i]
    if word == "--quick" then
      quick = true
    elseif word == "--peers" or word == "--no-peers" then
      given.peers = word == "--peers"
    elseif word == "--rounds" then
      given.rounds, i = option_number(i, 1) // 1, i + 1
    elseif word == "--seconds" then
      given.seconds, i = option_number(i, 0.1), i + 1
    elseif sections[word] then
      wanted[word] = true
    else
      usage(("unknown argument %q"):format(word))
    end
    i = i + 1
  end
  local set = quick and settings.quick or settings.full
  for name, value in pairs(given) do
    set[name] = value
  end
  return set, next(wanted) and wanted, quick
end

local function print_machine(set)
  local model = process.capture("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1")
  local kernel = process.capture("uname -sr")
  print(("%s, %s, %s"):format(model:gsub("\n", ""), (process.capture("nproc"):gsub("\n", " cores")),
    (kernel:gsub("\n", ""))))
  print(("%g rounds of %g s each; %s; %s"):format(set.rounds, set.seconds, process.can_pin and
    "servers on core 0, load on core 1" or "one core or no taskset: nothing is pinned",
    process.keep_awake(SERVER_CORE, LOAD_CORE) and "cores kept awake" or "cores may fall asleep"))
end

-- Says so when others use the machine: no method helps much against that.
local function print_load()
  local load = tonumber((process.capture("cut -d ' ' -f 1 /proc/loadavg 2>/dev/null"))) or 0
  if load > 0.7 then
    print(("The load average is %.1f: others use this machine, and the figures will swing."):format(
      load))
  end
end

local function main()
  local set, wanted, quick = parse()
  print_load()
  print_machine(set)
  local servers
  for i, name in ipairs(ORDER) do
    if not wanted or wanted[name] then
      servers = servers or i <= ECHO_SECTIONS and peers.echo(set.peers) or nil
      sections[name](servers, set, quick and " --quick" or "")
    end
  end
end

local ok, err = xpcall(main, function(err)
  return type(err) == "string" and err:find("^[^\n]*%.lua:%d") and debug.traceback(err) or err
end)
process.stop_all()
if not ok then
  io.stderr:write("bench/run.lua: ", tostring(err), "\n")
  os.exit(1)
end
