-- D8: a cancellation during a group's clean-up let its members outlive the block.

local curio = require "curio"

describe("the clean-up of a group", function()
  it("goes on to its end when its owner is cancelled meanwhile", function()
    curio.run(function()
      local go, member = curio.Event(), nil
      local owner = curio.spawn(function()
        local g <close> = curio.TaskGroup()
        member = g:spawn(function()
          local _ <close> = setmetatable({}, { __close = function()
            curio.disable_cancellation(go.wait, go)
          end })
          curio.sleep(1000)
        end)
        curio.sleep(0)
        error("body", 0)
      end)
      for _ = 1, 4 do
        curio.sleep(0)
      end
      owner:cancel { blocking = false }
      curio.sleep(0)
      assert.is_false(owner.terminated)
      go:set()
      owner:wait()
      assert.is_true(member.terminated)
    end)
  end)
end)
