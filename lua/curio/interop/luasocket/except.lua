--- LuaSocket's exceptions: newtry and protect.
--
-- What `try` raises is a mark around the error, which only `protect` takes off again. Everything
-- else passes through. LuaSocket has no cancellation, so its finalizers would never hear of one:
-- here a cancellation that leaves a protected function first calls the finalizers of the `try`s
-- made inside, whose connections would else stay open until they are collected as garbage.

local core = require "curio.core"
local errors = require "curio.errors"

local except = {}

local Exception = {
  __metatable = false,
  __tostring = function(exception)
    return tostring(exception[1])
  end,
}

local scopes = setmetatable({}, { __mode = "k" }) -- coroutine -> its innermost scope

-- Of one call of a protected function. Fields: thread, outer, and the finalizers made inside.
local Scope = {}

function Scope.__close(scope, err)
  scopes[scope.thread] = scope.outer
  if not errors.is(err, errors.CancelledError) then
    return
  end
  for i = #scope, 1, -1 do
    pcall(scope[i])
  end
end

local function enter()
  local thread = coroutine.running()
  local scope = setmetatable({ thread = thread, outer = scopes[thread] }, Scope)
  scopes[thread] = scope
  return scope
end

--- Makes a `try`: it returns its arguments, or if the first is false calls the finalizer and raises
---the second.
---@param finalizer function?
---@return fun(...): ...
function except.newtry(finalizer)
  local scope = scopes[coroutine.running()]
  if scope and finalizer then
    scope[#scope + 1] = finalizer
  end
  return function(...)
    local value, err = ...
    if not value then
      if finalizer then
        core.pcall(finalizer)
      end
      error(setmetatable({ err }, Exception), 0)
    end
    return ...
  end
end

local function finish(done, ...)
  if done then
    return ...
  end
  local err = ...
  if type(err) == "table" and debug.getmetatable(err) == Exception then
    return nil, err[1]
  end
  error(err, 0)
end

--- Makes of a function one that returns nil and the error where a `try` inside raises it.
---@param fn function
---@return function
function except.protect(fn)
  return function(...)
    local _ <close> = enter()
    return finish(core.pcall(fn, ...))
  end
end

return except
