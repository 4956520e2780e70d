-- Values copied and sent: nothing is lost or leaked wherever memory ends.
local curio = require "curio"
local socket = require "curio.socket"
local copy = require("curio.core").copy.copy

-- A task that dies of a failure may leave the others waiting.
local _ <close> = curio.timeout_after(2)

local n = 0
local shared = { 1, 2.5, "three", setmetatable({}, { __index = { x = 1 } }) }
shared.self = shared
local Mine = curio.errors.class("Mine", curio.OSError)
local list, count, err = copy({ shared, shared }, function()
  n = n + 1
  return n, shared
end, Mine { message = "m", cause = curio.OSError "c" })
assert(list[1] == list[2] and list[1].self == list[1] and list[1][4].x == 1)
assert(count() == 1 and n == 0)
assert(curio.is(err, Mine))

local a, b = socket.socketpair()
local ok = pcall(copy, a, { b, coroutine.create(print) })
assert(not ok and a:fileno() and b:fileno())

local q = curio.UniversalQueue { maxsize = 1 }
local putter = curio.spawn(function()
  for i = 1, 3 do
    q:put { i, ("x"):rep(100) }
  end
  q:put(a)
  q:close()
end)
for i = 1, 3 do
  assert(q:get()[1] == i)
end
local moved = q:get()
assert(moved:sendall "hello")
assert(b:recv(10) == "hello")
putter:join()
moved:close()
b:close()

local r = curio.UniversalResult()
local waiter = curio.spawn(r.unwrap, r)
curio.sleep(0)
r:set_value(q, { 5 })
local same, five = waiter:join()
assert(same == q and five[1] == 5)
local e = curio.UniversalEvent()
local late = curio.spawn(e.wait, e)
curio.sleep(0)
late:cancel()
print "ok"
