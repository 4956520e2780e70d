-- Lua itself, in a task: tables, strings, closures, coroutines, errors.
local parts = {}
for i = 1, 50 do
  parts[#parts + 1] = ("%d:%s"):format(i, tostring({}))
end
local text = table.concat(parts, ",")
assert(select(2, text:gsub(",", ";")) == 49)

local function numbers(n)
  return coroutine.wrap(function()
    for i = 1, n do
      coroutine.yield(i)
    end
  end)
end
local sum = 0
for i in numbers(10) do
  sum = sum + i
end
assert(sum == 55)

local co = coroutine.create(function()
  local _ <close> = setmetatable({}, { __close = function() sum = 0 end })
  coroutine.yield(1)
end)
assert(coroutine.resume(co))
assert(coroutine.close(co) and sum == 0)

local caught, err = pcall(error, { code = 1 })
assert(not caught and err.code == 1)
assert(not xpcall(function() local x = nil; return x.y end, debug.traceback))
assert(assert(load "return 1 + 1")() == 2)
print "ok"
