-- D3: leaving timeout_after(nil) normally raised, and so did any timeout inside it.

local curio = require "curio"

describe("timeout_after(nil)", function()
  it("is left normally, and scopes inside it time out as ever", function()
    curio.run(function()
      curio.timeout_after(nil, function()
        local _ <close> = curio.timeout_after(nil)
        local ok, err = pcall(curio.timeout_after, 0, curio.sleep, 1)
        assert.is_false(ok)
        assert.is_true(curio.is(err, curio.TaskTimeout))
      end)
      curio.sleep(0)
    end)
  end)
end)
