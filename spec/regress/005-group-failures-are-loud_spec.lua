-- D5: a failure of a member was silent when another one had completed first.

local curio = require "curio"

describe("a group whose first member ended well and whose second failed", function()
  local function fill(g)
    g:spawn(function()
      return "good"
    end)
    g:spawn(function()
      curio.sleep(0)
      error("bad", 0)
    end)
  end

  it("raises from join", function()
    curio.run(function()
      local g = curio.TaskGroup()
      fill(g)
      local ok, err = pcall(g.join, g)
      assert.is_false(ok)
      assert.equal("bad", err.cause)
    end)
  end)

  it('shows it in .exception with errors="collect"', function()
    curio.run(function()
      local g = curio.TaskGroup { errors = "collect" }
      fill(g)
      g:join()
      assert.equal("bad", g.exception)
    end)
  end)
end)
