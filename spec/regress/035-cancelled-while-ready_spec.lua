-- A task that was woken, then cancelled before it ran, and that had to go on waiting, fell asleep
-- for good: the cancellation was lost.

local curio = require "curio"
local testing = require "curio.testing"
local traps = require "curio.traps"
local helper = require "spec.helper"
local sockets = require "spec.sockets"

local it = testing.it(it, { clock = testing.autojump() })

describe("A task that is cancelled while ready, and whose call is to go on waiting,", function()
  -- Woken for nothing, as the descriptor is forgotten: the call tries again and waits anew.
  local function does_not_sleep(state, fn)
    local a, b, _ <close> = sockets.pair()
    local task = helper.spawn(fn, a)
    assert.equal(state, task.state)
    traps.io_release(a)
    assert.equal("READY", task.state)
    local ended = task:cancel { timeout = 100 } -- of a clock that jumps: nobody waits for that
    b:close()
    assert.is_true(ended, "it sleeps on")
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    return task.exception
  end

  it("does not fall asleep again (recv)", function()
    does_not_sleep("READ_WAIT", function(sock)
      sock:recv(1)
    end)
  end)

  it("does not fall asleep again, and tells what it has done (sendall)", function()
    local err = does_not_sleep("WRITE_WAIT", function(sock)
      sock:sendall(("x"):rep(1 << 24))
    end)
    assert.is_true(err.bytes_sent > 0)
  end)

  it("sleeps on where it is shielded, and hears of it behind that", function()
    local a, b, _ <close> = sockets.pair()
    local got
    local task = helper.spawn(function()
      got = curio.disable_cancellation(a.recv, a, 1)
      curio.schedule()
    end)
    traps.io_release(a)
    assert.is_false(task:cancel { timeout = 1 })
    b:send "x"
    task:wait()
    assert.equal("x", got)
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
  end)
end)
