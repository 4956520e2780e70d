-- What the specs of task groups share.

local assert = require "luassert"
local curio = require "curio"

local M = {}

function M.crash(message)
  error(message or "it broke", 0)
end

function M.after(turns, fn, ...)
  for _ = 1, turns do
    curio.sleep(0)
  end
  return fn(...)
end

function M.value(...)
  return ...
end

function M.is_cancelled(t)
  return t.terminated and curio.is(t.exception, curio.TaskCancelled)
end

-- What join raises: a TaskError, or the test fails.
function M.failure_of(g)
  local ok, err = pcall(g.join, g)
  assert.is_false(ok, "join raised nothing")
  assert.is_true(curio.is(err, curio.TaskError), tostring(err))
  return err
end

return M
