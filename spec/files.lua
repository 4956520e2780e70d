-- What the specs of files share: names for a file and a FIFO, which are removed after each spec.

local helper = require "spec.helper"

local M = {}

-- For a spec file, which gives busted's functions: a table whose `path` is an empty file and whose
-- `fifo` is a name that is free.
function M.names(before_each, after_each)
  local at = {}
  before_each(function()
    at.path, at.fifo = os.tmpname(), os.tmpname()
    os.remove(at.fifo)
  end)
  after_each(function()
    os.remove(at.path)
    os.remove(at.fifo)
  end)
  function at.content()
    return helper.read(at.path)
  end
  function at.fill(text)
    helper.write(at.path, text)
  end
  -- Opened for reading and writing by stock means, so that opening the FIFO blocks nobody.
  function at.open_fifo()
    assert(os.execute("mkfifo " .. at.fifo))
    local other = assert(io.open(at.fifo, "r+"))
    other:setvbuf "no"
    return other
  end
  return at
end

return M
