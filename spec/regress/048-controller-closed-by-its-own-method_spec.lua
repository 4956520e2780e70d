-- A controller of cqueues that a task ran was closed by its own method. The task slept on, and the
-- next controller, which got its descriptor, was refused because of it.

local cqueues = require "cqueues"

local bridge = require "curio.interop.cqueues"
local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"

describe("a controller of cqueues closed by its own method", function()
  it("is told to its task, and its descriptor is free", sockets.run(function()
    local first = cqueues.new()
    first:wrap(cqueues.sleep, helper.LONG)
    local task = helper.spawn(bridge.loop, first)
    first:close()
    local second = cqueues.new()
    second:wrap(cqueues.sleep, 0.001)
    assert.is_true(bridge.loop(second))
    second:close()
    local value, err = task:join()
    assert.is_nil(value)
    assert.is_true(curio.is(err, curio.ClosedError))
  end))
end)
