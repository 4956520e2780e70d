-- The shields of a task were counted in 16 bits: 65,536 of them at once were none.

local curio = require "curio"
local testing = require "curio.testing"

local it = testing.it(it, { clock = testing.autojump() })

describe("A task behind very many shields", function()
  it("is shielded", function()
    local task = curio.spawn(function()
      local shields = {}
      for i = 1, 65536 do
        shields[i] = curio.disable_cancellation()
      end
      curio.sleep(1)
      return #shields
    end)
    curio.schedule()
    task:cancel()
    assert.equal(65536, task:join())
  end)
end)
