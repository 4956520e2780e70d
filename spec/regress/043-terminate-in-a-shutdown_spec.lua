-- terminate(grace) in a clean-up waited for ever on a child that ignores SIGTERM when it was the
-- kernel's shutdown that cleaned up: it had cancelled the timer too.

local curio = require "curio"
local helper = require "spec.helper"
local subprocess = require "curio.subprocess"

describe("terminate with a grace, in the shutdown of a kernel", function()
  it("kills the child when that is over", function()
    local code
    curio.run(function()
      local ready = curio.Event()
      curio.spawn { function()
        local child = assert(subprocess.Popen {
          "trap '' TERM; echo ready; while :; do sleep 0.1; done", shell = true,
          stdout = subprocess.PIPE, start_new_session = true,
        })
        local _ <close> = helper.closing(function()
          curio.disable_cancellation(function()
            code = child:terminate(0.05, { group = true })
          end)
        end)
        child.stdout:readline()
        ready:set()
        curio.sleep(helper.LONG)
      end, daemon = true }
      ready:wait()
    end)
    assert.equal(-9, code)
  end)
end)
