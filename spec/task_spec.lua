-- Tasks: starting them, waiting for them, what they show of themselves.

local curio = require "curio"


local FILE = debug.getinfo(1, "S").short_src

local function line()
  return debug.getinfo(2, "l").currentline
end

local CRASH = FILE .. ":" .. line() + 3 .. ":"

local function crash()
  error "it broke"
end

describe("spawn", function()
  it("does not switch to the task, and tasks start in the order of their spawns", function()
    local events = {}
    curio.run(function()
      for i = 1, 3 do
        curio.spawn(function()
          events[#events + 1] = i
        end)
      end
      events[#events + 1] = "main"
      curio.sleep(0)
    end)
    assert.same({ "main", 1, 2, 3 }, events)
  end)

  it("hands over all arguments, nils among them", function()
    local got
    curio.run(function()
      curio.spawn(function(...)
        got = table.pack(...)
      end, nil, 2, nil):join()
    end)
    assert.same({ n = 3, nil, 2, nil }, got)
  end)

  it("takes keywords in the one-table form, with holes among the arguments", function()
    curio.run(function()
      local t = curio.spawn { function(...)
        return select("#", ...), ...
      end, nil, "b", name = "worker", daemon = true }
      assert.equal("worker", t.name)
      assert.is_true(t.daemon)
      assert.same({ n = 3, 2, nil, "b" }, table.pack(t:join()))
    end)
  end)

  it("takes a table with __call for a function", function()
    curio.run(function()
      local adder = setmetatable({}, { __call = function(_, a, b)
        return a + b
      end })
      assert.equal(3, curio.spawn(adder, 1, 2):join())
      assert.equal(7, curio.spawn({ adder, 3, 4 }):join())
    end)
  end)

  it("refuses an unknown option, and names it and the known ones", function()
    curio.run(function()
      local ok, err = pcall(curio.spawn, { crash, deamon = true })
      assert.is_false(ok)
      assert.matches("deamon", err)
      assert.matches("daemon", err, 1, true)
      assert.matches("name", err, 1, true)
      assert.matches("spawn", err, 1, true)
    end)
  end)

  it("refuses what is not a function, and says what it got", function()
    curio.run(function()
      for _, bad in ipairs { 5, "text", true } do
        local ok, err = pcall(curio.spawn, bad)
        assert.is_false(ok)
        assert.matches("spawn", err, 1, true)
        assert.matches(type(bad), err, 1, true)
      end
      assert.is_false(pcall(curio.spawn))
      assert.is_false(pcall(curio.spawn, {}))
      assert.is_false(pcall(curio.spawn, { daemon = true }))
    end)
  end)

  it("refuses an option of the wrong type and starts nothing", function()
    curio.run(function()
      local begun = false
      local ok, err = pcall(curio.spawn, { function()
        begun = true
      end, daemon = "yes" })
      assert.is_false(ok)
      assert.matches("daemon", err, 1, true)
      curio.sleep(0)
      assert.is_false(begun)
    end)
  end)
end)

describe("a task's outcome", function()
  it("is all of the function's results: none, nil, many", function()
    curio.run(function()
      local cases = {
        { n = 0 },
        { n = 1, nil },
        { n = 1, false },
        { n = 1, "one" },
        { n = 3, nil, nil, nil },
        { n = 4, 1, nil, 3, nil },
      }
      for _, want in ipairs(cases) do
        local t = curio.spawn(function()
          return table.unpack(want, 1, want.n)
        end)
        assert.same(want, table.pack(t:join()))
        assert.same(want, t.results)
        assert.equal(want[1], t.result)
        assert.is_nil(t.exception)
      end
    end)
  end)

  it("may be two hundred results", function()
    curio.run(function()
      local list = {}
      for i = 1, 200 do
        list[i] = i
      end
      local t = curio.spawn(table.unpack, list)
      assert.equal(200, select("#", t:join()))
      assert.equal(200, t.results.n)
    end)
  end)

  it("cannot be asked for while the task runs", function()
    curio.run(function()
      local t = curio.spawn(curio.sleep, 1000)
      for _, field in ipairs { "result", "results", "exception" } do
        local ok, err = pcall(function()
          return t[field]
        end)
        assert.is_false(ok)
        assert.matches(field, tostring(err), 1, true)
      end
      t:cancel()
    end)
  end)

  it("is the same object for an error: .exception, .result, .results, TaskError.cause", function()
    curio.run(function()
      local mistake = { code = 5 }
      local t = curio.spawn(function()
        error(mistake)
      end)
      t:wait()
      assert.equal(mistake, t.exception)
      for _, field in ipairs { "result", "results" } do
        local ok, err = pcall(function()
          return t[field]
        end)
        assert.is_false(ok)
        assert.equal(mistake, err)
      end
      local _, err = pcall(t.join, t)
      assert.equal(mistake, err.cause)
    end)
  end)

  it("outlives the kernel", function()
    local good, bad
    curio.run(function()
      good = curio.spawn(function()
        return 1, 2
      end)
      bad = curio.spawn(crash)
      good:wait()
      bad:wait()
    end)
    assert.same({ n = 2, 1, 2 }, good.results)
    assert.matches("it broke", bad.exception, 1, true)
    assert.is_true(good.terminated)
    curio.run(function()
      assert.same({ 1, 2 }, { good:join() })
    end)
  end)
end)

describe("join", function()
  it("raises a TaskError that tells the cause, the task, the traceback and who it was", function()
    curio.run(function()
      local t = curio.spawn { crash, name = "breaker" }
      local ok, err = pcall(t.join, t)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskError))
      assert.is_true(curio.is(err, curio.CurioError))
      assert.matches("it broke", err.cause, 1, true)
      assert.equal(t, err.task)
      assert.matches(CRASH, err.traceback, 1, true)
      assert.matches("breaker", tostring(err), 1, true)
      assert.matches("it broke", tostring(err), 1, true)
      assert.is_nil(tostring(err):find("\n", 1, true))
    end)
  end)

  it("raises a TaskError for a cancelled task, with the cancellation as its cause", function()
    curio.run(function()
      local t = curio.spawn(curio.sleep, 1000)
      t:cancel()
      local ok, err = pcall(t.join, t)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskError))
      assert.is_true(curio.is(err.cause, curio.TaskCancelled))
    end)
  end)

  it("is not taken for a cancellation of the one who joins", function()
    curio.run(function()
      local t = curio.spawn(curio.sleep, 1000)
      t:cancel()
      local _, err = pcall(t.join, t)
      assert.is_false(curio.is(err, curio.CancelledError))
      curio.sleep(0)
    end)
  end)

  it("gives the same however often it is called", function()
    curio.run(function()
      local good, bad = curio.spawn(function()
        return "a", "b"
      end), curio.spawn(crash)
      for _ = 1, 3 do
        assert.same({ "a", "b" }, { good:join() })
        local ok, err = pcall(bad.join, bad)
        assert.is_false(ok)
        assert.matches("it broke", err.cause, 1, true)
      end
    end)
  end)

  it("raises a TaskError whatever the error was", function()
    curio.run(function()
      local odd = setmetatable({}, { __tostring = function()
        error "cannot be shown"
      end })
      local values = { n = 6, nil, 5, true, crash, {}, odd }
      for i = 1, values.n do
        local t = curio.spawn(function()
          error(values[i])
        end)
        local ok, err = pcall(t.join, t)
        assert.is_false(ok)
        assert.is_true(curio.is(err, curio.TaskError), "error " .. i .. " gave " .. type(err))
        assert.is_true(rawequal(values[i], err.cause))
      end
    end)
  end)

  it("wakes all who wait, first come first", function()
    local events = {}
    curio.run(function()
      local t = curio.spawn(curio.sleep, 0.001)
      local waiters = {}
      for i = 1, 4 do
        waiters[i] = curio.spawn(function()
          if i % 2 == 0 then
            t:join()
          else
            t:wait()
          end
          events[#events + 1] = i
        end)
      end
      for _, w in ipairs(waiters) do
        w:join()
      end
    end)
    assert.same({ 1, 2, 3, 4 }, events)
  end)

  it("keeps the order of the others when the first, a middle, the last waiter leaves", function()
    for leaver = 1, 4 do
      local events = {}
      curio.run(function()
        local t = curio.spawn(curio.sleep, 0.002)
        local waiters = {}
        for i = 1, 4 do
          waiters[i] = curio.spawn(function()
            t:join()
            events[#events + 1] = i
          end)
        end
        curio.sleep(0)
        waiters[leaver]:cancel()
        t:wait()
        curio.sleep(0)
      end)
      local want = { 1, 2, 3, 4 }
      table.remove(want, leaver)
      assert.same(want, events)
    end
  end)

  it("does not touch the task when it is cancelled or times out", function()
    curio.run(function()
      local t = curio.spawn(function()
        curio.sleep(0.005)
        return "unharmed"
      end)
      assert.is_false(pcall(curio.timeout_after, 0.001, t.join, t))
      local waiter = curio.spawn(t.join, t)
      curio.sleep(0)
      waiter:cancel()
      assert.equal("unharmed", t:join())
    end)
  end)

  it("of oneself raises instead of waiting for ever, and so does wait", function()
    curio.run(function()
      local me = curio.current_task()
      for _, verb in ipairs { "join", "wait" } do
        local ok, err = pcall(me[verb], me)
        assert.is_false(ok)
        assert.is_false(curio.is(err, curio.Deadlock))
      end
    end)
  end)

  it("is a cancellation point even if the task has ended", function()
    curio.run(function()
      local t = curio.spawn(function() end)
      t:join()
      assert.is_false(pcall(curio.timeout_after, 0, t.join, t))
      assert.is_false(pcall(curio.timeout_after, 0, t.wait, t))
    end)
  end)

  it("refuses what is not a task", function()
    curio.run(function()
      local t = curio.current_task()
      for _, bad in ipairs { {}, 5, io.stdout } do
        assert.is_false(pcall(t.join, bad))
        assert.is_false(pcall(t.cancel, bad))
      end
    end)
  end)
end)

describe("wait", function()
  it("returns nothing and raises nothing, whatever became of the task", function()
    curio.run(function()
      assert.equal(0, select("#", curio.spawn(function()
        return 1
      end):wait()))
      assert.equal(0, select("#", curio.spawn(crash):wait()))
      local t = curio.spawn(curio.sleep, 1000)
      t:cancel()
      assert.equal(0, select("#", t:wait()))
    end)
  end)
end)

describe("a task shows", function()
  it("an id that grows, and the id of its spawner", function()
    curio.run(function()
      local me = curio.current_task()
      local a = curio.spawn(function()
        local c = curio.spawn(function() end)
        return c.parentid, c.id
      end)
      local b = curio.spawn(function() end)
      assert.equal(a.id + 1, b.id)
      assert.is_true(a.id > me.id)
      assert.equal(me.id, a.parentid)
      local parentid, id = a:join()
      assert.equal(a.id, parentid)
      assert.equal(b.id + 1, id)
      assert.equal(a.id + 1, b.id)
    end)
  end)

  it("where its function stands, as its name", function()
    curio.run(function()
      local here = line() + 1
      local t = curio.spawn(function() end)
      assert.equal(FILE .. ":" .. here, t.name)
      assert.equal("given", curio.spawn({ crash, name = "given" }).name)
      t:join()
      assert.equal(FILE .. ":" .. here, t.name)
      pcall(curio.sleep, 0)
    end)
  end)

  it("its state", function()
    curio.run(function()
      local inside
      local t = curio.spawn(function()
        inside = curio.current_task().state
        curio.sleep(1000)
      end)
      local joiner = curio.spawn(t.wait, t)
      assert.equal("INITIAL", t.state)
      assert.is_false(t.terminated)
      curio.sleep(0)
      assert.equal("RUNNING", inside)
      assert.equal("TIME_SLEEP", t.state)
      t:cancel { blocking = false }
      assert.equal("READY", t.state)
      joiner:join()
      assert.equal("TERMINATED", t.state)
      assert.is_true(t.terminated)
    end)
  end)

  it("how often it was resumed", function()
    curio.run(function()
      local t = curio.spawn(function()
        curio.sleep(0)
        curio.sleep(0)
      end)
      assert.equal(0, t.cycles)
      t:join()
      assert.equal(3, t.cycles)
    end)
  end)

  it("whether it was ever asked to end, whatever it made of that", function()
    curio.run(function()
      local t = curio.spawn(function()
        pcall(curio.sleep, 1000)
        return "went on"
      end)
      curio.sleep(0)
      assert.is_false(t.cancelled)
      t:cancel()
      assert.is_true(t.cancelled)
      assert.equal("went on", t.result)
      local ended = curio.spawn(function() end)
      ended:wait()
      ended:cancel()
      assert.is_false(ended.cancelled)
    end)
  end)

  it("the same object everywhere", function()
    curio.run(function()
      local inside
      local t = curio.spawn(function()
        inside = curio.current_task()
      end)
      t:join()
      assert.is_true(rawequal(t, inside))
      assert.is_true(rawequal(curio.current_task(), curio.current_task()))
    end)
  end)

  it("the line of the user's code where it sits, also inside generators", function()
    curio.run(function()
      local at
      local t = curio.spawn(function()
        local gen = coroutine.wrap(function()
          at = line() + 1
          curio.sleep(1000)
        end)
        gen()
      end)
      curio.sleep(0)
      local file, where = t:where()
      assert.equal(FILE, file)
      assert.equal(at, where)
      local text = t:traceback()
      assert.matches(FILE .. ":" .. at, text, 1, true)
      assert.matches("TIME_SLEEP", text, 1, true)
      assert.matches("TIME_SLEEP", tostring(t), 1, true)
      assert.matches(FILE .. ":" .. at, tostring(t), 1, true)
      t:cancel()
      assert.is_nil(t:where())
      assert.is_string(t:traceback())
      assert.matches("TERMINATED", tostring(t), 1, true)
    end)
  end)

  it("the user's line, not the library's, when it waits in a group or a lock", function()
    curio.run(function()
      local at
      local waiter = curio.spawn(function()
        local g = curio.TaskGroup()
        g:spawn(curio.sleep, 1000)
        at = line() + 1
        g:join()
      end)
      curio.sleep(0)
      local file, where = waiter:where()
      assert.equal(FILE, file)
      assert.equal(at, where)
      waiter:cancel()
    end)
  end)

  it("nil for a field there is not", function()
    curio.run(function()
      assert.is_nil(curio.current_task().nonsense)
      assert.is_nil(curio.current_task()[1])
    end)
  end)

  it("no way to change a field", function()
    curio.run(function()
      local t = curio.current_task()
      assert.is_false(pcall(function()
        t.id = 5
      end))
    end)
  end)
end)

describe("schedule", function()
  it("lets all other ready tasks run first, as sleep(0) does", function()
    local events = {}
    curio.run(function()
      local function step(name, pause, ...)
        for i = 1, 3 do
          events[#events + 1] = name .. i
          pause(...)
        end
      end
      local a, b = curio.spawn(step, "a", curio.schedule), curio.spawn(step, "b", curio.sleep, 0)
      a:join()
      b:join()
    end)
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, events)
  end)
end)
