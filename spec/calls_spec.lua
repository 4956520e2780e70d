-- The keyword-call form, options, wrong types: what is wrong is refused by name.

local curio = require "curio"

-- fn(...) must raise a message that matches each of the patterns.
local function refused(patterns, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok, "was accepted, where an error should say: " .. table.concat(patterns, ", "))
  for _, pattern in ipairs(patterns) do
    assert.matches(pattern, tostring(message))
  end
end

local function in_kernel(fn)
  return function()
    curio.run(fn)
  end
end

local function collect(...)
  return table.pack(...)
end

local callable = setmetatable({}, { __call = function(_, ...)
  return "called", ...
end })

describe("a callable and its arguments", function()
  it("may come one by one or in one table", in_kernel(function()
    assert.same({ 1, nil, 3, n = 3 }, curio.spawn(collect, 1, nil, 3):join())
    assert.same({ 1, nil, 3, n = 3 }, curio.spawn { collect, 1, nil, 3 }:join())
    assert.same({ n = 0 }, curio.spawn { collect }:join())
    assert.same({ n = 0 }, curio.spawn(collect):join())
    assert.same({ {}, n = 1 }, curio.spawn(collect, {}):join())
    assert.same({ false, n = 1 }, curio.spawn { collect, false }:join())
  end))

  it("may be a table or another object with __call", in_kernel(function()
    assert.same({ "called", 5 }, { curio.spawn(callable, 5):join() })
    assert.same({ "called", 5 }, { curio.spawn { callable, 5 }:join() })
    assert.same({ "called", 5 }, { curio.timeout_after(1, callable, 5) })
    assert.same({ "called", 5 }, { curio.timeout_after { 1, callable, 5 } })
    assert.same({ "called", 5 }, { curio.ignore_after(1, callable, 5) })
    assert.same({ "called", 5 }, { curio.ignore_after { 1, callable, 5 } })
    assert.same({ "called", 5 }, { curio.disable_cancellation(callable, 5) })
    assert.same({ "called", 5 }, { curio.disable_cancellation { callable, 5 } })
    local group <close> = curio.TaskGroup()
    assert.same({ "called", 5 }, { group:spawn(callable, 5):join() })
    assert.same({ "called", 5 }, { group:spawn { callable, 5 }:join() })
    assert.equal("called", (curio.group(callable)))
  end))

  it("keeps tables that are arguments apart from the form", in_kernel(function()
    local t = { daemon = true }
    assert.equal(t, (curio.spawn(function(x)
      return x
    end, t):join()))
    assert.equal(t, (curio.spawn { function(x)
      return x
    end, t }:join()))
  end))

  it("leaves the caller's table as it is", in_kernel(function()
    local form = { collect, 1, daemon = true, name = "x" }
    curio.spawn(form):join()
    curio.spawn(form):join()
    assert.same({ collect, 1, daemon = true, name = "x" }, form)
  end))

  it("takes keywords", in_kernel(function()
    local task = curio.spawn { collect, daemon = true, name = "a name" }
    assert.is_true(task.daemon)
    assert.equal("a name", task.name)
    task = curio.spawn(collect)
    assert.is_false(task.daemon)
    assert.matches("calls_spec.lua:%d+$", task.name)
    task = curio.spawn { collect, daemon = false }
    assert.is_false(task.daemon)
    assert.equal("v", (curio.ignore_after { 0, curio.sleep, 1, timeout_result = "v" }))
    assert.is_false((curio.ignore_after { 0, curio.sleep, 1, timeout_result = false }))
  end))

  it("takes many arguments", in_kernel(function()
    local list = {}
    for i = 1, 150 do
      list[i] = i
    end
    assert.equal(150, (curio.spawn(collect, table.unpack(list)):join()).n)
    assert.equal(150, (curio.spawn { collect, table.unpack(list) }:join()).n)
    for i = 1, 5000 do
      list[i] = i
    end
    assert.equal(5000, (curio.spawn(collect, table.unpack(list)):join()).n)
  end))
end)

describe("what cannot be called", function()
  for _, value in ipairs { 5, "text", true, io.stdout } do
    local got = type(value)

    it("is refused by each call, with its name: " .. got, function()
      refused({ "curio%.run: ", got }, curio.run, value)
      refused({ "curio%.run: ", got }, curio.run, { value })
      curio.run(function()
        refused({ "curio%.spawn: ", got }, curio.spawn, value)
        refused({ "curio%.spawn: ", got }, curio.spawn, { value })
        refused({ "curio%.timeout_after: ", got }, curio.timeout_after, 1, value)
        refused({ "curio%.ignore_after: ", got }, curio.ignore_after, 1, value)
        refused({ "curio%.disable_cancellation: ", got }, curio.disable_cancellation, value)
        refused({ "curio%.group: ", got }, curio.group, value)
        local group <close> = curio.TaskGroup()
        refused({ "group:start: ", got }, group.start, group, value)
      end)
    end)

    it("is refused by a group's spawn, with its name: " .. got, in_kernel(function()
      local group <close> = curio.TaskGroup()
      refused({ "group:spawn: ", got }, group.spawn, group, value)
      refused({ "group:spawn: ", got }, group.spawn, group, { value })
    end))
  end

  it("is refused when it is missing", function()
    refused({ "curio%.run: ", "nil" }, curio.run)
    refused({ "curio%.run: ", "nil" }, curio.run, {})
    curio.run(function()
      refused({ "curio%.spawn: ", "nil" }, curio.spawn)
      refused({ "curio%.spawn: ", "nil" }, curio.spawn, { name = "x" })
      refused({ "curio%.ignore_after: ", "nil" }, curio.ignore_after, 1)
      refused({ "curio%.group: ", "nil" }, curio.group)
      local group <close> = curio.TaskGroup()
      refused({ "group:start: ", "nil" }, group.start, group)
    end)
  end)
end)

describe("an unknown option", function()
  it("is refused by name, and the known ones are listed", function()
    refused({ "curio%.run: ", "'colour'", "known: .*log" }, curio.run, { print, colour = 1 })
    refused({ "curio%.Kernel: ", "'colour'", "known: .*debug" }, curio.Kernel, { colour = 1 })
    curio.run(function()
      local task = curio.spawn(curio.sleep, 100)
      local group <close> = curio.TaskGroup()
      refused({ "curio%.spawn: ", "'colour'", "known: .*daemon.*name" }, curio.spawn,
        { print, colour = 1 })
      refused({ "group:start: ", "'colour'", "known: .*daemon" }, group.start, group,
        { print, colour = 1 })
      refused({ "curio%.timeout_after: ", "'colour'", "known" }, curio.timeout_after,
        { 1, print, colour = 1 })
      refused({ "curio%.ignore_after: ", "'colour'", "known: timeout_result" }, curio.ignore_after,
        { 1, print, colour = 1 })
      refused({ "curio%.disable_cancellation: ", "'colour'", "known" }, curio.disable_cancellation,
        { print, colour = 1 })
      refused({ "curio%.TaskGroup: ", "'colour'", "known: .*wait" }, curio.TaskGroup,
        { colour = 1 })
      refused({ "'colour'", "known: .*wait" }, curio.group, print, { colour = 1 })
      refused({ "task:cancel: ", "'colour'", "known: .*blocking" }, task.cancel, task,
        { colour = 1 })
      assert.is_false(task.cancelled)
      task:cancel()
    end)
  end)

  it("of a group's spawn is refused by that name", in_kernel(function()
    local group <close> = curio.TaskGroup()
    refused({ "group:spawn: ", "'colour'", "known: .*daemon.*name" }, group.spawn, group,
      { print, colour = 1 })
  end))

  it("may be no string at all", in_kernel(function()
    refused({ "curio%.spawn: ", "true" }, curio.spawn, { print, [true] = 1 })
    refused({ "curio%.spawn: ", "1.5" }, curio.spawn, { print, [1.5] = 1 })
    refused({ "curio%.spawn: ", "0" }, curio.spawn, { print, [0] = 1 })
    refused({ "curio%.spawn: " }, curio.spawn, { print, [math.maxinteger] = 1 })
    refused({ "curio%.spawn: ", "'n'" }, curio.spawn, table.pack(print, 1))
  end))

  it("leaves nothing behind", in_kernel(function()
    local group = curio.TaskGroup()
    pcall(curio.spawn, { error, colour = 1 })
    pcall(curio.spawn, { error, daemon = "x" })
    pcall(group.spawn, group, { error, colour = 1 })
    assert.same({}, group.tasks)
    group:join()
    curio.schedule()
  end))
end)

describe("an option of the wrong type", function()
  it("is refused with call, option and value", function()
    curio.run(function()
      local task = curio.spawn(curio.sleep, 100)
      refused({ "curio%.spawn: ", "'daemon'", "5" }, curio.spawn, { print, daemon = 5 })
      refused({ "task:cancel: ", "'blocking'", "1" }, task.cancel, task, { blocking = 1 })
      refused({ "task:cancel: ", "'timeout'", "soon" }, task.cancel, task, { timeout = "soon" })
      refused({ "curio%.TaskGroup: ", "wait", "5" }, curio.TaskGroup, { wait = 5 })
      refused({ "curio%.TaskGroup: ", "wait", "some" }, curio.TaskGroup, { wait = "some" })
      refused({ "curio%.TaskGroup: ", "errors", "1" }, curio.TaskGroup, { errors = 1 })
      refused({ "curio%.TaskGroup: ", "limit", "0" }, curio.TaskGroup, { limit = 0 })
      refused({ "curio%.TaskGroup: ", "limit", "1.5" }, curio.TaskGroup, { limit = 1.5 })
      refused({ "curio%.TaskGroup: ", "limit", "x" }, curio.TaskGroup, { limit = "x" })
      assert.is_false(task.cancelled)
      task:cancel()
    end)
  end)

  it("is refused by run with call, option and value", function()
    refused({ "curio%.run: ", "log", "5" }, curio.run, { function() end, log = 5 })
  end)

  it("is refused as the reason to cancel", in_kernel(function()
    local task = curio.spawn(curio.sleep, 100)
    refused({ "task:cancel: ", "exc", "5" }, task.cancel, task, { exc = 5, blocking = false })
    assert.is_false(task.cancelled)
    task:cancel()
  end))

  it("is refused where the options of a group should be", in_kernel(function()
    refused({ "curio%.TaskGroup: ", "number" }, curio.TaskGroup, 5)
  end))

  it("is refused where the options of a group's body should be", in_kernel(function()
    refused({ "curio%.group: ", "number" }, curio.group, print, 5)
  end))

  it("is refused where the options should be", in_kernel(function()
    local task = curio.spawn(curio.sleep, 100)
    refused({ "curio%.Kernel: ", "number" }, curio.Kernel, 5)
    refused({ "task:cancel: ", "number" }, task.cancel, task, 5)
    refused({ "task:cancel: ", "string" }, task.cancel, task, "x")
    task:cancel()
  end))

  it("is refused as a member of a group", in_kernel(function()
    local group <close> = curio.TaskGroup()
    refused({ "add_task", "number" }, group.add_task, group, 5)
    refused({ "add_task", "nil" }, group.add_task, group)
    local task = group:spawn(print)
    refused({ "add_task", "group" }, group.add_task, group, task)
    refused({ "TaskGroup", "number" }, curio.TaskGroup, { 5 })
  end))
end)

describe("seconds", function()
  it("must be a number", in_kernel(function()
    for _, value in ipairs { "1", {}, true, print } do
      refused({ "sleep", type(value) }, curio.sleep, value)
    end
    for _, value in ipairs { "1", true, print } do
      refused({ "timeout_after", type(value) }, curio.timeout_after, value, print)
      refused({ "ignore_after", type(value) }, curio.ignore_after, value, print)
    end
    refused({ "sleep", "no value" }, curio.sleep)
    refused({ "timeout_after" }, curio.timeout_after)
    refused({ "ignore_after" }, curio.ignore_after)
  end))

  it("must not be nan", in_kernel(function()
    refused({ "sleep", "nan" }, curio.sleep, 0 / 0)
    refused({ "timeout_after", "nan" }, curio.timeout_after, 0 / 0, print)
    refused({ "ignore_after", "nan" }, curio.ignore_after, 0 / 0, print)
  end))

  it("of a sleep must not be negative", in_kernel(function()
    refused({ "curio%.sleep: ", "%-1" }, curio.sleep, -1)
    refused({ "curio%.sleep: ", "%-0%.5" }, curio.sleep, -0.5)
    refused({ "curio%.sleep: ", "inf" }, curio.sleep, -math.huge)
  end))

  it("may be endless", in_kernel(function()
    local task = curio.spawn(curio.sleep, math.huge)
    assert.equal(5, (curio.timeout_after(math.huge, function()
      curio.sleep(0)
      return 5
    end)))
    assert.equal(5, (curio.timeout_after(nil, function()
      curio.sleep(0)
      return 5
    end)))
    assert.equal(5, (curio.timeout_after(1e300, function()
      curio.sleep(0)
      return 5
    end)))
    assert.is_false(task.terminated)
    task:cancel()
  end))

  it("of a timeout may be negative: it has expired on entry", in_kernel(function()
    for _, seconds in ipairs { 0, -1, -math.huge } do
      local ok, err = pcall(curio.timeout_after, seconds, curio.sleep, 1)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskTimeout))
      assert.is_nil((curio.ignore_after(seconds, curio.sleep, 1)))
    end
  end))

  it("of a cancel may be negative: it does not wait", in_kernel(function()
    for _, seconds in ipairs { 0, -1, -math.huge } do
      local event = curio.Event()
      local task = curio.spawn(curio.disable_cancellation, event.wait, event)
      curio.schedule()
      local setter = curio.spawn(function()
        curio.sleep(0.02)
        event:set()
      end)
      assert.is_false(task:cancel { timeout = seconds }, tostring(seconds))
      setter:join()
    end
  end))
end)

describe("other arguments", function()
  it("of the wrong type are refused by name", in_kernel(function()
    refused({ "check_cancellation", "number" }, curio.check_cancellation, 5)
    refused({ "check_cancellation", "string" }, curio.check_cancellation, "TaskCancelled")
    refused({ "pcall" }, curio.pcall)
    refused({ "xpcall", "no value" }, curio.xpcall, print)
    refused({ "xpcall", "number" }, curio.xpcall, print, 5)
  end))

  it("of set_cancellation are errors or nil", in_kernel(function()
    local ok, message = pcall(curio.set_cancellation, 5)
    curio.set_cancellation(nil)
    assert.is_false(ok)
    assert.matches("set_cancellation.*number", message)
  end))

  it("that are not the object are refused by name", in_kernel(function()
    local task = curio.spawn(print)
    for _, name in ipairs { "join", "wait", "cancel", "traceback", "where" } do
      for _, value in ipairs { 5, {}, io.stdout } do
        refused({ "curio%.Task expected" }, task[name], value)
      end
    end
    task:cancel()
  end))

  it("of a task that has not ended give no result", in_kernel(function()
    local task = curio.spawn(curio.sleep, 100)
    for _, name in ipairs { "result", "results", "exception" } do
      refused({ "task%." .. name .. ": ", "not terminated" }, function()
        return task[name]
      end)
    end
    refused({ "task:join: " }, curio.current_task().join, curio.current_task())
    refused({ "task:wait: " }, curio.current_task().wait, curio.current_task())
    task:cancel()
  end))

  it("of a group out of order are refused by name", in_kernel(function()
    local group = curio.TaskGroup()
    for _, name in ipairs { "result", "results", "exception", "exceptions", "completed" } do
      refused({ "group%." .. name .. ": " }, function()
        return group[name]
      end)
    end
    refused({ "group:next_result: " }, group.next_result, group)
    group:join()
    refused({ "group:spawn: ", "joined" }, group.spawn, group, print)
    refused({ "group:add_task: ", "joined" }, group.add_task, group, curio.spawn(type, 1))
    refused({ "group%.result: " }, function()
      return group.result
    end)
  end))
end)

describe("outside of any kernel", function()
  if debug.getinfo(require, "S").what ~= "C" then
    return -- under the program everything is a task
  end

  it("what needs one says so, by name", function()
    local task = curio.run(curio.spawn, print)
    local event, lock, queue = curio.Event(), curio.Lock(), curio.Queue()
    local calls = {
      ["curio%.sleep"] = { curio.sleep, 0 },
      ["curio%.schedule"] = { curio.schedule },
      ["curio%.spawn"] = { curio.spawn, print },
      ["curio%.current_task"] = { curio.current_task },
      ["curio%.timeout_after"] = { curio.timeout_after, 1, print },
      ["curio%.ignore_after"] = { curio.ignore_after, 1, print },
      ["curio%.disable_cancellation"] = { curio.disable_cancellation, print },
      ["curio%.check_cancellation"] = { curio.check_cancellation },
      ["curio%.set_cancellation"] = { curio.set_cancellation },
      ["task:join"] = { task.join, task },
      ["task:wait"] = { task.wait, task },
      ["event:wait"] = { event.wait, event },
      ["lock:acquire"] = { lock.acquire, lock },
      ["queue:get"] = { queue.get, queue },
      ["queue:put"] = { queue.put, queue, 1 },
    }
    for name, call in pairs(calls) do
      refused({ name .. ": no curio kernel is running" }, table.unpack(call))
    end
  end)

  it("a group's spawn says so by that name", function()
    local group = curio.run(curio.TaskGroup)
    refused({ "group:spawn: no curio kernel is running" }, group.spawn, group, print)
  end)

  it("a started() does nothing", function()
    curio.started("x")
  end)
end)
