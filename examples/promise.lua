-- A promise: a value that one task owes to others. Given to a block as its `<close>` variable it
-- passes on the error that ends the block, so nobody waits for a value that never comes.
--
--     curio examples/promise.lua

local curio = require "curio"

local Promise = {}
Promise.__index = Promise

local function new()
  return setmetatable({ event = curio.Event() }, Promise)
end

function Promise:keep(value)
  self.value = value
  self.event:set()
end

function Promise:fail(err)
  self.err = err
  self.event:set()
end

function Promise:get()
  self.event:wait()
  if self.err ~= nil then
    error(self.err, 0)
  end
  return self.value
end

function Promise:__close(err)
  if not self.event:is_set() then
    self:fail(err or "the promise was not kept")
  end
end

local function consumer(name, promise)
  local ok, value = pcall(promise.get, promise)
  print(name, ok and "got" or "failed:", value)
end

local function producer(promise, work, ...)
  local p <close> = promise
  p:keep(work(...))
end

curio.run(function()
  local good, bad = new(), new()
  local g <close> = curio.TaskGroup()
  g:spawn(consumer, "one", good)
  g:spawn(consumer, "two", good)
  g:spawn(consumer, "three", bad)
  g:spawn(producer, good, function() return 42 end)
  g:spawn(pcall, producer, bad, error, "out of order")
end)
