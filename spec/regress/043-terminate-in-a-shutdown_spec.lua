-- A terminate(grace) under way, where cancellation is held back, waited for ever on a child that
-- ignores SIGTERM when the kernel was shut down: that had cancelled the timer.

local curio = require "curio"
local subprocess = require "curio.subprocess"

describe("terminate with a grace, when the kernel is shut down", function()
  it("kills the child when that is over", function()
    local code
    curio.run(function()
      local ready = curio.Event()
      curio.spawn { function()
        local child = assert(subprocess.Popen {
          "trap '' TERM; echo ready; while :; do sleep 0.1; done", shell = true,
          stdout = subprocess.PIPE, start_new_session = true,
        })
        child.stdout:readline()
        ready:set()
        curio.disable_cancellation(function()
          code = child:terminate(0.2, { group = true })
        end)
        child.stdout:close()
      end, daemon = true }
      ready:wait()
      curio.sleep(0.01)
    end)
    assert.equal(-9, code)
  end)
end)
