-- Activations and the debuggers.

local curio = require "curio"
local debuggers = require "curio.debug"
local testing = require "curio.testing"

-- An activation that writes down what it is told.
local function recorder()
  local seen = {}
  local function note(what)
    return function(_, task, trap)
      seen[#seen + 1] = table.concat({ what, task.name, trap }, " ")
    end
  end
  return {
    created = note "created",
    running = note "running",
    suspended = note "suspended",
    terminated = note "terminated",
  }, seen
end

-- Of the tasks with such names.
local function only(seen, ...)
  local picked = {}
  for _, line in ipairs(seen) do
    for _, name in ipairs { ... } do
      if line:find("%w+ " .. name) then
        picked[#picked + 1] = line
      end
    end
  end
  return picked
end

-- Runs fn with these options; what the log was told, as a list of "level: message".
local function logged(fn, opts)
  local lines = {}
  local form = {
    fn,
    log = function(level, message)
      lines[#lines + 1] = level .. ": " .. message
    end,
  }
  for key, value in pairs(opts) do
    form[key] = value
  end
  testing.run(function() end) -- nothing of an earlier spec is left
  curio.run(form)
  return lines
end

local function spawn(name, fn, ...)
  return curio.spawn { fn, name = name, ... }
end

describe("An activation", function()
  it("is told what becomes of tasks", function()
    local activation, seen = recorder()
    curio.run {
      function()
        spawn("child", function()
          curio.sleep(0.001)
          curio.schedule()
          return 1
        end):join()
      end,
      activations = { activation },
    }
    assert.same({
      "created child",
      "running child",
      "suspended child TIME_SLEEP",
      "running child",
      "suspended child READY",
      "running child",
      "suspended child",
      "terminated child",
    }, only(seen, "child"))
  end)

  it("is told of the main task too, from the beginning to the end", function()
    local activation, seen = recorder()
    curio.run { function() end, activations = { activation } }
    local name = seen[1]:match "^created (.*)$"
    assert.matches("debug_spec.lua", name)
    assert.same({ "created " .. name, "running " .. name, "suspended " .. name,
      "terminated " .. name }, only(seen, "[^ ]*debug_spec"))
  end)

  it("is told of the end of tasks that are cancelled or crash", function()
    local activation, seen = recorder()
    curio.run {
      function()
        local asleep = spawn("asleep", curio.sleep, 10)
        curio.schedule()
        asleep:cancel()
        spawn("unborn", curio.sleep, 10):cancel()
        pcall(spawn("crash", error, "x").join, spawn("other", curio.schedule))
        curio.schedule()
      end,
      activations = { activation },
      log = function() end,
    }
    for _, name in ipairs { "asleep", "unborn", "crash" } do
      local lines = only(seen, name)
      assert.equal("suspended " .. name, lines[#lines - 1])
      assert.equal("terminated " .. name, lines[#lines])
    end
  end)

  it("may be a class, and is told which kernel it is given to", function()
    local kernel, running
    local class = setmetatable({}, {
      __call = function()
        return {
          activate = function(_, k)
            kernel = k
          end,
        }
      end,
    })
    curio.run {
      function()
        running = curio.traps.get_kernel()
      end,
      activations = { class },
    }
    assert.truthy(kernel)
    assert.equal(running, kernel)
  end)

  it("that fails does no harm", function()
    local activation, seen = recorder()
    local broken = {
      terminated = function()
        error("broken", 0)
      end,
    }
    local lines = logged(function()
      spawn("child", curio.schedule):join()
    end, { activations = { broken, activation } })
    assert.equal("error: an activation failed in terminated: broken", lines[1])
    assert.equal("terminated child", only(seen, "child")[6])
  end)

  it("cannot block", function()
    local err
    curio.run {
      function() end,
      activations = {
        {
          terminated = function()
            local _, e = pcall(curio.sleep, 0)
            err = err or e
          end,
        },
      },
    }
    assert.matches("curio.sleep", tostring(err))
  end)

  it("is gone after its run", function()
    local activation, seen = recorder()
    curio.run { function() end, activations = { activation } }
    local n = #seen
    curio.run(function()
      curio.spawn(curio.sleep, 0):join()
    end)
    assert.equal(n, #seen)
  end)

  it("can be a kernel's", function()
    if curio.meta.curio_running() then
      return -- only one kernel may run in a thread
    end
    local activation, seen = recorder()
    local k <close> = curio.Kernel { activations = { activation } }
    k:run(function()
      spawn("child", curio.sleep, 0):join()
    end)
    assert.equal("created child", only(seen, "child")[1])
  end)

  it("must be one", function()
    for _, bad in ipairs { 1, "no such thing", { 1 }, { "no such thing" } } do
      local ok, err = pcall(curio.run, { print, activations = bad })
      assert.is_false(ok)
      assert.matches("activation", tostring(err))
    end
  end)
end)

describe("schedtrace", function()
  local function work()
    spawn("one", curio.schedule):join()
    spawn("two", curio.schedule):join()
  end

  local function words(lines, name)
    local list = {}
    for _, line in ipairs(lines) do
      if line:find("name=" .. name, 1, true) then
        list[#list + 1] = line:match "^info: (%u+):[%d.]+:Task"
      end
    end
    return list
  end

  local ALL = { "CREATE", "RUN", "SUSPEND", "RUN", "SUSPEND", "TERMINATED" }

  it("tells of every switch", function()
    assert.same(ALL, words(logged(work, { debug = { debuggers.schedtrace } }), "one"))
  end)

  it("is what debug=true and the name mean", function()
    assert.same(ALL, words(logged(work, { debug = true }), "one"))
    assert.same(ALL, words(logged(work, { debug = "schedtrace" }), "one"))
    assert.same(ALL, words(logged(work, { debug = "longblock,schedtrace" }), "two"))
    assert.same(ALL, words(logged(work, { debug = { debuggers.schedtrace {} } }), "two"))
  end)

  it("tells only of tasks that the filter names", function()
    for _, filter in ipairs { "two", { "two", "three" }, { two = true, one = false } } do
      local lines = logged(work, { debug = { debuggers.schedtrace { filter = filter } } })
      assert.same(ALL, words(lines, "two"))
      assert.same({}, words(lines, "one"))
    end
  end)

  it("tells it to another log, on another level", function()
    local own = {}
    local lines = logged(work, {
      debug = debuggers.schedtrace {
        level = "warning",
        log = function(level)
          own[#own + 1] = level
        end,
      },
    })
    assert.same({}, lines)
    assert.equal("warning", own[1])
  end)

  it("knows its options", function()
    assert.error_matches(function()
      debuggers.schedtrace { filtre = "x" }
    end, "unknown option 'filtre'")
  end)
end)

describe("traptrace", function()
  it("tells what tasks go to sleep in", function()
    local lines = logged(function()
      local event = curio.Event()
      local task = spawn("waiter", event.wait, event)
      curio.schedule()
      event:set()
      task:join()
    end, { debug = { debuggers.traptrace { filter = "waiter" } } })
    local traps = {}
    for _, line in ipairs(lines) do
      traps[#traps + 1] = line:match "^info: TRAP:[%d.]+:([%u_]+):Task"
    end
    assert.same({ "EVENT_WAIT" }, traps)
  end)
end)

describe("logcrash", function()
  it("tells of crashes, also of those that somebody waits for", function()
    local lines = logged(function()
      pcall(spawn("victim", error, "the reason").join, spawn("x", curio.schedule))
      local task = spawn("victim", error, "the reason")
      pcall(task.join, task)
      local cancelled = spawn("cancelled", curio.sleep, 10)
      curio.schedule()
      cancelled:cancel()
    end, { debug = { debuggers.logcrash } })
    local crashes = 0
    for _, line in ipairs(lines) do
      assert.is_nil(line:find "cancelled", line)
      if line:find "^error: task %d+ %(victim%) crashed: the reason\nstack traceback" then
        crashes = crashes + 1
      end
    end
    assert.is_true(crashes >= 2)
  end)
end)

describe("longblock", function()
  local function work()
    spawn("slow", function() end):join()
  end

  it("tells of tasks that keep the kernel too long", function()
    local strict = debuggers.longblock { max_time = -1, filter = "slow" }
    local lines = logged(work, { debug = { strict } })
    assert.equal(1, #lines)
    assert.matches("^warning: Task.*name=slow.* ran for 0%.%d+ seconds$", lines[1])
  end)

  it("says nothing of others", function()
    assert.same({}, logged(work, { debug = { debuggers.longblock { max_time = 3600 } } }))
  end)

  it("allows for 50 ms by default", function()
    assert.equal(0.05, debuggers.longblock().max_time)
  end)
end)

describe("The program's --debug", function()
  local program = (os.getenv "CURIO_BUILD" or "build") .. "/bin/curio"

  local function output_of(args)
    local pipe = assert(io.popen(("%s %s 2>&1 </dev/null"):format(program, args)))
    local text = pipe:read "a"
    pipe:close()
    return text
  end

  it("names the debuggers", function()
    local text = output_of [[--debug=longblock,traptrace -e 'require("curio").sleep(0)']]
    assert.matches("curio: info: TRAP:[%d.]+:READY:Task", text)
  end)

  it("means schedtrace alone", function()
    local text = output_of "--debug -e 'x = 1'"
    assert.matches("^curio: info: CREATE:.*RUN:.*SUSPEND:.*TERMINATED:", text)
    assert.is_nil(text:find "TRAP")
  end)

  it("knows only those that there are", function()
    assert.matches("there is no debugger 'x'.*known: schedtrace", output_of "--debug=x -e ''")
  end)
end)
