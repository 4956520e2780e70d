-- D24: a task spawned by clean-up code failed the shutdown, a swallowing one hung it.

local curio = require "curio"

describe("shutdown", function()
  it("waits for tasks that clean-up code spawns, and ends those that swallow", function()
    local late, deaf
    curio.run(function()
      curio.spawn(function()
        local _ <close> = setmetatable({}, { __close = function()
          late = curio.spawn(curio.sleep, 1000)
        end })
        curio.sleep(1000)
      end)
      deaf = curio.spawn(function()
        while true do
          pcall(curio.sleep, 10)
        end
      end)
      curio.sleep(0)
    end)
    assert.is_true(late.terminated)
    assert.is_true(deaf.terminated)
  end)
end)
