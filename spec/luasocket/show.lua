-- For the scripts here, each of which runs under LuaSocket and under curio's bridge: prints what
-- calls give in a form that ought to be the same under both, with the line of the script.

local M = {}

local place

local function printable(value)
  if math.type(value) then
    return tostring(value // 1 | 0) -- LuaSocket's integers are floats in places
  end
  return (tostring(value):gsub("0x%x+", "ADDRESS"):gsub("^%S+:%d+: ", "")
    :gsub("calling '.-' on bad self", "bad argument #1 to '?'")
    :gsub("(bad argument #%d to) '.-'", "%1 '?'"):gsub("got no value", "got nil")
    :gsub("/tmp/lua_%w+", "PATH"):gsub("[\r\n]", "~"))
end

function M.show(...)
  local list = table.pack(...)
  while list.n > 1 and list[list.n] == nil do
    list.n = list.n - 1
  end
  for i = 1, list.n do
    list[i] = printable(list[i])
  end
  local line = place or debug.getinfo(2, "l").currentline
  print(("%d: %s"):format(line, table.concat(list, " | ", 1, list.n)))
end

-- What f(...) gives or raises.
function M.try(f, ...)
  place = debug.getinfo(2, "l").currentline
  M.show(pcall(f, ...))
  place = nil
end

-- What obj:name(...) gives or raises.
function M.call(obj, name, ...)
  place = debug.getinfo(2, "l").currentline
  M.show(pcall(obj[name], obj, ...))
  place = nil
end

return M
