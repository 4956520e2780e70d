-- values.lua: what it costs to send values to other Lua states.
--
--     curio bench/values.lua [--quick] [ROW...]       also under lua5.4, with the module installed
--
-- Rows: copy, queue; both by default. Copying is measured by CPU time, writing and reading apart:
-- nested tables that take 10 MB in a message; cjson and cmsgpack are measured beside it where they
-- are installed, in MB of that message. Items through a UniversalQueue are measured by
-- the clock, as two threads work. Figures are medians.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local core = require "curio.core"
local curio = require "curio"
local report = require "report"

local rounds, scale = 5, 1
local rows = {}

-- ---- copying ----

local function text_of(i)
  return ("line %d of a text that is about as long as lines are, "):format(i):rep(4)
end

-- What the tables are made of; each repeated until the message has 10 MB.
local shapes = {
  { "texts of 200 bytes", function(i)
    return { id = i, title = "title " .. i, body = { text_of(i), text_of(i + 1) } }
  end },
  { "records", function(i)
    return {
      id = i, name = "item " .. i, tags = { "a", "b", i % 7 }, pos = { x = i * 0.5, y = -i },
    }
  end },
  { "lists of floats", function(i)
    local list = {}
    for k = 1, 100 do
      list[k] = i + k / 7
    end
    return list
  end },
}

local function build(make, bytes)
  local list = {}
  for i = 1, 100 do
    list[i] = make(i)
  end
  local n = math.ceil(bytes / (#core.copy.pack(list) / 100))
  for i = 101, n do
    list[i] = make(i)
  end
  return list
end

local function median_seconds(f, value)
  local times = {}
  for round = 1, rounds do
    collectgarbage()
    local start = os.clock()
    f(value)
    times[round] = os.clock() - start
  end
  return report.median(times)
end

-- Those there are: name, write, read.
local function formats()
  local list = { { "curio", core.copy.pack, core.copy.unpack } }
  local ok, cjson = pcall(require, "cjson")
  if ok then
    list[#list + 1] = { "cjson", cjson.encode, cjson.decode }
  end
  local found, cmsgpack = pcall(require, "cmsgpack")
  if found then
    list[#list + 1] = { "cmsgpack", cmsgpack.pack, cmsgpack.unpack }
  end
  return list
end

local COPY = "%-22s %-10s %12s %12s %14s  %s"

function rows.copy()
  print(COPY:format("Copying nested tables", "by", "write MB/s", "read MB/s", "both MB/s",
    "target"))
  for _, shape in ipairs(shapes) do
    local value = build(shape[2], 1e7 / scale)
    local size = #core.copy.pack(value) / 1e6 -- the same measure for all
    for _, format in ipairs(formats()) do
      local bytes = format[2](value)
      local write, read = median_seconds(format[2], value), median_seconds(format[3], bytes)
      local both = size / (write + read)
      local verdict = format[1] == "curio" and "≥ 100 " .. report.verdict(both >= 100) or ""
      print((COPY:format(shape[1], format[1], report.count(size / write),
        report.count(size / read), report.count(both), verdict):gsub("%s+$", "")))
    end
  end
end

-- ---- the queue ----

local function produce(q, n)
  for i = 1, n do
    q:put(i)
  end
end

local function pass(n)
  local q = curio.UniversalQueue()
  local producer = curio.Thread(produce, q, n)
  local start, last = curio.clock(), nil
  for _ = 1, n do
    last = q:get()
  end
  local took = curio.clock() - start
  producer:join()
  assert(last == n)
  return n / took
end

local QUEUE = "%-46s %14s  %s"

function rows.queue()
  local rates = {}
  for round = 1, rounds do
    rates[round] = pass(1000000 // scale)
  end
  local rate = report.median(rates)
  print(QUEUE:format("items through a UniversalQueue, thread to task", report.count(rate) .. "/s",
    "≥ 1.0 M  " .. report.verdict(rate >= 1e6)))
end

-- ---- the command line ----

local ORDER = { "copy", "queue" }

local function main()
  local wanted = {}
  for _, word in ipairs(arg) do
    if word == "--quick" then
      rounds, scale = 3, 4
    elseif rows[word] then
      wanted[word] = true
    else
      io.stderr:write(("bench/values.lua: unknown argument %q\n"):format(word),
        "usage: bench/values.lua [--quick] [", table.concat(ORDER, "] ["), "]\n")
      os.exit(2)
    end
  end
  for _, name in ipairs(ORDER) do
    if not next(wanted) or wanted[name] then
      rows[name]()
    end
  end
end

curio.run(main)
