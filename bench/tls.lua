-- tls.lua: the section `tls` of run.lua: TLS echo, handshakes, idle connections; the C server on
-- OpenSSL and curio take turns.

local process = require "process"
local report = require "report"

-- A new key and a certificate for it, in a temporary directory; nil without the openssl program.
local function make_certificate()
  local dir = process.capture("mktemp -d"):match("[^\n]+")
  local command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
    .. "-subj /CN=localhost -keyout %s/key.pem -out %s/cert.pem 2>/dev/null"
  if os.execute(command:format(dir, dir)) then
    return dir
  end
  os.execute("rm -rf " .. dir)
end

-- A load of run.lua's kind, by tls_load.
local function run_load(bench, p, options)
  local cpu = process.cpu_seconds(p)
  local command = ("%s/bench/tls_load %s %s %s"):format(bench.build, p.host, p.port, options)
  local text, ok = process.capture(process.pinned(bench.load_core, command))
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

-- Bytes that each of so many idle connections takes in the server.
local function idle_bytes(bench, p, connections)
  local before = process.resident(p)
  local holder = process.start(("%s/bench/tls_load %s %s --idle --connections %d --size 64 "
    .. "--seconds 3600"):format(bench.build, p.host, p.port, connections), bench.load_core)
  process.wait_line(holder, "opened connections=" .. connections, 120)
  local bytes = (process.resident(p) - before) / connections
  process.stop(holder)
  return bytes
end

local LOADS = {
  { "echo of 1 KiB, 64 connections", "--connections 64 --size 1024", 0.90 },
  { "echo of 16 KiB, 64 connections", "--connections 64 --size 16384", 0.90 },
  { "full handshakes, 16 at a time", "--full --connections 16 --size 64", 0.85 },
  { "resumed handshakes, 16 at a time", "--resumed --connections 16 --size 64", 0.85 },
}

local function measure(bench, servers, set, load)
  local options = ("%s --seconds %g --warmup %g"):format(load[2], set.seconds, set.warmup)
  local results = {}
  for i in ipairs(servers) do
    results[i] = {}
  end
  for round = 1, set.rounds do
    for i, server in ipairs(servers) do
      if round <= (server.rounds or round) then
        results[i][round] = run_load(bench, server.running, options)
      end
    end
  end
  return results
end

-- The first server is the baseline.
local function rows_of(rows, load, servers, results)
  for i, server in ipairs(servers) do
    local list = results[i]
    local ratio = report.median_ratio(list, results[1], "rate")
    local verdict = ("≥ %.2f %s"):format(load[3], report.verdict(ratio >= load[3]))
    rows[#rows + 1] = { i == 1 and load[1] or "", server.name,
      report.count(report.median_of(list, "rate")), report.count(report.median_of(list, "p50")),
      ("%.2f"):format(ratio), server.name == "curio" and verdict or "",
      ("%.1f"):format(report.median_of(list, "server_cpu")),
      ("%.2f"):format(report.median_ratio(list, results[1], "server_cpu")) }
  end
end

-- bench: build, here, server_core, load_core; start(command) starts a server; peers(files) lists
-- other servers.
return function(bench, set)
  local dir = process.exists("openssl") and make_certificate()
  if not dir then
    print("\nTLS: there is no openssl program here; left out")
    return
  end
  local files = ("%s/cert.pem %s/key.pem"):format(dir, dir)
  local servers = {
    { name = "C OpenSSL", command = ("%s/bench/tls_server %s"):format(bench.build, files) },
    { name = "curio", command = ("%s/bin/curio %s/tls_echo.lua %s"):format(bench.build, bench.here,
      files) },
  }
  table.move(bench.peers(files), 1, 9, 3, servers)
  for _, server in ipairs(servers) do
    server.running = bench.start(server.command)
  end
  local rows, idle = {}, {}
  for _, load in ipairs(LOADS) do
    rows_of(rows, load, servers, measure(bench, servers, set, load))
  end
  local connections = set.idle_tls or 1000
  for i, server in ipairs(servers) do
    process.stop(server.running)
    if not server.peer then
      local fresh = bench.start(server.command)
      run_load(bench, fresh, "--connections 64 --size 1024 --seconds 0.3")
      idle[i] = { server.name, report.count(idle_bytes(bench, fresh, connections)) }
      process.stop(fresh)
    end
  end
  os.execute("rm -rf " .. dir)
  report.table("TLS 1.3, P-256, AES-256-GCM; each byte checked", { "", "server", "per s", "p50 µs",
    "rate to C", "target", "server µs each", "to C" }, rows)
  report.table(("%d idle TLS connections"):format(connections), { "", "bytes for each" }, idle)
end
