-- The REPL, driven through a pseudo-terminal as a person would, and from a pipe.

local curio = require "curio"
local helper = require "spec.helper"
local program = require "spec.program"
local repl = require "curio.program.repl"
local subprocess = require "curio.subprocess"

local it = helper.task_it(it)

local CTRL_C, CTRL_D, TAB = "\3", "\4", "\t"

local Session = {}
Session.__index = Session

function Session.__close(self)
  local child <close> = self.child
  child:kill()
  os.remove(self.history)
end

-- A REPL on a terminal; what comes up to its first prompt is read.
local function session(options)
  options = options or {}
  local self = setmetatable({ history = options.history or os.tmpname() }, Session)
  local env = {
    PATH = os.getenv "PATH", TERM = options.term or "xterm", CURIO_HISTORY = self.history,
    LC_ALL = "C", INPUTRC = "/dev/null", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS",
    LUA_INIT = options.init,
  }
  self.child = assert(subprocess.Popen { program.path, pty = true, env = env })
  self.seen = ""
  self:expect "\n> "
  return self
end

-- Without what only moves the cursor or says how pasting works.
local function plain(text)
  return (text:gsub("\27%[[?%d;]*%a", ""):gsub("\r", ""))
end

-- Reads on until the text has come; gives what came before it.
function Session:expect(text)
  local ok, before = pcall(curio.timeout_after, helper.PATIENCE, function()
    while true do
      local from, to = self.seen:find(text, 1, true)
      if from then
        local before = self.seen:sub(1, from - 1)
        self.seen = self.seen:sub(to + 1)
        return before
      end
      local data = self.child.stdout:read(4096)
      if not data then
        error("the session ended", 0)
      end
      self.seen = plain(self.seen .. data)
    end
  end)
  assert(ok, ("%q did not come; there is %q"):format(text, self.seen))
  return before
end

function Session:type(text)
  assert(self.child.stdin:write(text))
end

-- A line is entered; what is shown up to the next prompt.
function Session:enter(line, prompt)
  self:type(line .. "\n")
  self:expect(line .. "\n")
  return self:expect(prompt or "> ")
end

describe("the REPL on a terminal", function()
  for _, term in ipairs { "xterm", "dumb" } do
    local function with_session(name, fn)
      it(name .. (" (TERM=%s)"):format(term), function()
        local s <close> = session { term = term }
        fn(s)
      end)
    end

    with_session("shows the values of expressions, also of those that block", function(s)
      assert.equal("2\n", s:enter "1 + 1")
      assert.equal("a\t{ 1, b = 2 }\tnil\n", s:enter '"a", {1, b = 2}, nil')
      assert.equal("7\n", s:enter 'curio.spawn(function() curio.sleep(0.01) return 7 end):join()')
      assert.equal("", s:enter "x = 5")
      assert.equal("5\n", s:enter "x")
    end)

    with_session("tells errors, and goes on", function(s)
      assert.matches("stdin:1: oh dear\nstack traceback:", (s:enter 'error "oh dear"'))
      assert.matches("unexpected symbol near '='", (s:enter "x = = 1"))
      assert.matches("^OSError: connect 127.0.0.1:1: .*ECONNREFUSED",
        (s:enter 'assert(curio.open_connection("127.0.0.1", 1))'))
      assert.equal("2\n", s:enter "1 + 1")
    end)

    with_session("reads on while a statement is not complete", function(s)
      assert.equal("", s:enter("function f(a)", ">> "))
      assert.equal("", s:enter("  return a * 2", ">> "))
      assert.equal("", s:enter "end")
      assert.equal("42\n", s:enter "f(21)")
      assert.equal("", s:enter("1 +", ">> "))
      assert.equal("3\n", s:enter "2")
    end)

    with_session("lets tasks go on while it waits", function(s)
      s:enter "function tick() while true do n = n + 1 curio.sleep(0.01) end end"
      s:enter "n = 0 t = curio.spawn(tick)"
      s:enter "curio.sleep(0.05)"
      local before = tonumber(s:enter "n":match "%d+")
      curio.timeout_after(helper.PATIENCE, function()
        repeat
          curio.sleep(0.01)
        until tonumber(s:enter "n":match "%d+") > before
      end)
      assert.equal("true\n", s:enter "t:cancel()")
    end)

    with_session("interrupts what blocks, what spins, and what is half entered", function(s)
      s:type "curio.sleep(1000)\n"
      s:expect "curio.sleep(1000)\n"
      curio.sleep(0.05)
      s:type(CTRL_C)
      assert.matches("interrupted\n$", (s:expect "> "))
      s:type(helper.SPIN .. "\n")
      s:expect(helper.SPIN .. "\n")
      curio.sleep(0.05)
      s:type(CTRL_C)
      assert.matches("interrupted\n$", (s:expect "> "))
      s:enter("function f()", ">> ")
      s:type(CTRL_C)
      s:expect "> "
      assert.equal("2\n", s:enter "1 + 1")
    end)

    with_session("interrupts what swallows errors", function(s)
      for _, what in ipairs { "curio.sleep, 1000", "load '" .. helper.SPIN .. "'" } do
        s:type("while true do pcall(" .. what .. ") end\n")
        s:expect "end\n"
        curio.sleep(0.05)
        s:type(CTRL_C)
        assert.matches("interrupted\n$", (s:expect "> "))
      end
      assert.equal("2\n", s:enter "1 + 1")
    end)

    with_session("has ps, where and curio at hand", function(s)
      s:enter 'curio.spawn { curio.sleep, 100, name = "a sleeper" }'
      assert.matches("Task.*TIME_SLEEP.*a sleeper\n", (s:enter "ps()"))
      assert.matches("Task%(id=1", (s:enter "where(1)"))
      assert.equal("5\n", s:enter "curio.run(function() return 5 end)")
    end)

    with_session("ends with the input, and its tasks with it", function(s)
      s:enter 'curio.spawn(curio.sleep, 1000)'
      s:type(CTRL_D)
      assert.equal(0, s.child:wait())
    end)

    with_session("ends by os.exit", function(s)
      s:type "os.exit(3, true)\n"
      assert.equal(3, s.child:wait())
    end)
  end

  -- The terminal as who comes after finds it.
  local function is_restored(s)
    local done = assert(subprocess.run {
      "stty", "-a", stdin = s.child.stdin, capture_output = true,
    })
    return done.stdout:find("[^-]icanon") ~= nil and done.stdout:find("[^-]echo ") ~= nil
  end

  for _, signal in ipairs { "SIGTERM", "SIGHUP", "SIGABRT" } do
    it("gives the terminal back when it is ended by " .. signal, function()
      local s <close> = session()
      s:enter "1 + 1"
      s.child:send_signal(curio.signal[signal])
      assert.equal(-curio.signal[signal], s.child:wait())
      assert.is_true(is_restored(s))
    end)
  end

  it("gives the terminal back when SIGINT ends it, as a task never gives way", function()
    local s <close> = session()
    s:enter("function f() curio.sleep(.1) print 'spins' " .. helper.SPIN .. " end")
    s:enter "t = curio.spawn(f)"
    s:expect "spins"
    curio.timeout_after(helper.PATIENCE, function()
      while not s.child:poll() do
        s.child:send_signal(curio.signal.SIGINT)
        curio.sleep(0.02)
      end
    end)
    assert.equal(-curio.signal.SIGINT, s.child.returncode)
    assert.is_true(is_restored(s))
  end)

  it("completes names, if there is a library for editing", function()
    local s <close> = session()
    if s:enter "require('curio.core').edit.available()" ~= "true\n" then
      return
    end
    s:type("curio.sle" .. TAB .. "(0.01) and 'slept'\n")
    s:expect "slept\n"
    s:type("string.for" .. TAB .. '("%d", 12)\n')
    s:expect "12\n"
  end)

  it("keeps the history in a file", function()
    local path = os.tmpname()
    do
      local s <close> = session { history = path }
      if s:enter "require('curio.core').edit.available()" ~= "true\n" then
        return
      end
      s:enter "1234 + 1"
      s:type(CTRL_D)
      s.child:wait()
      assert.matches("1234 %+ 1\n", helper.read(path))
    end
    helper.write(path, "4321 + 1\n")
    local s <close> = session { history = path }
    s:type "\27[A\n"
    s:expect "4322\n"
  end)
end)

describe("the REPL from a pipe", function()
  program.prepare(setup, teardown)

  it("runs after the script with -i", function()
    program.write("script.lua", "x = 21")
    local status, out, err = program.curio("-i script.lua", "x * 2\nerror 'no'\nx\n")
    assert.equal(0, status)
    assert.matches("^curio [^\n]*\n> 42\n> > 21\n> \n$", out)
    assert.matches("^stdin:1: no\nstack traceback:", err)
  end)

  it("does not run after a script that failed", function()
    program.write("script.lua", "error 'broken'")
    local status, out, err = program.curio("-i script.lua", "print 'reached'\n")
    assert.equal(1, status)
    assert.is_nil(out:find "reached")
    assert.matches("broken", err)
  end)
end)

describe("values in the REPL", function()
  local show = repl.show

  it("are shown readably", function()
    assert.equal("{}", show {})
    assert.equal('{ 1, "two", { 3 }, a = true, ["end"] = 2, ["x y"] = 1 }',
      show { 1, "two", { 3 }, a = true, ["end"] = 2, ["x y"] = 1 })
    assert.equal('{ [1.5] = "f", [true] = 1 }', show { [true] = 1, [1.5] = "f" })
    assert.equal('"line\\nbreak"', show "line\nbreak")
  end)

  it("are cut where they have no end", function()
    local t = { 1 }
    t.t = t
    assert.equal("{ 1, t = <itself> }", show(t))
    assert.equal("{ { { { {...} } } } }", show { { { { { {} , 1 } } } } })
    local long = {}
    for i = 1, 1000 do
      long[i] = i
    end
    assert.matches("100,\n  ... 900 more\n}$", show(long))
  end)

  it("are those of __tostring where there is one, whatever it does", function()
    assert.equal("mine", show(setmetatable({}, { __tostring = function()
      return "mine"
    end })))
    assert.equal("string", type(show(setmetatable({}, { __tostring = error }))))
  end)

  it("complete by globals, fields and methods", function()
    assert.same({ "string.format" }, repl.complete "string.for")
    assert.same({ "repeat", "require", "return" }, (function(list)
      local some = {}
      for _, name in ipairs(list) do
        if name ~= "repl" then
          some[#some + 1] = name
        end
      end
      return some
    end)(repl.complete "re"))
    assert.same({}, repl.complete "nothing.")
    assert.same({}, repl.complete "f().x")
  end)
end)
