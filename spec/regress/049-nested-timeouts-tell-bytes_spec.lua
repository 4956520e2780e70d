-- A timeout around another one made an error of its own of that which came out of the inner one,
-- and what sendall had said in it of the bytes that were sent was lost.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"

describe("a sendall in two timeouts, of which the outer one ends it", function()
  it("tells how much was sent", sockets.run(function()
    local a, b, _ <close> = sockets.pair()
    local ok, err = pcall(curio.timeout_after, 0.01, function()
      curio.timeout_after(helper.LONG, a.sendall, a, sockets.BIG)
    end)
    assert.is_false(ok)
    assert.is_true(curio.is(err, curio.TaskTimeout))
    a:close()
    local received = 0
    for data in b:chunks() do
      received = received + #data
    end
    assert.equal(received, err.bytes_sent)
  end))
end)
