-- SIGINT and SIGQUIT, each test in a process of its own that signals itself through a child.

local helper = require "spec.helper"

local under_program = helper.under_program

-- Signals that arrive while the child runs are delivered before popen's close returns.
local prelude = [[
local curio = require "curio"
local pid = io.popen("echo $PPID"):read("n")
local function kill(signal)
  io.popen("kill -" .. signal .. " " .. pid):close()
end
io.stdout:setvbuf "no"
local function spin() ]] .. helper.SPIN .. " end\n"

-- Its output (stderr too) and its exit status, as the shell has it.
local function run(script)
  local text, status = helper.child(prelude .. script):match("^(.*)status (%d+)\n$")
  return text, tonumber(status)
end

local function prints(expected, script)
  local out, status = run(script)
  assert.equal(expected, out)
  assert.equal(0, status)
end

describe("the first SIGINT", function()
  it("raises Interrupted in the main task, where it sleeps", function()
    prints("Interrupted\tfalse\n", [[
      local ok, err = pcall(curio.run, function()
        curio.spawn(function() kill "INT" end)
        curio.sleep(100)
      end)
      print(err.name, ok)
    ]])
  end)

  it("raises Interrupted in the main task, where it is busy", function()
    prints("closed\nInterrupted\n", [[
      print(select(2, pcall(curio.run, function()
        local _ <close> = setmetatable({}, { __close = function()
          curio.disable_cancellation(curio.sleep, 0.001)
          print "closed"
        end })
        io.popen("sleep 0.1; kill -INT " .. pid)
        spin()
      end)).name)
    ]])
  end)

  it("reaches a busy main task in a generator", function()
    prints("Interrupted\n", [[
      print(select(2, pcall(curio.run, function()
        io.popen("sleep 0.1; kill -INT " .. pid)
        coroutine.wrap(function()
          coroutine.wrap(function() spin() end)()
        end)()
      end)).name)
    ]])
  end)

  it("reaches a main task that is busy where Lua cannot yield", function()
    prints("Interrupted\n", [[
      print(select(2, pcall(curio.run, function()
        io.popen("sleep 0.1; kill -INT " .. pid)
        string.gsub("a", ".", function() spin() end)
      end)).name)
    ]])
  end)

  it("reaches a main task that is busy in a generator where Lua cannot yield", function()
    prints("Interrupted\n", [[
      print(select(2, pcall(curio.run, function()
        io.popen("sleep 0.1; kill -INT " .. pid)
        string.gsub("a", ".", function()
          coroutine.wrap(function() spin() end)()
        end)
      end)).name)
    ]])
  end)

  it("raises in the main task, not in the one that runs", function()
    prints("worker goes on\nmain\tInterrupted\nworker\tTaskCancelled\n", [[
      pcall(curio.run, function()
        curio.spawn(function()
          kill "INT"
          print "worker goes on"
          print("worker", select(2, pcall(curio.sleep, 100)).name)
          curio.sleep(0)
        end)
        local ok, err = pcall(curio.sleep, 100)
        print("main", err.name)
        error(err)
      end)
    ]])
  end)

  it("waits while cancellation is disabled", function()
    prints("shielded\nInterrupted\n", [[
      print(select(2, pcall(curio.run, function()
        curio.disable_cancellation(function()
          kill "INT"
          curio.sleep(0.01)
          print "shielded"
        end)
        curio.sleep(100)
      end)).name)
    ]])
  end)

  it("runs the clean-up of every task, also what blocks", function()
    prints("main closed\ntask closed\nInterrupted\n", [[
      local function closing(what)
        return setmetatable({}, { __close = function()
          curio.disable_cancellation(curio.sleep, 0.001)
          print(what, "closed")
        end })
      end
      local old = print
      function print(...) old(table.concat({...}, " ")) end
      old(select(2, pcall(curio.run, function()
        curio.spawn(function()
          local _ <close> = closing "task"
          curio.sleep(100)
        end)
        local _ <close> = closing "main"
        curio.schedule()
        kill "INT"
        curio.sleep(100)
      end)).name)
    ]])
  end)

  it("can be accepted, and comes again", function()
    prints("1\tInterrupted\n2\tInterrupted\n3\tInterrupted\ndone\n", [[
      curio.run(function()
        for i = 1, 3 do
          local ok, err = pcall(function()
            kill "INT"
            curio.sleep(100)
          end)
          print(i, err.name)
          curio.check_cancellation(curio.Interrupted)
          curio.sleep(0.001)
        end
        print "done"
      end)
    ]])
  end)

  it("interrupts one run after the other", function()
    prints("Interrupted\nInterrupted\nInterrupted\n", [[
      for _ = 1, 3 do
        print(select(2, pcall(curio.run, function()
          kill "INT"
          curio.sleep(100)
        end)).name)
      end
    ]])
  end)

  it("ends a script that does not handle it, with status 130 under the program", function()
    local out, status = run [[
      curio.run(function()
        kill "INT"
        curio.sleep(100)
      end)
    ]]
    assert.matches("Interrupted", out)
    assert.equal(under_program and 130 or 1, status)
  end)
end)

describe("the second SIGINT", function()
  it("ends the process at once, within the clean-up", function()
    local out, status = run [[
      curio.run(function()
        local _ <close> = setmetatable({}, { __close = function()
          print "cleaning"
          kill "INT"
          print "not reached"
        end })
        kill "INT"
        curio.sleep(100)
      end)
      print "not reached"
    ]]
    assert.equal("cleaning\n", out)
    assert.equal(130, status)
  end)

  it("ends a process whose main task does not listen", function()
    local out, status = run [[
      curio.run(function()
        curio.spawn(function()
          kill "INT"
          print "first"
          kill "INT"
          print "not reached"
        end)
        curio.disable_cancellation(curio.sleep, 100)
      end)
    ]]
    assert.equal("first\n", out)
    assert.equal(130, status)
  end)
end)

describe("the handler", function()
  local handlers = [[
    local function handler(signal)
      for line in io.lines("/proc/self/status") do
        local mask = line:match("^Sig" .. signal .. ":%s*(%x+)")
        if mask then return mask end
      end
    end
  ]]

  it("that was in force before is put back", function()
    if under_program then
      return pending("a kernel runs all the time under the program")
    end
    prints("true\ttrue\ttrue\n", handlers .. [[
      local before, ignored = handler "Cgt", handler "Ign"
      curio.run(curio.sleep, 0)
      local after_run = handler "Cgt"
      pcall(curio.run, error, "x")
      local k = curio.Kernel()
      k:run(curio.sleep, 0)
      k:run()
      k:shutdown()
      print(after_run == before, handler "Cgt" == before, handler "Ign" == ignored)
    ]])
  end)

  it("that was in force before works again", function()
    if under_program then
      return pending("a kernel runs all the time under the program")
    end
    local out, status = run [[
      curio.run(curio.sleep, 0)
      pcall(curio.run, function()
        kill "INT"
        curio.sleep(100)
      end)
      print "outside"
      kill "INT"
      for _ = 1, 1e6 do end
      print "not reached"
    ]]
    assert.matches("^outside\n", out) -- the stand-alone interpreter's own handler
    assert.matches("interrupted!", out)
    assert.equal(1, status)
  end)

  it("is not taken where SIGINT is ignored", function()
    local out = helper.child(prelude .. [[
      curio.run(function()
        kill "INT"
        curio.sleep(0.001)
        print "not interrupted"
      end)
    ]], [[sh -c "trap '' INT; exec \"\$@\"" sh]])
    if under_program then
      assert.equal("not interrupted\nstatus 0\n", out)
    else
      -- the stand-alone interpreter has set its own handler by then
      assert.matches("interrupt", out)
    end
  end)
end)

describe("SIGQUIT", function()
  it("under the program prints every task's stack and goes on", function()
    if not under_program then
      return pending("only under the program")
    end
    local out, status = run [[
      local function sleep_deep() curio.sleep(100) return 1 end
      local function deeper() coroutine.wrap(function() sleep_deep() return 1 end)() return 1 end
      curio.spawn { function() deeper() return 1 end, name = "the sleeper" }
      curio.spawn { function() curio.schedule() curio.Event():wait() end, name = "the waiter" }
      curio.schedule()
      kill "QUIT"
      curio.sleep(0)
      print "goes on"
      os.exit(0)
    ]]
    assert.matches("the sleeper[^\n]*TIME_SLEEP", out)
    assert.matches("sleep_deep.*deeper", out)
    assert.matches("the waiter", out)
    assert.matches("goes on\n$", out)
    assert.equal(0, status)
  end)

  it("under the program shows the line of a busy task", function()
    if not under_program then
      return pending("only under the program")
    end
    local out, status = run [[
      local function busy()
        kill "QUIT"
        for _ = 1, 1e6 do end
      end
      curio.spawn(function() busy() return 1 end):join()
      print "goes on"
    ]]
    assert.matches("busy", out)
    assert.matches("goes on\n$", out)
    assert.equal(0, status)
  end)

  it("under stock Lua ends the process, as ever", function()
    if under_program then
      return pending("only under stock Lua")
    end
    local out, status = run [[
      curio.run(function()
        kill "QUIT"
        curio.sleep(1)
        print "not reached"
      end)
    ]]
    assert.is_nil(out:find("not reached", 1, true))
    assert.equal(131, status)
  end)
end)
