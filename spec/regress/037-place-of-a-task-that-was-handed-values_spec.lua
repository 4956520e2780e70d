-- A task asleep in a generator, woken with values that it had not taken yet, was taken for one that
-- stands in its outermost coroutine: where() and traceback() showed that, and closing it by force
-- would have left the inner ones open.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

local it = testing.it(it)

describe("A task that was handed values, and has not run since,", function()
  it("shows where it sits inside a generator", function()
    local queue = curio.Queue()
    local task = helper.spawn(helper.nested, 2, function()
      local item = queue:get()
      return item
    end)
    local asleep = table.pack(task:where())
    queue:put "item"
    assert.equal("READY", task.state)
    assert.same(asleep, table.pack(task:where()))
    assert.equal("item", task:join())
  end)
end)
