--- luv, libuv for Lua, beside curio's tasks in one thread.
--
-- Nobody but a task that waits runs libuv's loop: of the tasks in `run` and `await` one at a time
-- drives it, in steps that do not wait, and sleeps in between until libuv has something to do. When
-- its own wait is over another one takes the wheel. So there is no task in the background, and
-- what nobody waits for stands still. Callbacks are called by the driver's step, where nothing can
-- block.

local core = require "curio.core"
local errors = require "curio.errors"
local report = require "curio.report"
local sched = require "curio.sched"
local traps = require "curio.traps"
local uv = require "luv"

local luv = { uv = uv }

local own = { run = uv.run, stop = uv.stop }

-- ---- who waits ----

-- A wait has: done; kernel; list, in which it sleeps while another drives. Runs have a failure,
-- what a callback raised, as {err}; `once` after so many calls.
local waits = {} -- all of them, in the order of their coming
local driver -- one of them, or nil

local bridge

local function finish(wait)
  wait.done = true
  if wait == driver then
    bridge:wake()
  else
    wait.list:wake()
  end
end

local function first_run()
  for _, wait in ipairs(waits) do
    if wait.runs and not wait.done then
      return wait
    end
  end
end

-- What a callback raised goes to whoever runs the loop; where nobody does, to the log.
local function failed(err)
  local run = first_run()
  if run then
    run.failure = { err }
    finish(run)
  else
    report.log("error", "a callback of luv failed: " .. core.errors.text(err))
  end
end

bridge = core.luv.open(own.run, failed)

local function leave(wait)
  for i, other in ipairs(waits) do
    if other == wait then
      table.remove(waits, i)
      break
    end
  end
  if driver == wait then
    driver = nil
  end
  for _, other in ipairs(waits) do
    if not driver and other.kernel == wait.kernel and other.list:wake() > 0 then
      return -- it will drive, or call us when it leaves
    end
  end
end

local Wait = { __close = leave }

local function enter(wait)
  wait.done, wait.kernel, wait.list = false, traps.get_kernel(), sched.SchedFIFO()
  waits[#waits + 1] = wait
  return setmetatable(wait, Wait)
end

-- After a step: whose wait is over?
local function settle(alive)
  local calls = bridge:calls()
  for _, wait in ipairs(waits) do
    if wait.runs and not wait.done and (not alive or wait.once and wait.once < calls) then
      finish(wait)
    end
  end
end

---@async
local function drive(wait)
  driver = wait
  repeat
    bridge:sleep()
    if driver ~= wait then
      return
    elseif not wait.done then
      settle(bridge:step())
    end
  until wait.done
end

---@async
local function complete(wait)
  while not wait.done do
    if driver and driver.kernel == wait.kernel then
      wait.list:suspend "LUV_WAIT"
    else
      drive(wait)
    end
  end
end

-- ---- running ----

---@async
local function run(once)
  traps.checkpoint "luv.run"
  if not bridge:alive() then
    return false
  end
  local wait <close> = enter { runs = true, once = once, failure = nil }
  complete(wait)
  if wait.failure then
    error(wait.failure[1], 0)
  end
  return bridge:alive()
end

--- Runs libuv's loop as long as it has active handles or requests, or until `stop`; other tasks run
---meanwhile. What a callback raises is raised here.
---@async
---@return boolean alive  has the loop handles left?
function luv.run()
  return run()
end

--- Ends all calls of run.
function luv.stop()
  for _, wait in ipairs(waits) do
    if wait.runs then
      finish(wait)
    end
  end
end

-- ---- waiting for a callback ----

local numbers -- of the system's errors, by name

local function number_of(code)
  if not numbers then
    numbers = {}
    for number = 1, 133 do
      numbers[core.interop.describe(number)] = number
    end
  end
  return numbers[code]
end

-- "ENOENT: no such file or directory: x", or the name alone.
local function os_error(text)
  local code = text:match "^E[A-Z0-9_]+"
  return errors.OSError { code = code, errno = number_of(code), message = text }
end

local function told(err, ...)
  if type(err) == "string" then
    return nil, os_error(err)
  elseif err == nil then
    return ...
  end
  return err, ...
end

local function forsake(wait)
  if not wait.done then
    wait.forsaken = true
    if type(wait.request) == "userdata" then
      pcall(uv.cancel, wait.request)
    end
  end
  leave(wait)
end

local Call = { __close = forsake }

-- The function that luv calls.
local function answer(wait)
  return function(...)
    if wait.forsaken then
      if wait.late then
        wait.late(...)
      end
    elseif not wait.done then
      wait.results = table.pack(...)
      finish(wait)
    end
  end
end

-- fn's results, the callback being its last argument.
local function begin(fn, callback, ...)
  local args = table.pack(...)
  args[args.n + 1] = callback
  return fn(table.unpack(args, 1, args.n + 1))
end

local function check_callable(fn)
  local meta = getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    error("luv.await: expected a function of luv's, got " .. type(fn), 3)
  end
end

---@async
local function await(late, fn, ...)
  check_callable(fn)
  traps.checkpoint "luv.await"
  uv.update_time()
  local wait <close> = setmetatable(enter { late = late }, Call)
  local request, message, name = begin(fn, answer(wait), ...)
  if request == nil and type(name) == "string" and not wait.done then
    wait.done = true
    return nil, os_error(message)
  end
  wait.request = request
  complete(wait)
  return told(table.unpack(wait.results, 1, wait.results.n))
end

local CALL_OPTIONS = { late = true }

local function check_call(call)
  for key in pairs(call) do
    if math.type(key) ~= "integer" and not CALL_OPTIONS[key] then
      error(("luv.await: unknown option '%s' (known: late)"):format(tostring(key)), 3)
    end
  end
  return call.late, table.unpack(call, 1, call.n or #call)
end

--- Calls fn(..., callback), a function of luv's, and waits until the callback is called: its
---arguments without the error in front, or nil and an OSError. Interrupted, it cancels the request
---if libuv can; a callback that comes late is given to `late`, or to nobody.
---@async
---@param fn function|table  or {fn, ..., late = function}
---@param ... any
---@return any ...
function luv.await(fn, ...)
  if type(fn) == "table" and not (getmetatable(fn) and getmetatable(fn).__call) then
    return await(check_call(fn))
  end
  return await(nil, fn, ...)
end

-- ---- programs that were written for luv ----

---@async
local function run_mode(mode)
  if not traps.get_current() then
    return own.run(mode)
  elseif mode == "once" then
    return run(bridge:calls())
  elseif mode == "nowait" then
    core.schedule()
    local alive = bridge:step()
    settle(alive)
    return alive
  end
  return run()
end

local function stop()
  luv.stop()
  return own.stop()
end

--- Has luv's own `run` and `stop` do the same in tasks, so that programs written for luv need not
---know where they run. Outside of tasks they are what they were.
---@return table uv
function luv.install()
  uv.run, uv.stop = run_mode, stop
  return uv
end

return luv
