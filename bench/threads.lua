-- threads.lua: calls into threads and processes beside a bare hand-over of a turn (handoff.c),
-- those into threads also beside luv's new_work where luv is installed, and how servers scale with
-- option `workers`.
--
--     curio bench/threads.lua [--quick] [jobs] [luv] [scale]
--
-- What is compared takes turns; a ratio is the median of the ratios of neighbours.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local curio = require "curio"
local report = require "report"

local BUILD = os.getenv "BUILD" or "build"
local rounds, count, seconds = 7, 5000, 1

local function nothing() end

-- ---- round trips ----

local function baseline(kind)
  local pipe = assert(io.popen(("%s/bench/handoff %s %d"):format(BUILD, kind, count)))
  local us = pipe:read "n"
  pipe:close()
  return us
end

local function round_trip(call)
  call(nothing) -- the worker is there
  local begin = curio.clock()
  for _ = 1, count do
    call(nothing)
  end
  return (curio.clock() - begin) * 1e6 / count
end

local function compare(kind, call)
  local ours, bare = {}, {}
  for i = 1, rounds do
    bare[i] = { us = baseline(kind) }
    ours[i] = { us = round_trip(call) }
  end
  local ratio = report.median_ratio(ours, bare, "us")
  print(("empty %s job: %.1f us; bare hand-over %.1f us; ratio %.2f (target <= 3: %s)"):format(kind,
    report.median_of(ours, "us"), report.median_of(bare, "us"), ratio, report.verdict(ratio <= 3)))
end

local sections = {}

function sections.jobs()
  compare("thread", curio.run_in_thread)
  compare("process", curio.run_in_process)
end

-- ---- beside luv ----

local function luv_jobs(flight)
  local command = "lua5.4 %s/peers/work_luv.lua %d %d 2>/dev/null"
  local pipe = assert(io.popen(command:format(here, count, flight)))
  local us = pipe:read "n"
  pipe:close()
  return us
end

local function our_jobs(flight)
  local left, group = count, curio.TaskGroup()
  curio.run_in_thread(nothing)
  local begin = curio.clock()
  for _ = 1, flight do
    group:spawn(function()
      while left > 0 do
        left = left - 1
        curio.run_in_thread(nothing)
      end
    end)
  end
  group:join()
  return (curio.clock() - begin) * 1e6 / count
end

function sections.luv()
  if not luv_jobs(1) then
    print "luv is not installed for lua5.4: nothing to compare thread jobs with"
    return
  end
  for _, flight in ipairs { 1, 4, 16 } do
    local ours, theirs = {}, {}
    for i = 1, rounds do
      theirs[i] = { us = luv_jobs(flight) }
      ours[i] = { us = our_jobs(flight) }
    end
    local ratio = report.median_ratio(theirs, ours, "us")
    local text = "%d in flight: %.1f us a thread job; luv's new_work %.1f us; "
      .. "ratio of speeds %.2f (target >= 1: %s)"
    print(text:format(flight, report.median_of(ours, "us"), report.median_of(theirs, "us"), ratio,
      report.verdict(ratio >= 1)))
  end
end

-- ---- servers ----

-- Computes for a while at each byte that comes.
local function compute(client)
  local byte = client:recv(1)
  while byte do -- it ends also where the client has gone
    local x = 0
    for i = 1, 200000 do
      x = x + i % 7
    end
    client:sendall(byte)
    byte = client:recv(1)
  end
end

-- Answers in a second from a server with n workers; 16 clients, one byte in flight each.
local function answers(n, handler)
  local bound = curio.Result()
  local server = curio.spawn(curio.tcp_server, "127.0.0.1", 0, handler, {
    workers = n,
    ready = function(addr)
      bound:set_value(addr)
    end,
  })
  local addr, done = bound:unwrap(), 0
  local group = curio.TaskGroup()
  for _ = 1, 16 do
    group:spawn(function()
      local sock <close> = assert(curio.open_connection(addr.host, addr.port))
      while true do
        sock:sendall "x"
        assert(sock:recv(1))
        done = done + 1
      end
    end)
  end
  curio.sleep(0.2)
  local before, begin = done, curio.clock()
  curio.sleep(seconds)
  local rate = (done - before) / (curio.clock() - begin)
  group:cancel_remaining()
  server:cancel()
  return rate
end

function sections.scale()
  local one, two = {}, {}
  for i = 1, rounds do
    one[i] = { rate = answers(1, compute) }
    two[i] = { rate = answers(2, compute) }
  end
  local ratio = report.median_ratio(two, one, "rate")
  local text = "computing handlers: %.0f/s by 1 worker, %.0f/s by 2; ratio %.2f (target >= 1.9: %s)"
  print(text:format(report.median_of(one, "rate"), report.median_of(two, "rate"), ratio,
    report.verdict(ratio >= 1.9)))
end

local chosen = {}
for _, word in ipairs(arg) do
  if word == "--quick" then
    rounds, count, seconds = 3, 1000, 0.5
  elseif sections[word] then
    chosen[#chosen + 1] = word
  else
    error("usage: threads.lua [--quick] [jobs] [luv] [scale]")
  end
end
curio.run(function()
  for _, name in ipairs(#chosen > 0 and chosen or { "jobs", "luv", "scale" }) do
    sections[name]()
  end
end)
