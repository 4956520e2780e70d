-- D6: cancelling one member of a group cancelled its siblings.

local curio = require "curio"

describe("a member that the program cancels", function()
  it("harms no sibling, before or while the group is joined", function()
    for _, turns in ipairs { 0, 3 } do
      curio.run(function()
        local g = curio.TaskGroup()
        local a = g:spawn(curio.sleep, 1000)
        local b = g:spawn(function()
          for _ = 1, 10 do
            curio.sleep(0)
          end
          return "b"
        end)
        local canceller = curio.spawn(function()
          for _ = 1, turns do
            curio.sleep(0)
          end
          a:cancel()
        end)
        if turns == 0 then
          canceller:join()
        end
        g:join()
        assert.equal("b", b.result)
        assert.is_nil(g.exception)
      end)
    end
  end)
end)
