-- Reports of crashes: what, when, and what is none.

local curio = require "curio"
local helper = require "spec.helper"

local closing = helper.closing

local FILE = debug.getinfo(1, "S").short_src

local function line()
  return debug.getinfo(2, "l").currentline
end

-- Runs fn as a main task; gives what curio.log was told meanwhile: a list of {level=, message=}.
local function reports_of(fn)
  local list = {}
  local old = curio.log
  curio.log = function(level, message)
    list[#list + 1] = { level = level, message = message }
  end
  local ok, err = pcall(curio.run, fn, list)
  curio.log = old
  if not ok then
    error(err, 0)
  end
  return list
end

local CRASH = FILE .. ":" .. line() + 3 .. ":"

local function crash()
  error "it broke"
end

describe("a crash", function()
  it("that nobody waits for is reported at once: error, traceback, where it was spawned", function()
    local at
    local reports = reports_of(function(list)
      at = line() + 1
      curio.spawn { crash, name = "breaker" }
      assert.equal(0, #list)
      curio.sleep(0)
      assert.equal(1, #list)
    end)
    assert.equal(1, #reports)
    assert.equal("error", reports[1].level)
    local text = reports[1].message
    assert.matches("it broke", text, 1, true)
    assert.matches("breaker", text, 1, true)
    assert.matches("traceback", text, 1, true)
    assert.matches("\n%s+" .. CRASH:gsub("%p", "%%%0"), text)
    assert.matches(FILE .. ":" .. at, text, 1, true)
  end)

  it("shows the call that raised inside a generator of the task", function()
    local reports = reports_of(function()
      curio.spawn(function()
        coroutine.wrap(crash)()
      end)
      curio.sleep(0)
    end)
    assert.equal(1, #reports)
    assert.matches("it broke", reports[1].message, 1, true)
  end)

  it("does not end the program, nor other tasks", function()
    reports_of(function()
      local other = curio.spawn(function()
        curio.sleep(0.001)
        return "alive"
      end)
      curio.spawn(crash)
      assert.equal("alive", other:join())
    end)
  end)

  it("of a task that was joined, waited for, or is in a group is not reported", function()
    assert.same({}, reports_of(function()
      local a = curio.spawn(crash)
      pcall(a.join, a)
      curio.spawn(crash):wait()
      local g = curio.TaskGroup()
      g:spawn(crash)
      pcall(g.join, g)
      local c = curio.TaskGroup { errors = "collect" }
      c:spawn(crash)
      c:join()
    end))
  end)

  it("is reported although it is joined later", function()
    local reports = reports_of(function()
      local t = curio.spawn(crash)
      curio.sleep(0)
      pcall(t.join, t)
    end)
    assert.equal(1, #reports)
  end)

  it("is reported when the one who waited has given up before", function()
    local reports = reports_of(function()
      local t = curio.spawn(function()
        curio.sleep(0.002)
        crash()
      end)
      pcall(curio.timeout_after, 0.0001, t.join, t)
      curio.sleep(0.005)
    end)
    assert.equal(1, #reports)
  end)

  it("of a daemon is reported", function()
    local reports = reports_of(function()
      curio.spawn { crash, daemon = true }
      curio.sleep(0)
    end)
    assert.equal(1, #reports)
  end)

  it("by a cancellation is not reported, an escaped timeout is", function()
    local reports = reports_of(function()
      local a = curio.spawn(curio.sleep, 1000)
      curio.sleep(0)
      a:cancel { blocking = false }
      local b = curio.spawn(curio.sleep, 1000)
      b:cancel { blocking = false }
      curio.spawn(error, curio.TaskCancelled "by hand")
      curio.sleep(0)
      curio.sleep(0)
    end)
    assert.same({}, reports)
    reports = reports_of(function()
      curio.spawn(curio.timeout_after, 0.0001, curio.sleep, 1000)
      curio.sleep(0.003)
    end)
    assert.equal(1, #reports)
  end)

  it("of the main task is raised by run and not reported", function()
    local list = {}
    local old = curio.log
    curio.log = function(_, message)
      list[#list + 1] = message
    end
    local mistake = {}
    local ok, err = pcall(curio.run, function()
      error(mistake)
    end)
    local _, text = pcall(curio.run, crash)
    curio.log = old
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.matches("it broke", text, 1, true)
    assert.matches("traceback", text, 1, true)
    assert.same({}, list)
  end)

  it("in the clean-up after a cancellation that nobody waits for is reported", function()
    local reports = reports_of(function()
      local t = curio.spawn(function()
        local _ <close> = closing(function()
          error "clean-up broke"
        end)
        curio.sleep(1000)
      end)
      curio.sleep(0)
      t:cancel { blocking = false }
      curio.sleep(0)
    end)
    assert.equal(1, #reports)
    assert.matches("clean-up broke", reports[1].message, 1, true)
  end)

  it("with any value is reported and names the task", function()
    local odd = setmetatable({}, { __tostring = function()
      error "cannot be shown"
    end })
    local values = { n = 6, nil, 5, true, {}, crash, odd }
    for i = 1, values.n do
      local reports = reports_of(function()
        curio.spawn { function()
          error(values[i])
        end, name = "breaker" }
        curio.sleep(0)
      end)
      assert.equal(1, #reports, "error " .. i)
      assert.matches("breaker", reports[1].message, 1, true)
    end
  end)

  it("still ends the task when curio.log itself fails", function()
    local old = curio.log
    curio.run(function()
      curio.log = function()
        error { "the log broke" }
      end
      local t = curio.spawn(crash)
      curio.sleep(0)
      curio.log = old
      assert.is_true(t.terminated)
      assert.is_false(pcall(t.join, t))
    end)
  end)
end)
