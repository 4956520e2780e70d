-- What holds for every example: it is short, says how to run it, stands in examples/README.md, and
-- is run by some spec.

local helper = require "spec.helper"

local names = {}
for path in helper.output_of("ls examples/*.lua"):gmatch "[^\n]+" do
  names[#names + 1] = path:match "([^/]+)%.lua$"
end

local specs = helper.output_of "cat spec/examples_*.lua spec/*interop*.lua"
local list = helper.read "examples/README.md"

-- Modules that others are made of: run with these.
local PARTS = { dnsmessage = "dig", httpclient = "fetch", websocket = "ws_server",
  wsframes = "ws_server", wskey = "ws_server" }

describe("The example", function()
  for _, name in ipairs(names) do
    it(name .. ".lua is short, explained, listed and run", function()
      local text = helper.read("examples/" .. name .. ".lua")
      assert.is_true(select(2, text:gsub("\n", "")) <= 60)
      assert.matches(PARTS[name] and "^%-%- %w" or "^%-%- %w.-\n%-%-\n%-%-     ", text)
      assert.is_truthy(list:find(("[%s](%s.lua)"):format(name, name), 1, true))
      assert.matches("%f[%w_]" .. (PARTS[name] or name) .. "%f[^%w_]", specs)
    end)
  end

  it("that is listed is there", function()
    for name in list:gmatch "%]%(([%w_]+)%.lua%)" do
      assert.is_truthy(helper.read("examples/" .. name .. ".lua"))
    end
  end)
end)
