-- TaskGroup: policies, limit, start, many members.

local curio = require "curio"
local groups = require "spec.groups"
local helper = require "spec.helper"

local closing = helper.closing
local forever = helper.forever
local started = helper.started
local task_it = helper.task_it(it)
local after = groups.after
local crash = groups.crash
local failure_of = groups.failure_of
local is_cancelled = groups.is_cancelled
local value = groups.value

describe("a group", function()
  task_it("joins all its members when left normally", function()
    local done = {}
    do
      local g <close> = curio.TaskGroup()
      for i = 1, 3 do
        g:spawn(after, i, function()
          done[#done + 1] = i
        end)
      end
      assert.same({}, done)
    end
    assert.same({ 1, 2, 3 }, done)
  end)

  task_it("cancels what remains and lets the error go on when left by an error", function()
    local mistake, a, b = {}, nil, nil
    local ok, err = pcall(function()
      local g <close> = curio.TaskGroup()
      a = g:spawn(forever)
      b = g:spawn { forever, daemon = true }
      curio.sleep(0)
      error(mistake)
    end)
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.is_true(is_cancelled(a))
    assert.is_true(is_cancelled(b))
  end)

  task_it("takes tasks that exist, running or ended", function()
    local a, b = curio.spawn(value, "a"), curio.spawn(after, 2, value, "b")
    a:wait()
    local g = curio.TaskGroup { a, b }
    local c = curio.spawn(value, "c")
    g:add_task(c)
    g:join()
    assert.same({ n = 3, "a", "b", "c" }, { n = 3, table.unpack(g.results, 1, 3) })
    assert.same({ a, b, c }, g.tasks)
    assert.equal(a, g.completed)
  end)

  task_it("does not take a task of another group, nor twice", function()
    local g, other = curio.TaskGroup(), curio.TaskGroup()
    local t = g:spawn(forever)
    assert.is_false((pcall(other.add_task, other, t)))
    assert.is_false((pcall(g.add_task, g, t)))
    assert.is_false((pcall(curio.TaskGroup, { t })))
    assert.is_false((pcall(g.add_task, g, 5)))
    g:cancel_remaining()
    g:join()
    other:join()
  end)

  task_it("refuses unknown options, wrong policies, wrong limits", function()
    for _, opts in ipairs {
      { wiat = "all" }, { wait = "some" }, { wait = true }, { errors = "silent" },
      { limit = 0 }, { limit = -1 }, { limit = 1.5 }, { limit = "3" },
    } do
      local ok, err = pcall(curio.TaskGroup, opts)
      assert.is_false(ok)
      assert.matches("TaskGroup", tostring(err), 1, true)
    end
  end)

  task_it("when empty joins at once: no result, no error", function()
    for _, wait in ipairs { "all", "any", "object", "none" } do
      local g = curio.TaskGroup { wait = wait }
      g:join()
      assert.is_nil(g.exception)
      assert.is_nil(g.completed)
      assert.equal(0, #g.results)
      assert.equal(0, #g.exceptions)
      assert.same({}, g.tasks)
      assert.is_false((pcall(function()
        return g.result
      end)))
    end
  end)

  task_it("does not tell its results before it was joined", function()
    local g = curio.TaskGroup()
    g:spawn(value, 1)
    curio.sleep(0)
    for _, field in ipairs { "result", "results", "exception", "exceptions", "completed" } do
      local ok, err = pcall(function()
        return g[field]
      end)
      assert.is_false(ok, field)
      assert.matches(field, tostring(err), 1, true)
    end
    g:join()
    assert.equal(1, g.result)
  end)

  task_it("tells its members before and after join, in the order of their creation", function()
    local g = curio.TaskGroup()
    local a, b = g:spawn(after, 3, value), g:spawn(value)
    g:spawn { forever, daemon = true }
    assert.same({ a, b }, g.tasks)
    g:join()
    assert.same({ a, b }, g.tasks)
  end)

  task_it("takes no member after join", function()
    local g = curio.TaskGroup()
    g:join()
    local t = curio.spawn(value)
    assert.is_false((pcall(g.spawn, g, value)))
    assert.is_false((pcall(g.add_task, g, t)))
    assert.is_false((pcall(g.start, g, value)))
    g:join()
  end)

  task_it("takes members that members spawn while it is joined", function()
    local done = {}
    local g <close> = curio.TaskGroup()
    g:spawn(function()
      g:spawn(function()
        g:spawn(function()
          done[1] = "deep"
        end)
      end)
    end)
    g:join()
    assert.same({ "deep" }, done)
  end)

  task_it("is joined again without harm", function()
    local g <close> = curio.TaskGroup()
    g:spawn(value, 5)
    g:join()
    g:join()
    assert.equal(5, g.result)
  end)

  task_it("may be joined by two tasks at once", function()
    local g = curio.TaskGroup()
    local slow = g:spawn(after, 6, value, "slow")
    g:spawn(after, 2, value, "quick")
    local a, b = started(g.join, g), started(g.join, g)
    a:join()
    b:join()
    assert.equal("slow", slow:join())
  end)

  task_it("passes spawn's keywords and arguments", function()
    local g <close> = curio.TaskGroup()
    local t = g:spawn { function(...)
      return select("#", ...)
    end, nil, nil, 3, name = "worker" }
    assert.equal("worker", t.name)
    g:join()
    assert.equal(3, g.result)
    local ok, err = pcall(function()
      local h <close> = curio.TaskGroup()
      h:spawn { value, deamon = true }
    end)
    assert.is_false(ok)
    assert.matches("deamon", tostring(err), 1, true)
  end)

  task_it("tells how it stands", function()
    local g <close> = curio.TaskGroup()
    assert.matches("TaskGroup", tostring(g))
    assert.is_nil(g.nonsense)
  end)
end)

describe('wait="all"', function()
  task_it("waits for all; completed is the first to end; results in order of creation", function()
    local g = curio.TaskGroup { wait = "all" }
    local slow, quick = g:spawn(after, 3, value, "slow"), g:spawn(value, "quick")
    g:join()
    assert.equal(quick, g.completed)
    assert.equal("quick", g.result)
    assert.same({ "slow", "quick" }, { g.results[1], g.results[2] })
    assert.is_true(slow.terminated)
    assert.is_nil(g.exception)
  end)

  task_it("keeps the place of a nil among the results", function()
    local g = curio.TaskGroup()
    g:spawn(value, 1)
    g:spawn(value)
    g:spawn(value, 3)
    g:join()
    assert.same({ 1, nil, 3 }, { g.results[1], g.results[2], g.results[3] })
  end)
end)

describe('wait="any"', function()
  task_it("ends with the first that ends, even with nil; cancels the others", function()
    local g = curio.TaskGroup { wait = "any" }
    local loser = g:spawn(forever)
    local winner = g:spawn(after, 1, value)
    g:join()
    assert.equal(winner, g.completed)
    assert.is_nil(g.result)
    assert.is_true(is_cancelled(loser))
    assert.is_nil(g.exception)
    assert.same({ loser, winner }, g.tasks)
  end)

  task_it("does not raise the losers' cancellations from results", function()
    local g = curio.TaskGroup { wait = "any" }
    g:spawn(forever)
    g:spawn(value, "won")
    g:join()
    assert.same({ "won" }, { table.unpack(g.results) })
  end)

  task_it("raises when a member fails, also one that fails in its clean-up", function()
    local g = curio.TaskGroup { wait = "any" }
    g:spawn(crash)
    g:spawn(forever)
    assert.equal("it broke", failure_of(g).cause)
    g = curio.TaskGroup { wait = "any" }
    g:spawn(function()
      local _ <close> = closing(function()
        crash "in clean-up"
      end)
      forever()
    end)
    g:spawn(after, 1, value, "won")
    assert.equal("in clean-up", failure_of(g).cause)
  end)

  task_it("does not end with a cancelled member", function()
    local g = curio.TaskGroup { wait = "any" }
    local a = g:spawn(forever)
    g:spawn(after, 5, value, "won")
    started(a.cancel, a)
    g:join()
    assert.equal("won", g.result)
  end)
end)

describe('wait="object"', function()
  task_it("ends with the first result that is not nil; false counts", function()
    local g = curio.TaskGroup { wait = "object" }
    local none = g:spawn(value)
    local second = g:spawn(after, 1, value, false)
    local third = g:spawn(forever)
    g:join()
    assert.equal(second, g.completed)
    assert.is_false(g.result)
    assert.is_true(none.terminated)
    assert.is_true(is_cancelled(third))
  end)

  task_it("with nothing but nils has no result", function()
    local g = curio.TaskGroup { wait = "object" }
    g:spawn(value)
    g:spawn(value)
    g:join()
    assert.is_nil(g.completed)
    assert.is_nil(g.exception)
    assert.is_false((pcall(function()
      return g.result
    end)))
  end)
end)

describe('wait="none"', function()
  task_it("cancels all at once", function()
    local g = curio.TaskGroup { wait = "none" }
    local a, begun = g:spawn(forever), false
    curio.sleep(0)
    local b = g:spawn(function()
      begun = true
    end)
    g:join()
    assert.is_true(is_cancelled(a))
    assert.is_true(is_cancelled(b))
    assert.is_false(begun)
  end)

  task_it("raises the failure of one that failed before", function()
    local g = curio.TaskGroup { wait = "none" }
    g:spawn(crash)
    curio.sleep(0)
    failure_of(g)
  end)
end)

describe("limit", function()
  task_it("lets no more members run at once; spawn blocks", function()
    local running, most, order = 0, 0, {}
    do
      local g <close> = curio.TaskGroup { limit = 3 }
      for i = 1, 20 do
        g:spawn(function()
          running = running + 1
          most = math.max(most, running)
          after(i % 4, value)
          running = running - 1
        end)
        order[#order + 1] = i
      end
    end
    assert.equal(3, most)
    assert.equal(20, #order)
    assert.equal(0, running)
  end)

  task_it("serves those that wait to spawn first come first", function()
    local begun = {}
    local g <close> = curio.TaskGroup { limit = 1 }
    g:spawn(after, 3, value)
    local spawners = {}
    for i = 1, 4 do
      spawners[i] = started(g.spawn, g, function()
        begun[#begun + 1] = i
        curio.sleep(0)
      end)
    end
    for _, s in ipairs(spawners) do
      s:join()
    end
    g:join()
    assert.same({ 1, 2, 3, 4 }, begun)
  end)

  task_it("with a failing member wakes who waits to spawn, with an error", function()
    local g = curio.TaskGroup { limit = 1 }
    g:spawn(after, 2, crash)
    local began = false
    local ok = pcall(g.spawn, g, function()
      began = true
    end)
    assert.is_false(ok)
    failure_of(g)
    assert.is_false(began)
  end)

  task_it("spawn that waits can be cancelled and times out, and has started nothing", function()
    local g <close> = curio.TaskGroup { limit = 1 }
    g:spawn(forever)
    local began = false
    assert.is_false((pcall(curio.timeout_after, 0.001, g.spawn, g, function()
      began = true
    end)))
    local spawner = started(g.spawn, g, value)
    spawner:cancel()
    g:cancel_remaining()
    assert.is_false(began)
    assert.equal("free", g:spawn(value, "free"):join())
  end)
end)

describe("start", function()
  task_it("waits for curio.started and gives its values; the member goes on", function()
    local events = {}
    local g <close> = curio.TaskGroup()
    local got = table.pack(g:start(function(a, b)
      curio.sleep(0)
      events[#events + 1] = "ready"
      curio.started(a, nil, b, nil)
      events[#events + 1] = "same turn"
      curio.sleep(0)
      events[#events + 1] = "goes on"
      return "result"
    end, 1, 2))
    assert.same({ n = 4, 1, nil, 2, nil }, got)
    events[#events + 1] = "started"
    g:join()
    assert.same({ "ready", "same turn", "started", "goes on" }, events)
    assert.equal("result", g.result)
  end)

  task_it("takes keywords", function()
    local g <close> = curio.TaskGroup()
    local name = g:start { function(x)
      curio.started(curio.current_task().name .. x)
    end, "!", name = "server" }
    assert.equal("server!", name)
  end)

  task_it("raises if the function ends first, well or badly, and harms nobody", function()
    local g = curio.TaskGroup()
    local other = g:spawn(after, 8, value, "other")
    assert.is_false((pcall(g.start, g, value)))
    local ok, err = pcall(g.start, g, after, 2, crash)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskError))
    assert.equal("it broke", err.cause)
    g:join()
    assert.equal("other", other.result)
  end)

  task_it("after started the member's failure counts", function()
    local g = curio.TaskGroup()
    local other = g:spawn(forever)
    g:start(function()
      curio.started()
      crash()
    end)
    assert.equal("it broke", failure_of(g).cause)
    assert.is_true(is_cancelled(other))
  end)

  task_it("cancelled or timed out ends the member that has not started", function()
    local member
    local g <close> = curio.TaskGroup()
    local ok, err = pcall(curio.timeout_after, 0.001, g.start, g, function()
      member = curio.current_task()
      forever()
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
    assert.is_true(is_cancelled(member))
    g:spawn(value)
  end)

  task_it("raises when its member is cancelled before it began", function()
    local g = curio.TaskGroup()
    g:spawn(crash)
    local ok, err = pcall(g.start, g, curio.started)
    assert.is_false(ok)
    assert.is_false(curio.is(err, curio.Deadlock))
    failure_of(g)
    g = curio.TaskGroup()
    local starter = curio.spawn(g.start, g, curio.started)
    curio.spawn(function()
      for _, t in ipairs(g.tasks) do
        t:cancel { blocking = false }
      end
    end)
    curio.sleep(0)
    curio.sleep(0)
    assert.is_not_nil(curio.ignore_after { 2, function()
      starter:wait()
      return true
    end }, "start waits for a member that never begins")
    g:join()
  end)

  task_it("started called again, or elsewhere, does nothing", function()
    local g <close> = curio.TaskGroup()
    assert.equal(1, (g:start(function()
      curio.started(1)
      curio.started(2)
    end)))
    curio.started "here"
    g:spawn(curio.started, "in an ordinary member")
    curio.spawn(curio.started):join()
  end)

  task_it("of a server in a server", function()
    local g <close> = curio.TaskGroup()
    assert.equal("inner outer", g:start(function()
      local h <close> = curio.TaskGroup()
      local inner = h:start(function()
        curio.started "inner"
      end)
      curio.started(inner .. " outer")
    end))
  end)
end)

describe("ten thousand members", function()
  task_it("are joined, in order", function()
    local g = curio.TaskGroup()
    for i = 1, 10000 do
      g:spawn(value, i)
    end
    g:join()
    assert.equal(10000, #g.tasks)
    local results = g.results
    for i = 1, 10000 do
      assert(results[i] == i)
    end
  end)

  task_it("are all cancelled when one fails", function()
    local g = curio.TaskGroup()
    local closed = 0
    for _ = 1, 10000 do
      g:spawn(function()
        local _ <close> = closing(function()
          closed = closed + 1
        end)
        forever()
      end)
    end
    g:spawn(crash)
    assert.same({}, failure_of(g).others)
    assert.equal(10000, closed)
  end)
end)

describe("a group that is dropped", function()
  task_it("leaves its members running; they end in their own time", function()
    local got = {}
    local function drop()
      local g = curio.TaskGroup()
      for i = 1, 3 do
        g:spawn(after, i, function()
          got[#got + 1] = i
        end)
      end
    end
    drop()
    collectgarbage()
    collectgarbage()
    after(8, value)
    assert.same({ 1, 2, 3 }, got)
  end)

  task_it("holds no crash back: it is reported", function(reports)
    local function drop()
      local g = curio.TaskGroup()
      g:spawn(after, 4, crash)
    end
    drop()
    collectgarbage()
    collectgarbage()
    after(8, value)
    assert.equal(1, #reports)
  end)

  task_it("lets a member join another group", function()
    local t
    local function drop()
      local g = curio.TaskGroup()
      t = g:spawn(after, 4, value, "t")
    end
    drop()
    collectgarbage()
    collectgarbage()
    local g = curio.TaskGroup { t }
    g:join()
    assert.equal("t", g.result)
  end)
end)
