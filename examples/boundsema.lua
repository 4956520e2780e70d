-- A semaphore that cannot be released more often than acquired, made from one that can. (curio has
-- it built in: curio.BoundedSemaphore. This shows how to build on what there is.)
--
--     curio examples/boundsema.lua

local curio = require "curio"

local BoundedSemaphore = {}
BoundedSemaphore.__index = BoundedSemaphore

local function new(value)
  return setmetatable({ bound = value, sema = curio.Semaphore(value) }, BoundedSemaphore)
end

function BoundedSemaphore:acquire()
  self.sema:acquire()
  return self
end

function BoundedSemaphore:release()
  if self.sema.value == self.bound then
    error("semaphore released too often", 2)
  end
  self.sema:release()
end

BoundedSemaphore.__close = BoundedSemaphore.release

local function worker(name, sema)
  local _ <close> = sema:acquire()
  print(name .. " is in")
  curio.sleep(0.01)
  print(name .. " leaves")
end

curio.run(function()
  local sema = new(2)
  do
    local g <close> = curio.TaskGroup()
    for _, name in ipairs { "Ann", "Bob", "Cem" } do
      g:spawn(worker, name, sema)
    end
  end
  print(select(2, pcall(sema.release, sema)))
end)
