-- The time line that curio.debug.tracer writes: whole JSON, slices that leave no gap, flows with
-- both ends.

local curio = require "curio"
local debuggers = require "curio.debug"
local helper = require "spec.helper"
local json = require "dkjson"
local program = require "spec.program"

-- The events of a file, which must be one JSON array and nothing else.
local function events_in(path)
  local text = helper.read(path)
  local events, after, err = json.decode(text)
  assert(events, err)
  assert.equal("", text:sub(after):gsub("%s", ""))
  return events
end

-- Each event has what the trace-event format asks of its kind.
local function check_schema(events)
  for _, event in ipairs(events) do
    assert.truthy(event.ph:match "^[MXsf]$", event.ph)
    assert.equal("string", type(event.name))
    assert.equal("integer", math.type(event.pid))
    if event.ph ~= "M" then
      assert.equal("integer", math.type(event.tid))
      assert.equal("number", type(event.ts))
    end
    if event.ph == "X" then
      assert.is_true(event.dur >= 0)
    elseif event.ph == "s" or event.ph == "f" then
      assert.equal("integer", math.type(event.id))
      assert.equal("wake", event.cat)
      assert.equal(event.ph == "f" and "e" or nil, event.bp)
    else
      assert.equal("table", type(event.args))
    end
  end
end

local function slices(events, wanted)
  local found = {}
  for _, event in ipairs(events) do
    if event.ph == "X" and wanted(event) then
      found[#found + 1] = event
    end
  end
  table.sort(found, function(a, b)
    return a.ts < b.ts or a.ts == b.ts and a.dur < b.dur
  end)
  return found
end

local function ns(microseconds)
  return math.floor(microseconds * 1000 + 0.5)
end

-- Somebody runs or the kernel looks or idles at each moment, and never two at once.
local function check_no_gap(events)
  local list = slices(events, function(event)
    return event.tid == 0 or event.name == "run"
  end)
  assert.is_true(#list > 0)
  for i = 2, #list do
    local before = list[i - 1]
    assert.equal(ns(before.ts) + ns(before.dur), ns(list[i].ts))
  end
  return list
end

-- Each wake-up starts within a slice of who woke, and ends where a run of who was woken begins.
local function check_flows(events)
  local starts, ends = {}, {}
  for _, event in ipairs(events) do
    if event.ph == "s" then
      assert.is_nil(starts[event.id])
      starts[event.id] = event
    elseif event.ph == "f" then
      assert.is_nil(ends[event.id])
      ends[event.id] = event
    end
  end
  local arrived = 0
  for id, start in pairs(starts) do
    local within = slices(events, function(slice)
      return slice.tid == start.tid and ns(slice.ts) <= ns(start.ts)
        and ns(start.ts) <= ns(slice.ts) + ns(slice.dur)
    end)
    assert.is_true(#within > 0)
    local stop = ends[id] or start -- not all who are woken live to run
    local from = slices(events, function(slice)
      return slice.tid == stop.tid and slice.name == "run" and ns(slice.ts) == ns(stop.ts)
    end)
    assert.equal(stop ~= start, #from == 1)
    assert.is_true(ns(start.ts) <= ns(stop.ts))
    arrived = arrived + (stop ~= start and 1 or 0)
  end
  assert.is_true(arrived > 0)
  return starts
end

local function track_names(events)
  local names = {}
  for _, event in ipairs(events) do
    if event.name == "thread_name" then
      names[event.tid] = event.args.name
    end
  end
  return names
end

-- The events of a run of fn with a tracer.
local function traced(fn)
  local path = os.tmpname()
  local _ <close> = helper.closing(function()
    os.remove(path)
  end)
  local ok, err = pcall(curio.run, { fn, debug = debuggers.tracer { path = path } })
  return events_in(path), ok, err
end

local function talk()
  local q = curio.Queue(1)
  local reader = curio.spawn {
    function()
      for item in q:iter() do
        assert(item)
      end
    end,
    name = 'reader "\\\n\195\188',
  }
  for i = 1, 20 do
    q:put(i)
    curio.sleep(0.0001)
  end
  q:close()
  reader:join()
end

describe("curio.debug.tracer", function()
  it("writes events of the trace-event format", function()
    local events = traced(talk)
    check_schema(events)
    local names = track_names(events)
    assert.equal("kernel", names[0])
    local found = false
    for id, name in pairs(names) do
      found = found or name == id .. ' reader "\\\n\195\188'
    end
    assert.is_true(found)
  end)

  it("accounts for the whole time of the run", function()
    local list = check_no_gap((traced(talk)))
    local sum = 0
    for _, slice in ipairs(list) do
      sum = sum + ns(slice.dur)
    end
    local last = list[#list]
    assert.equal(ns(last.ts) + ns(last.dur) - ns(list[1].ts), sum)
  end)

  it("shows what each task waited for", function()
    local events = traced(talk)
    local waits = {}
    for _, slice in ipairs(slices(events, function(event)
      return event.tid ~= 0 and event.name ~= "run"
    end)) do
      waits[slice.name] = true
    end
    for _, state in ipairs { "QUEUE_GET", "TIME_SLEEP", "TASK_JOIN" } do
      assert.is_true(waits[state])
    end
  end)

  it("leads each wake-up from who woke to who was woken", function()
    local starts = check_flows((traced(talk)))
    local kernel, tasks = false, false
    for _, start in pairs(starts) do
      kernel, tasks = kernel or start.tid == 0, tasks or start.tid ~= 0
    end
    assert.is_true(kernel and tasks)
  end)

  it("is whole after an error, cancellations and tasks that never began", function()
    local events, ok = traced(function()
      curio.spawn(curio.sleep, 100)
      local never = curio.spawn(curio.sleep, 100)
      never:cancel()
      local task = curio.spawn(curio.sleep, 100)
      curio.sleep(0)
      task:cancel()
      curio.spawn(curio.sleep, 100)
      error "over"
    end)
    assert.is_false(ok)
    check_schema(events)
    check_no_gap(events)
    check_flows(events)
  end)

  it("keeps several runs apart in one file", function()
    local path = os.tmpname()
    local tracer = debuggers.tracer { path = path }
    curio.run { talk, debug = tracer }
    local once = #events_in(path)
    curio.run { talk, debug = tracer }
    local events = events_in(path)
    os.remove(path)
    assert.is_true(#events > once)
    check_schema(events)
    local pids = {}
    for _, event in ipairs(events) do
      pids[event.pid] = true
    end
    assert.same({ [0] = true, [1] = true, [2] = true }, pids)
  end)

  it("refuses what it cannot write to, unknown options and a missing path", function()
    local err = helper.raises(curio.OSError, debuggers.tracer, { path = "/nonexistent/trace" })
    assert.equal("ENOENT", err.code)
    assert.error_matches(function()
      debuggers.tracer { file = "x" }
    end, "unknown option 'file'")
    assert.error_matches(function()
      debuggers.tracer()
    end, "'path' must be a string")
  end)

  it("tells that the disk is full", function()
    local lines, restore = helper.logging()
    local _ <close> = restore
    curio.run { talk, debug = debuggers.tracer { path = "/dev/full" } }
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find "^error: the trace /dev/full is not complete: .*ENOSPC")
  end)
end)

describe("curio --trace", function()
  program.prepare(setup, teardown)

  local function traced_program(text)
    local path = os.tmpname()
    program.write("script.lua", text)
    local status = program.curio("--trace=" .. path .. " script.lua")
    local events = events_in(path)
    os.remove(path)
    return events, status
  end

  it("writes the main task's and all others' time line", function()
    local events, status = traced_program [[
      local curio = require "curio"
      curio.spawn(curio.sleep, 0.001):join()
    ]]
    assert.equal(0, status)
    check_schema(events)
    check_no_gap(events)
    check_flows(events)
  end)

  it("is whole when os.exit ends the process at once", function()
    local events, status = traced_program [[
      require "curio".sleep(0.001)
      os.exit(3)
    ]]
    assert.equal(3, status)
    check_schema(events)
    check_no_gap(events)
  end)

  it("is there, but for its last second and its end, when the process is killed", function()
    local path = os.tmpname()
    program.write("script.lua", [[
      local curio, path = require "curio", arg[1]
      local function is_there()
        local file <close> = assert(io.open(path))
        return file:read "a":find '"ph":"X"' ~= nil
      end
      repeat
        curio.sleep(0.001)
      until is_there()
      os.execute "kill -KILL $PPID"
    ]])
    program.curio(("--trace=%s script.lua %s"):format(path, path))
    local text = helper.read(path)
    os.remove(path)
    local events = assert(json.decode(text:match "^(.*}),?\n[^\n]*" .. "]"))
    check_schema(events)
    check_no_gap(events)
  end)

  it("needs a file that can be written", function()
    program.fails("needs a value", program.curio "--trace -e 'print(1)'")
    program.fails("needs a value", program.curio "--trace= -e 'print(1)'")
    program.fails("open /nonexistent/trace: .*ENOENT",
      program.curio "--trace=/nonexistent/trace -e 'print(1)'")
  end)
end)
