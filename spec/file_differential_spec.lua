-- The same random lists of operations on a file of Lua's io library and on one of curio's: results
-- and contents must be the same.
--
-- A list is made by a seeded generator alone, so a failure names the seed that repeats it. As C
-- asks for it, a seek stands between reading and writing.

local curio = require "curio"
local helper = require "spec.helper"

local LISTS = 3000
local MOST_OPERATIONS = 14

local path = {}

local function write_all(name, text)
  local file <close> = assert(io.open(name, "wb"))
  assert(file:write(text))
end

local function read_all(name)
  local file <close> = assert(io.open(name, "rb"))
  return file:read("a")
end

-- ---- lists ----

local random = math.random

local function pick(list)
  return list[random(#list)]
end

local ATOMS = {
  "\n", "\n", "\n", " ", " ", "\t", "\0", "\255", "line", "abc", "x", "-", "+", ".", "e", "E5",
  "0x", "p",
  "0", "1", "42", "007", "3.25", "0xFf", "1e3", "-7", "+.5", "nan", "inf", "\r\n", "é",
  ("1"):rep(199), ("9"):rep(201), ("long "):rep(30),
}

local function text()
  local parts = {}
  for i = 1, random(0, 12) do
    parts[i] = pick(ATOMS)
  end
  return table.concat(parts)
end

local FORMATS = { "l", "L", "n", "a", "*l", "*L", "*n", "*a", "l", "n", 0, 1, 2, 5, 17, 300, 4096 }

local function formats()
  local list = {}
  for i = 1, pick { 0, 1, 1, 1, 1, 2, 3 } do
    list[i] = pick(FORMATS)
  end
  return list
end

local function value()
  local kind = random(6)
  if kind == 1 then
    return random(-1000, 1000)
  elseif kind == 2 then
    return pick { 1.5, -0.0, 1e300, 1 / 0, -1 / 0, 3.0, 2 ^ 53, 0.1, math.mininteger }
  elseif kind == 3 then
    return (text()):rep(random(60))
  end
  return text()
end

local function values()
  local list = {}
  for i = 1, random(0, 3) do
    list[i] = value()
  end
  return list
end

local MODES = { "r", "w", "a", "r+", "w+", "a+", "rb", "w+b", "a+b", "r+", "r+" }

-- An operation is {method, arguments...}; reading and writing tell in which direction.
local makers = {
  function() return { "read", table.unpack(formats()) }, "in" end,
  function() return { "read", table.unpack(formats()) }, "in" end,
  function() return { "lines", random(0, 4), table.unpack(formats()) }, "in" end,
  function() return { "write", table.unpack(values()) }, "out" end,
  function() return { "write", table.unpack(values()) }, "out" end,
  function() return { "seek", "set", random(-1, 400) } end,
  function() return { "seek", "cur", random(-30, 30) } end,
  function() return { "seek", "end", random(-60, 20) } end,
  function() return { "seek" } end,
  function() return { "flush" } end,
  function() return { "look" } end,
  function()
    return { "setvbuf", pick { "no", "full", "line" }, pick { 1, 10, 100, 4096 } }, "first"
  end,
}

local function operations()
  local list, direction = { { "open", pick(MODES) } }, nil
  for _ = 1, random(MOST_OPERATIONS) do
    local op, way = pick(makers)()
    if way == "first" and #list > 1 then
      op = { "seek", "cur" } -- where it is allowed at all
    elseif (way == "in" or way == "out") and direction and direction ~= way then
      list[#list + 1] = { "seek", "cur", 0 }
    end
    if way == "in" or way == "out" then
      direction = way
    end
    list[#list + 1] = op
  end
  list[#list + 1] = { "close" }
  return list
end

-- ---- results ----

-- The error of either library, as its number.
local function comparable(first, second, third, ...)
  if first == nil and second ~= nil then
    return { "nil", type(second) == "table" and second.errno or third }
  end
  local results = { first, second, third, ... }
  local list = { n = select("#", first, second, third, ...) }
  for i = 1, list.n do
    local one = results[i]
    list[i] = type(one) == "userdata" and "file" or math.type(one) == "float" and ("%a"):format(one)
      or one
  end
  return list
end

local function shown(list)
  local parts = {}
  for i = 1, list.n or #list do
    parts[i] = type(list[i]) == "string" and ("%q"):format(list[i]) or tostring(list[i])
  end
  return table.concat(parts, ", ")
end

local function iterate(file, times, ...)
  local got = {}
  for i, a, b, c in file:lines(...) do
    got[#got + 1] = shown(comparable(i, a, b, c))
    if #got >= times then
      break
    end
  end
  return table.concat(got, "; ")
end

-- An error raised counts by its number too: Lua's is a string.
local function loop(file, times, ...)
  local ok, result = pcall(iterate, file, times, ...)
  if ok then
    return { result }
  elseif type(result) == "table" then
    return { "raised " .. result.message:match "[^:]*$":match "^ ?(.-) %(" }
  end
  return { "raised " .. result:match "[^:]*$":match "^ ?(.*)" }
end

-- ---- running ----

local function perform(host, ops, i)
  local op = ops[i]
  if op[1] == "open" then
    local file, err, code = host.open(host.path, op[2])
    host.file = file
    return comparable(file, err, code)
  elseif op[1] == "look" then -- what the others see; after seek or flush it is all
    assert(host.file:flush())
    return { read_all(host.path) }
  elseif op[1] == "lines" then
    return loop(host.file, table.unpack(op, 2))
  end
  return comparable(host.file[op[1]](host.file, table.unpack(op, 2)))
end

local function check(seed)
  math.randomseed(seed)
  local start, ops = (text() .. text()):rep(random(0, 40)), operations()
  local theirs = { open = io.open, path = path[1] }
  local ours = { open = curio.aopen, path = path[2] }
  write_all(path[1], start)
  write_all(path[2], start)
  for i, op in ipairs(ops) do
    local expected, got = shown(perform(theirs, ops, i)), shown(perform(ours, ops, i))
    if expected ~= got then
      error(("seed %d, operation %d: %s(%s)\n  io: %s\n  us: %s"):format(seed, i, op[1],
        shown { table.unpack(op, 2) }, expected, got), 0)
    end
    if not theirs.file then
      return
    end
  end
  assert(read_all(path[1]) == read_all(path[2]), "seed " .. seed .. ": the contents differ")
end

describe("files and Lua's own", function()
  setup(function()
    path = { os.tmpname(), os.tmpname() }
  end)

  teardown(function()
    os.remove(path[1])
    os.remove(path[2])
  end)

  it("give the same results for random lists of operations", function()
    curio.run(function()
      for seed = 1, helper.fewer(LISTS) do
        check(seed)
      end
    end)
  end)
end)
