-- The examples about synchronisation, run in virtual time.

local curio = require "curio"
local testing = require "curio.testing"

-- What the example prints, as a list of lines.
local function output_of(name)
  local lines = {}
  local face = setmetatable({
    run = function(fn)
      return curio.run { fn, clock = testing.autojump() }
    end,
  }, { __index = curio })
  local env = setmetatable({
    require = function(module)
      return module == "curio" and face or require(module)
    end,
    print = function(...)
      local words = table.pack(...)
      for i = 1, words.n do
        words[i] = tostring(words[i])
      end
      lines[#lines + 1] = table.concat(words, " ")
    end,
  }, { __index = _G })
  assert(loadfile("examples/" .. name .. ".lua", "t", env))()
  return lines
end

local function length(name)
  local n = 0
  for _ in io.lines("examples/" .. name .. ".lua") do
    n = n + 1
  end
  return n
end

describe("The example", function()
  it("boundsema.lua lets two in and cannot be released too often", function()
    local lines = output_of "boundsema"
    assert.same({ "Ann is in", "Bob is in", "Ann leaves", "Bob leaves", "Cem is in", "Cem leaves",
      "semaphore released too often" }, lines)
  end)

  it("prodcons.lua moves every item", function()
    local lines, got = output_of "prodcons", {}
    for _, line in ipairs(lines) do
      got[#got + 1] = line:match "^Consumer %d got (%w+)$"
    end
    table.sort(got)
    assert.same({ "a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4" }, got)
  end)

  it("promise.lua passes values and errors on", function()
    local lines = output_of "promise"
    assert.same({ "one got 42", "two got 42" }, { lines[1], lines[2] })
    assert.matches("^three failed: .*out of order$", lines[3])
  end)

  it("ratelimit.lua lets three pass at once and then ten a second", function()
    assert.same({
      "request 1 after 0.0 s",
      "request 2 after 0.0 s",
      "request 3 after 0.0 s",
      "request 4 after 0.1 s",
      "request 5 after 0.2 s",
      "request 6 after 0.3 s",
      "request 7 after 0.4 s",
      "request 8 after 0.5 s",
    }, output_of "ratelimit")
  end)

  for _, name in ipairs { "boundsema", "prodcons", "promise", "ratelimit", "rwlock" } do
    it(name .. ".lua is not longer than 60 lines", function()
      assert.is_true(length(name) <= 60)
    end)
  end
end)

describe("The example rwlock.lua", function()
  local it = testing.it(it)
  local new = require "examples.rwlock"

  local function spawn(fn, ...)
    local task = curio.spawn(fn, ...)
    testing.wait_all_blocked()
    return task
  end

  -- Holds the lock until it is cancelled.
  local function holder(lock, how)
    return spawn(function()
      local _ <close> = lock[how](lock)
      curio.Event():wait()
    end)
  end

  it("lets readers share and writers not", function()
    local lock = new()
    local one, two = holder(lock, "read"), holder(lock, "read")
    local writer = holder(lock, "write")
    assert.equal("EVENT_WAIT", two.state)
    assert.equal("WRITE_ACQUIRE", writer.state)
    local three = holder(lock, "read")
    assert.equal("READ_ACQUIRE", three.state)
    one:cancel()
    assert.equal("WRITE_ACQUIRE", writer.state)
    two:cancel()
    testing.wait_all_blocked()
    assert.equal("EVENT_WAIT", writer.state)
    assert.equal("READ_ACQUIRE", three.state)
    writer:cancel()
    testing.wait_all_blocked()
    assert.equal("EVENT_WAIT", three.state)
    three:cancel()
  end)

  it("lets the readers in that stand behind a writer who gives up", function()
    local lock = new()
    local one, writer = holder(lock, "read"), holder(lock, "write")
    local two = holder(lock, "read")
    writer:cancel()
    testing.wait_all_blocked()
    assert.equal("EVENT_WAIT", two.state)
    one:cancel()
    two:cancel()
    local _ <close> = lock:write()
  end)
end)
