-- The program's require: modules that block, wanted by several tasks, failing, cancelled; and an
-- exit from within a task.
local curio = require "curio"

local loads = 0
function package.preload.slow()
  loads = loads + 1
  curio.sleep(0)
  return { loads }
end
function package.preload.failing()
  curio.sleep(0)
  error "expected"
end

local function want(name)
  return require(name)
end

local a, b = curio.spawn(want, "slow"), curio.spawn(want, "slow")
assert(a:join() == b:join() and loads == 1)
assert(not pcall(require, "failing"))
assert(not pcall(require, "no.such.module"))

package.loaded.slow = nil
local c, d = curio.spawn(want, "slow"), curio.spawn(want, "slow")
curio.sleep(0)
c:cancel()
assert(d:join()[1] > 1)

local _ <close> = setmetatable({}, { __close = function() print "ok" end })
curio.spawn(os.exit, 0, true):join()
