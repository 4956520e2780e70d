-- The program: each test runs build/bin/curio as a process of its own, through the shell.

local program = require "spec.program"

local write = program.write
local shell = program.shell
local curio = program.curio
local script = program.script
local prints = program.prints
local fails = program.fails

program.prepare(setup, teardown)

describe("an option of the program:", function()
  it("-e executes a statement", function()
    prints("1\n2\n", curio [[-e "print(1)" -e"print(2)"]])
  end)

  it("-e without an argument is refused", function()
    fails("^curio: '%-e' needs argument\nusage: curio ", curio "-e")
    fails("^curio: '%-e' needs argument\n", curio "-e -v")
  end)

  it("-l requires a module into a global", function()
    write("mod.lua", "return {name = ...}")
    prints("mod\n", curio [[-l mod -e "print(mod.name)"]])
    prints("mod\n", curio [[-lmod -e "print(mod.name)"]])
  end)

  it("-l g=mod requires a module into another global", function()
    write("mod.lua", "return {name = ...}")
    prints("mod\tnil\n", curio [[-l g=mod -e "print(g.name, mod)"]])
  end)

  it("-l mod-v2 requires mod-v2 into mod", function()
    write("mod-v2.lua", "return {name = ...}")
    prints("mod-v2\n", curio [[-l mod-v2 -e "print(mod.name)"]])
  end)

  it("-l tells when there is no such module", function()
    fails("^curio: module 'no_such' not found:\n\tno field package.preload%['no_such'%]\n",
      curio "-l no_such")
  end)

  it("-e, -l and the script run in the order of the command line", function()
    write("mod.lua", "print 'mod'")
    write("script.lua", "print 'script'")
    prints("a\nmod\nb\nscript\n", curio [[-e "print'a'" -l mod -e "print'b'" script.lua]])
  end)

  it("-v and --version show the version", function()
    for option, more in pairs { ["-v"] = "", ["--version"] = "OpenSSL 3[^\n]*\n" } do
      local status, out, err = curio(option)
      assert.equal("", err)
      assert.matches("^curio %S+, on Lua 5%.4%.%d+\n" .. more .. "$", out)
      assert.equal(0, status)
    end
  end)

  it("-v goes on with the script", function()
    local status, out = curio [[-v -e "print(7)"]]
    assert.matches("\n7\n$", out)
    assert.equal(0, status)
  end)

  it("-h and --help show the usage", function()
    for _, option in ipairs { "-h", "--help" } do
      local status, out, err = curio(option)
      assert.equal("", err)
      assert.matches("^usage: curio %[options%] %[script %[args%]%]\n", out)
      assert.equal(0, status)
    end
  end)

  it("-W turns warnings on", function()
    local statement = [[-e "warn('at', 'tention')"]]
    prints("", curio(statement))
    local status, _, err = curio("-W " .. statement)
    assert.equal("Lua warning: attention\n", err)
    assert.equal(0, status)
  end)

  it("warnings can be switched by the script", function()
    local _, _, err = curio [[-e "warn('@on') warn('a', '@off') warn('@off') warn('b')"]]
    assert.equal("Lua warning: a@off\n", err)
  end)

  it("-- ends the options", function()
    write("-e", "print(...)")
    prints("x\n", curio "-- -e x")
    write("-", "print('file', ...)")
    prints("file\tx\n", curio("-- - x", "print 'stdin'"))
  end)

  it("-E ignores the environment", function()
    prints("nil\n", shell [[LUA_INIT="x = 1" LUA_PATH=/nowhere $curio -E -e "print(x)"]])
    local _, out = shell [[LUA_PATH=/nowhere $curio -E -e "print(package.path)"]]
    assert.not_matches("/nowhere", out)
  end)

  it("that is unknown is refused with the usage", function()
    for _, option in ipairs { "-x", "-ix", "-vv", "-EE", "-Wx", "--nonsense", "---" } do
      fails("^curio: unrecognized option '" .. option:gsub("%-", "%%-") .. "'\nusage: curio ",
        curio(option))
    end
  end)
end)

describe("the script", function()
  it("gets its arguments as ... and in arg", function()
    prints("2\ta\tb c\t2\nscript.lua\n",
      script("print(select('#', ...), arg[1], (select(2, ...)), #arg) print(arg[0])", "a 'b c'"))
  end)

  it("finds the interpreter and the options at negative indices", function()
    write("script.lua", "print(arg[-3] == os.getenv 'curio', arg[-2], arg[-1], arg[0], arg[1])")
    prints("true\t-e\tx=1\tscript.lua\ty\n", curio "-e x=1 script.lua y")
  end)

  it("that is absent leaves the interpreter at arg[0]", function()
    prints("true\t-e\n", curio [[-e "print(arg[0] == os.getenv 'curio', arg[1])"]])
  end)

  it("gets what LUA_INIT and -e have made of arg", function()
    write("script.lua", "print(...)")
    prints("z\n", curio [[-e "arg = {'z'}" script.lua y]])
    fails("'arg' is not a table", curio [[-e "arg = 1" script.lua y]])
  end)

  it("may begin with a shebang line", function()
    prints("2\n", script "#!/usr/bin/env curio\nprint(debug.getinfo(1, 'l').currentline)")
  end)

  it("is run by the system with the program as its interpreter", function()
    write("run", "\nprint(...)")
    prints("a\n", shell [[
      { printf '#!%s' "$curio"; cat run; } >runs
      chmod +x runs
      ./runs a]])
  end)

  it("can come from standard input", function()
    prints("3\n", curio("", "print(1 + 2)"))
    prints("x\n", curio("- x", "print(...)"))
    fails("^curio: stdin:1: boom\nstack traceback:\n", curio("", "error 'boom'"))
  end)

  it("is not read from standard input after -e or -v", function()
    prints("e\n", curio([[-e "print'e'"]], "print 'stdin'"))
    local _, out = curio("-v", "print 'stdin'")
    assert.not_matches("stdin", out)
  end)

  it("reads its own input behind it", function()
    prints("word\n", shell([[$curio -e "print(io.read())"]], "word\n"))
  end)

  it("can be precompiled", function()
    write("script.lua", "io.output('script.luac'):write(string.dump(function(...) print(...) end))")
    prints("a\n", shell "$curio script.lua && $curio script.luac a")
  end)

  it("that does not exist is an error", function()
    fails("^curio: cannot open no_such.lua", curio "no_such.lua")
  end)

  it("with a syntax error is told without a traceback", function()
    local status, _, err = script "x = = 1"
    assert.equal("curio: script.lua:1: unexpected symbol near '='\n", err)
    assert.equal(1, status)
  end)

  it("that is to be read from a closed standard input is an error", function()
    fails("^curio: cannot read stdin", shell "$curio <&-")
  end)

  it("finds closed standard files closed, not taken by something else", function()
    write("script.lua", [[
      local data, reason = io.read()
      local written = io.stdout:write "to nobody" and io.stdout:flush()
      io.stderr:write "to nobody"
      io.output("answer"):write(tostring(data), " ", reason, " ", tostring(written))]])
    prints("nil Bad file descriptor nil", shell "$curio script.lua <&- >&- 2>&-; cat answer")
  end)

  it("ends by SIGPIPE when nobody reads its output", function()
    write("script.lua", "for i = 1, 1e6 do print(i) end io.stderr:write 'not reached'")
    prints("1\n", shell "$curio script.lua | head -n 1")
  end)

  it("can load C modules", function()
    if not pcall(require, "lfs") then
      return pending "there is no C module here"
    end
    prints("table\n", curio [[-e "print(type(require 'lfs'))"]])
  end)
end)

describe("LUA_INIT", function()
  it("is run before all else", function()
    prints("1\n", shell [[LUA_INIT="x = 1" $curio -e "print(x)"]])
  end)

  it("yields to LUA_INIT_5_4", function()
    prints("2\n", shell [[LUA_INIT="x = 1" LUA_INIT_5_4="x = 2" $curio -e "print(x)"]])
  end)

  it("can name a file", function()
    write("init.lua", "x = 3")
    prints("3\n", shell [[LUA_INIT=@init.lua $curio -e "print(x)"]])
  end)

  it("may block", function()
    prints("true\n", shell [[LUA_INIT="x = require 'curio'.sleep(0.001)" $curio -e "print(x > 0)"]])
  end)

  it("that fails ends the program", function()
    local status, out, err = shell [[LUA_INIT="error 'bad'" $curio -e "print(1)"]]
    assert.matches("^curio: LUA_INIT:1: bad\nstack traceback:\n", err)
    assert.equal("", out)
    assert.equal(1, status)
    fails("^curio: LUA_INIT_5_4:1: ", shell [[LUA_INIT_5_4="=" $curio -e "print(1)"]])
  end)
end)

describe("an uncaught error", function()
  it("gives the traceback that lua gives", function()
    local status, _, err = script "local function f()\n  error 'boom'\nend\nf()"
    assert.equal([[
curio: script.lua:2: boom
stack traceback:
	[C]: in function 'error'
	script.lua:2: in local 'f'
	script.lua:4: in main chunk
	[C]: in ?
]], err)
    assert.equal(1, status)
  end)

  it("is shown through its __tostring", function()
    local status, _, err =
      script "error(setmetatable({}, {__tostring = function() return 'it broke' end}))"
    assert.equal("curio: it broke\n", err)
    assert.equal(1, status)
  end)

  it("is shown with the traceback that it carries", function()
    fails("^curio: it broke\nstack traceback:\n\tfar away\n$", script [[
      error(setmetatable({ traceback = "stack traceback:\n\tfar away" },
        { __tostring = function() return "it broke" end }))]])
  end)

  it("of curio's own is shown with a traceback", function()
    fails("^curio: [%w: ]*no such thing\nstack traceback:\n.*script.lua:1: in main chunk\n",
      script "error(require 'curio.errors'.CurioError 'no such thing')")
  end)

  it("that is no string is told apart", function()
    fails("^curio: %(error object is a nil value%)\n", script "error()")
    fails("^curio: %(error object is a table value%)\n", script "error {}")
    fails("^curio: 42\n", script "error(42)")
  end)

  it("in a task that is joined is shown with the task's traceback", function()
    fails("^curio: .*boom\nstack traceback:\n.*script.lua:2: in ", script [[
      local t = require "curio".spawn(function()
        error "boom"
      end)
      t:join()]])
  end)

  it("within __close handlers is the last one", function()
    fails("^curio: script.lua:1: second\n", script [[
      local _ <close> = setmetatable({}, { __close = function() error "second" end })
      error "first"]])
  end)

  it("leaves time for __close handlers that block", function()
    local status, out, err = script [[
      local curio = require "curio"
      local _ <close> = setmetatable({}, { __close = function()
        print(curio.sleep(0.01) > 0)
      end })
      error "boom"]]
    assert.equal("true\n", out)
    assert.matches("^curio: script.lua:5: boom\n", err)
    assert.equal(1, status)
  end)
end)

describe("at top level", function()
  it("the script may block", function()
    prints("true\n", script "print(require 'curio'.sleep(0.001) > 0)")
  end)

  it("-e may block", function()
    prints("true\n", curio [[-l curio -e "print(curio.sleep(0.001) > 0)"]])
  end)

  it("a module of -l may block", function()
    write("mod.lua", "return require 'curio'.sleep(0.001)")
    prints("true\n", curio [[-l mod -e "print(mod > 0)"]])
  end)

  it("a dofile may block", function()
    write("other.lua", "return require 'curio'.sleep(0.001)")
    prints("true\n", script "print(dofile 'other.lua' > 0)")
  end)

  it("a script from standard input may block", function()
    prints("true\n", curio("", "print(require 'curio'.sleep(0.001) > 0)"))
  end)

  it("the main task is called after what it runs", function()
    local print_name = "print(require 'curio'.current_task().name)"
    prints("(command line):1\n", curio(('-e "%s"'):format(print_name)))
    prints("script.lua:1\n", script(print_name))
    prints("stdin:1\n", curio("-", print_name))
  end)

  it("tasks run while the script blocks", function()
    prints("in task\nafter\n", script [[
      local curio = require "curio"
      local t = curio.spawn(function() print "in task" end)
      t:join()
      print "after"]])
  end)

  it("tasks that are left over are cancelled at the end", function()
    prints("end\nclosed\n", script [[
      local curio = require "curio"
      curio.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() print "closed" end })
        curio.sleep(100)
      end)
      curio.sleep(0)
      print "end"]])
  end)

  it("curio.run behaves as under lua", function()
    prints("1\t2\nnow\n", script [[
      local curio = require "curio"
      print(curio.run(function(a) curio.sleep(0) return a, 2 end, 1))
      print "now"]])
  end)

  it("a generator that blocks works", function()
    prints("1\n2\n", script [[
      local curio = require "curio"
      local function numbers()
        for i = 1, 2 do
          curio.sleep(0.001)
          coroutine.yield(i)
        end
      end
      for i in coroutine.wrap(numbers) do print(i) end]])
  end)
end)
