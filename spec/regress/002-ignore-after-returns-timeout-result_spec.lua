-- D2: ignore_after{..., timeout_result = v} returned nothing when its time was up.

local curio = require "curio"

describe("ignore_after with timeout_result", function()
  it("returns it when the time is up", function()
    curio.run(function()
      assert.equal("late", curio.ignore_after { 0, curio.sleep, 1, timeout_result = "late" })
    end)
  end)
end)
