-- Each TaskError of a chain of joins told all of the chain below it: 20,000 tasks that wait for one
-- another took gigabytes to say that the first had failed.

local curio = require "curio"
local testing = require "curio.testing"
local helper = require "spec.helper"

local it = testing.it(it)

describe("The TaskError at the end of a long chain of joins", function()
  it("is one line of bounded length, and leads to the first error", function()
    local last = curio.spawn(function()
      curio.schedule()
      error("ä" .. ("ö"):rep(600), 0)
    end)
    for _ = 1, 300 do
      local before = last
      last = curio.spawn(function()
        before:join()
      end)
    end
    local err = helper.raises(curio.TaskError, last.join, last)
    assert.matches("^task %d+ %(.-%) crashed: TaskError: task %d+ ", err.message)
    assert.is_true(#err.message < 1200)
    assert.is_truthy(utf8.len(err.message))
    while type(err) == "table" do
      err = err.cause
    end
    assert.equal("ä" .. ("ö"):rep(600), err)
  end)
end)
