-- D23: curio 1.6 did not notice task_done called more often than there were items; then join hung.

local curio = require "curio"
local testing = require "curio.testing"

local it = testing.it(it)

describe("task_done", function()
  for _, kind in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
    it("once too often raises, and changes nothing (" .. kind .. ")", function()
      local queue = curio[kind]()
      assert.error_matches(function()
        queue:task_done()
      end, "more often")
      queue:put(1)
      queue:get()
      queue:task_done()
      assert.is_false(pcall(queue.task_done, queue))
      queue:join()
      queue:put(2)
      local joiner = curio.spawn(queue.join, queue)
      testing.wait_all_blocked()
      assert.equal("QUEUE_JOIN", joiner.state)
      queue:task_done()
      joiner:join()
    end)
  end
end)
