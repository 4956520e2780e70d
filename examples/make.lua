-- A parallel make, in short: runs the commands of a file of rules, each as soon as those it depends
-- on have ended well, at most so many at a time. The first failure ends the others.
--
--     curio examples/make.lua rules.lua [jobs]
--
-- The file returns { target = { "dependency", ..., run = "shell command" }, ... }.

local curio = require "curio"
local subprocess = require "curio.subprocess"

local path = assert(arg[1], "usage: make.lua rules.lua [jobs]")
local rules = dofile(path)
local jobs = curio.Semaphore(tonumber(arg[2]) or 4)
local built = {} -- by target: a Result, set when it is there

local function build(target)
  local rule = rules[target] or error("no rule for " .. target, 0)
  for _, dependency in ipairs(rule) do
    built[dependency]:unwrap()
  end
  if rule.run then
    local _ <close> = jobs:acquire()
    print("+ " .. rule.run)
    assert(subprocess.run { rule.run, shell = true, start_new_session = true, check = true })
  end
  built[target]:set_value(true)
end

-- Raises for a target that depends on itself.
local function check(target, above)
  if above[target] then
    error(target .. " depends on itself", 0)
  end
  above[target] = true
  for _, dependency in ipairs(rules[target] or {}) do
    check(dependency, above)
  end
  above[target] = nil
end

local function main()
  io.stdout:setvbuf "line"
  for target, rule in pairs(rules) do
    check(target, {})
    built[target] = curio.Result()
    for _, dependency in ipairs(rule) do
      assert(rules[dependency], "no rule for " .. dependency)
    end
  end
  local group <close> = curio.TaskGroup()
  for target in pairs(rules) do
    group:spawn(build, target)
  end
end

local ok, err = pcall(curio.run, main)
if not ok then
  io.stderr:write("make: ", tostring(curio.is(err, curio.TaskError) and err.cause or err), "\n")
  os.exit(1, true)
end
