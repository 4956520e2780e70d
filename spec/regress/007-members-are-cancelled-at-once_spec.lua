-- D7: join cancelled members one by one, each after the end of the one before.

local curio = require "curio"

describe("a group that ends its members", function()
  it("asks all of them, newest first, before it waits for any", function()
    local events = {}
    curio.run(function()
      local g = curio.TaskGroup { wait = "any" }
      for i = 1, 3 do
        g:spawn(function()
          local _ <close> = setmetatable({}, { __close = function()
            events[#events + 1] = "asked " .. i
            curio.disable_cancellation(curio.sleep, 0)
            events[#events + 1] = "ended " .. i
          end })
          curio.sleep(1000)
        end)
      end
      g:spawn(curio.sleep, 0)
      g:join()
    end)
    assert.same({ "asked 3", "asked 2", "asked 1", "ended 3", "ended 2", "ended 1" }, events)
  end)
end)
