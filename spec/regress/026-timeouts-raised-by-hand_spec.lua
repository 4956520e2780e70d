-- D26: a TaskTimeout raised by the program inside timeout_after broke the pairing.

local curio = require "curio"

describe("a TaskTimeout that the program raises", function()
  it("meets an unexpired scope as UncaughtTimeoutError", function()
    curio.run(function()
      for _, err in ipairs { curio.TaskTimeout(), curio.TaskTimeout "text" } do
        local ok, got = pcall(curio.timeout_after, 1000, error, err)
        assert.is_false(ok)
        assert.is_true(curio.is(got, curio.UncaughtTimeoutError))
        assert.equal(err, got.cause)
      end
      curio.sleep(0)
    end)
  end)
end)
