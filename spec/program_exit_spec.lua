-- How the program ends: os.exit, signals, memory that runs out.

local helper = require "spec.helper"
local program = require "spec.program"

local write = program.write
local shell = program.shell
local curio = program.curio
local script = program.script
local prints = program.prints
local fails = program.fails

program.prepare(setup, teardown)

describe("os.exit", function()
  it("ends with the code that it is given", function()
    for code, status in pairs { [""] = 0, ["true"] = 0, ["false"] = 1, ["7"] = 7, ["'8'"] = 8 } do
      assert.equal(status, (curio(("-e 'os.exit(%s)'"):format(code:gsub("'", '"')))))
    end
  end)

  it("ends with the code that it is given when it closes", function()
    local codes = { ["nil"] = 0, ["true"] = 0, ["false"] = 1, ["7"] = 7, ["8.0"] = 8 }
    for code, status in pairs(codes) do
      assert.equal(status, (curio(("-e 'os.exit(%s, true)'"):format(code))))
    end
  end)

  it("does not return", function()
    prints("", curio "-e 'os.exit(0, true) print(1)' -e 'print(2)'")
    prints("", curio "-e 'os.exit(0) print(1)' -e 'print(2)'")
  end)

  it("refuses other values, as Lua does", function()
    fails("bad argument #1 to 'exit' %(number expected, got table%)",
      curio "-e 'os.exit({}, true)'")
    fails("bad argument #1 to 'exit'", curio "-e 'os.exit(1.5, true)'")
  end)

  local handlers = [[
    local curio = require "curio"
    local function closing(name)
      return setmetatable({}, {
        __close = function() print("closed " .. name) end,
        __gc = function() print("collected " .. name) end,
      })
    end
    local keep <close> = closing "main"
    curio.spawn(function()
      local _ <close> = closing "task"
      curio.sleep(100)
    end)
    curio.sleep(0)
  ]]

  it("runs no handler unless asked to", function()
    local status, out = script(handlers .. "os.exit(3)")
    assert.equal("", out)
    assert.equal(3, status)
  end)

  it("runs every task's handlers when asked to, and closes the state", function()
    local status, out, err = script(handlers .. "os.exit(3, true)")
    assert.matches("closed main\n", out)
    assert.matches("closed task\n", out)
    assert.matches("collected main\n", out)
    assert.matches("collected task\n", out)
    assert.equal("", err)
    assert.equal(3, status)
  end)

  it("ends the program from any task", function()
    local status, out, err = script(handlers .. [[
      curio.spawn(function() os.exit(4, true) end)
      curio.sleep(100)]])
    assert.matches("closed main\n", out)
    assert.equal("", err)
    assert.equal(4, status)
  end)

  it("ends the program from a generator", function()
    local status, out, err = script(handlers .. [[
      for _ in coroutine.wrap(function() os.exit(5, true) end) do print "not reached" end]])
    assert.matches("closed main\n", out)
    assert.not_matches("not reached", out)
    assert.equal("", err)
    assert.equal(5, status)
  end)

  it("ends the program from under curio.run", function()
    local status, out, err = script(handlers .. "curio.run(function() os.exit(6, true) end)")
    assert.matches("closed main\n", out)
    assert.equal("", err)
    assert.equal(6, status)
  end)

  for what, call in pairs {
    comparator = "pcall(table.sort, { 3, 2, 1 }, exit)",
    ["gsub callback of another task"] = [[
      curio.spawn(function() pcall(string.gsub, "a", "a", exit) end)
      curio.sleep(100)]],
    ["gsub callback under disable_cancellation"] =
      "curio.disable_cancellation(string.gsub, 'a', 'a', exit)",
    finaliser = "setmetatable({}, { __gc = exit }) collectgarbage() curio.sleep(0)",
    ["debug hook"] = "debug.sethook(exit, '', 1) for _ = 1, 10 do pcall(type) end",
    ["logger, between two tasks"] = "curio.log = exit curio.spawn(error, 'x') curio.sleep(100)",
  } do
    it("ends the program where Lua cannot yield: in a " .. what, function()
      local status, out = script(handlers .. [[
        local function exit() debug.sethook() os.exit(9, true) print "it has returned" end
      ]] .. call .. " print 'not reached'")
      assert.not_matches("not reached", out)
      assert.not_matches("it has returned", out)
      assert.matches("closed main\n", out)
      assert.matches("closed task\n", out)
      assert.matches("collected task\n", out)
      assert.equal(9, status)
    end)
  end

  it("is not stopped by pcall", function()
    local status, out, err =
      script "pcall(function() pcall(os.exit, 7, true) end) print 'not reached'"
    assert.equal("", out)
    assert.equal("", err)
    assert.equal(7, status)
  end)
end)

describe("a signal:", function()
  -- Runs the script, and beside it, once it has printed "ready", the commands, which find its
  -- process in $pid. (In the background a shell would have it ignore SIGINT.)
  local function signalled(text, commands)
    write("script.lua", "io.stdout:setvbuf 'line'\n" .. text)
    return shell([[
      rm -f out pid go
      {
        until grep -q ready out 2>/dev/null; do sleep 0.01; done
        pid=$(cat pid)
      ]] .. commands .. [[

      } &
      sh -c 'echo $$ >pid; exec "$curio" script.lua >out'
      status=$?
      cat out
      exit $status]])
  end

  it("SIGINT interrupts the script and gives status 130", function()
    local status, out, err = signalled([[
      local curio = require "curio"
      local _ <close> = setmetatable({}, { __close = function()
        curio.disable_cancellation(curio.sleep, 0.01)
        print "closed"
      end })
      print "ready"
      curio.sleep(100)]], "kill -INT $pid")
    assert.equal("ready\nclosed\n", out)
    assert.matches("^curio: [^\n]*interrupted[^\n]*\nstack traceback:\n", err)
    assert.equal(130, status)
  end)

  it("SIGINT interrupts a script that never blocks", function()
    local status, out = signalled([[
      local _ <close> = setmetatable({}, { __close = function() print "closed" end })
      print "ready"
      ]] .. helper.SPIN, "kill -INT $pid")
    assert.equal("ready\nclosed\n", out)
    assert.equal(130, status)
  end)

  it("SIGINT can be caught", function()
    local status, out, err = signalled([[
      local curio = require "curio"
      print "ready"
      local _, err = pcall(curio.sleep, 100)
      print(curio.is(err, curio.Interrupted))]], "kill -INT $pid")
    assert.equal("", err)
    assert.equal("ready\ntrue\n", out)
    assert.equal(0, status)
  end)

  it("SIGINT reaches what runs under curio.run", function()
    local status, out = signalled([[
      local curio = require "curio"
      local _ <close> = setmetatable({}, { __close = function() print "closed" end })
      curio.run(function()
        print "ready"
        curio.sleep(100)
      end)]], "kill -INT $pid")
    assert.equal("ready\nclosed\n", out)
    assert.equal(130, status)
  end)

  it("a second SIGINT ends the program at once", function()
    local status, out = signalled([[
      local curio = require "curio"
      local _ <close> = setmetatable({}, { __close = function()
        print "closing"
        curio.disable_cancellation(curio.sleep, 15)
        print "closed"
      end })
      print "ready"
      curio.sleep(100)]], [[
      kill -INT $pid
      until grep -q closing out; do sleep 0.01; done
      kill -INT $pid]])
    assert.equal("ready\nclosing\n", out)
    assert.equal(130, status)
  end)

  it("SIGQUIT prints the stack of every task and goes on", function()
    local status, out, err = signalled([[
      local curio = require "curio"
      curio.spawn(function()
        curio.sleep(100)
      end)
      print "ready"
      while not io.open "go" do
        curio.sleep(0.01)
      end
      print "went on"]], [[
      kill -QUIT $pid
      until grep -q 'script.lua:4' stderr; do sleep 0.01; done
      : >go]])
    assert.equal("ready\nwent on\n", out)
    assert.matches("script.lua:4: in function", err)
    assert.matches("script.lua:[78]: in main chunk", err)
    assert.equal(0, status)
  end)

  it("SIGTERM ends the program as it ends lua", function()
    local status = signalled("print 'ready' require 'curio'.sleep(100)", "kill -TERM $pid")
    assert.equal(143, status)
  end)
end)

describe("memory", function()
  local limit = "ulimit -v 200000 && " -- which a sanitizer's build cannot live with

  it("that runs out ends the program with a message", function()
    if shell(limit .. "$curio -e ''") ~= 0 then
      return pending "the program does not start with limited memory"
    end
    fails("^curio: not enough memory\n$",
      shell(limit .. [[$curio -e "local t = {} for i = 1, 1e9 do t[i] = {i} end"]]))
    prints("false\tnot enough memory\n",
      shell(limit .. [[$curio -e "print(pcall(string.rep, 'x', 1 << 29))"]]))
  end)
end)
