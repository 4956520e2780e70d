-- SIGINT was raised at the next instruction, wherever that was: a child that had just been started
-- was in nobody's hands then, and ran on. Now a task that blocks gets it there, and only one that
-- goes on computing gets it in the middle.

local helper = require "spec.helper"

-- The signal comes to the thread that reads the pipe.
local INTERRUPT = [[
local curio = require "curio"

local function interrupt()
  local pipe = io.popen "kill -INT $PPID"
  pipe:close()
end
]]

describe("SIGINT", function()
  it("waits until the task blocks, or has computed for a while", function()
    local out = helper.child(INTERRUPT .. [[
      curio.run(function()
        interrupt()
        local steps = 0
        for i = 1, 100 do
          steps = steps + 1
        end
        print("whole", steps)
        local ok, err = pcall(curio.sleep, 10)
        print(ok, err.name)
        for i = 1, 10000000 do end -- clean-up that takes its time
        print "clean"
      end)
    ]])
    assert.equal("whole\t100\nfalse\tInterrupted\nclean\nstatus 0\n", out)
  end)

  it("reaches a task whose generators come and go", function()
    local out = helper.child(INTERRUPT .. [[
      local function numbers()
        interrupt() -- within a generator that soon ends
        for i = 1, 3 do
          coroutine.yield(i)
        end
      end
      local function inner()
        local first = numbers
        while true do
          for _ in coroutine.wrap(first) do end
          first = coroutine.yield -- generators of one instruction or two
        end
      end
      print(select(2, pcall(curio.run, function()
        coroutine.wrap(inner)()
      end)).name)
    ]])
    assert.equal("Interrupted\nstatus 0\n", out)
  end)

  it("reaches a task that never blocks", function()
    local out = helper.child(INTERRUPT .. [[
      print(select(2, pcall(curio.run, function()
        interrupt()
        ]] .. helper.SPIN .. [[

      end)).name)
    ]])
    assert.equal("Interrupted\nstatus 0\n", out)
  end)
end)
