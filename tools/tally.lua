-- tally.lua: an output handler of busted that tells only what went wrong, and ends with the line
-- "N passed, N failed" for tools/test.sh to add up.

local busted = require "busted"
local base = require "busted.outputHandlers.base"

local function describe(kind, entry)
  local trace = entry.trace or {}
  local message = entry.message
  if type(message) ~= "string" then
    message = tostring(message == nil and "(an error that is nil)" or message)
  end
  local text = message .. "\n" .. (trace.traceback or "")
  print(kind .. ": " .. entry.name)
  print((text:gsub("%s+$", ""):gsub("[^\n]+", "    %0")))
end

return function()
  local handler = base()

  local function suite_end()
    for _, entry in ipairs(handler.pendings) do
      print("pending: " .. entry.name)
    end
    for _, entry in ipairs(handler.failures) do
      describe("failed", entry)
    end
    for _, entry in ipairs(handler.errors) do
      describe("error", entry)
    end
    local failed = #handler.failures + #handler.errors
    print(("%d passed, %d failed"):format(handler.successesCount, failed))
    io.stdout:flush()
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
