-- A task that was woken, then cancelled before it ran, and that had to go on waiting, fell asleep
-- for good: the cancellation was lost.

local curio = require "curio"
local socket = require "curio.socket"
local testing = require "curio.testing"

local it = testing.it(it)

describe("A writer that is cancelled while it is ready", function()
  it("does not fall asleep again", function()
    local a, b = socket.socketpair()
    local writer = curio.spawn(a.sendall, a, ("x"):rep(16 * 1024 * 1024))
    while writer.state ~= "WRITE_WAIT" do
      curio.schedule()
    end
    while writer.state ~= "READY" do
      b:recv(65536)
      curio.schedule()
    end
    assert.is_true(writer:cancel { timeout = 10 })
    assert.is_true(curio.is(writer.exception, curio.TaskCancelled))
    assert.is_number(writer.exception.bytes_sent)
    a:close()
    b:close()
  end)
end)
