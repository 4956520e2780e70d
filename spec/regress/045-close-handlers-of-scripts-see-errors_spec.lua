-- The program turned an error of the main chunk into text before its <close> variables saw it: the
-- scopes of timeouts could not tell whose error it was, and a script ended otherwise than under
-- stock Lua.

local program = require "spec.program"

describe("An error that leaves a script", function()
  program.prepare(setup, teardown)

  it("reaches its close handlers as the object that was raised", function()
    local status, out, err = program.script [[
      local curio = require "curio"
      local function watch(place)
        return setmetatable({}, { __close = function(_, e) print(place, e.name) end })
      end
      local _ <close> = watch "outside"
      local _ <close> = curio.timeout_after(0)
      local _ <close> = watch "between"
      local _ <close> = curio.timeout_after(60)
      curio.sleep(60)]]
    assert.equal("between\tTimeoutCancellationError\noutside\tTaskTimeout\n", out)
    assert.matches("^curio: TaskTimeout: [^\n]+\nstack traceback:\n.*script.lua:9: in main chunk\n",
      err)
    assert.equal(1, status)
  end)
end)
