--- Worker processes: fresh interpreters that call functions for run_in_process.
--
-- Each kernel has a pool of its own. A worker and its kernel talk over two socket pairs, one
-- message each way a call. A task of its own, a daemon, looks after each worker: it sleeps until
-- the worker is given up or the kernel ends, and then sees to its end, so that nobody else has to
-- wait for that.

local core = require "curio.core"
local errors = require "curio.errors"
local signal = require "curio.signal"
local socket = require "curio.socket"
local subprocess = require "curio.subprocess"
local traps = require "curio.traps"

local process = {}

local PATIENCE = 2 -- seconds between SIGTERM and SIGKILL

-- ---- the interpreter ----

-- The program that runs now, if it is an interpreter of Lua: `curio`, or some `lua`. A file that
-- was replaced or removed meanwhile can still be run by another name.
local function own_interpreter()
  local exe = core.worker.program()
  local name = exe and exe:match "[^/]+$"
  if not name or not (name:match "^curio" or name:match "^lua") then
    return "lua5.4"
  end
  return exe:match " %(deleted%)$" and "/proc/self/exe" or exe
end

local NAME = ...

local function boot(from, to)
  return ("package.path, package.cpath = %q, %q require(%q).serve(%d, %d)")
    :format(package.path, package.cpath, NAME, from, to)
end

-- ---- a worker ----

local Worker = {}
Worker.__index = Worker

-- Waits for the end of one that should end. It looks again and again: a deadline would not count
-- where cancellation is held back, and a timer's task might be ended by the same shutdown.
---@async
local function await_end(child)
  local pause, limit = 0.001, core.clock() + PATIENCE
  while child:poll() == nil do
    if core.clock() >= limit then
      child:kill()
      return child:wait()
    end
    core.sleep(pause)
    pause = math.min(2 * pause, 0.05)
  end
end

-- Sees to its end, shielded.
---@async
local function put_down(worker)
  worker.to:close()
  worker.from:close()
  worker.child:terminate()
  await_end(worker.child)
end

local Keeper = {
  __close = function(self)
    core.disable_cancellation(put_down, self.worker)
    self.worker.gone = true
    self.worker.over:wake()
  end,
}

---@async
local function keep(worker)
  local _ <close> = setmetatable({ worker = worker }, Keeper)
  while not worker.given_up do
    worker.over:suspend "WORKER"
  end
end

local Pairs = {
  __close = function(sockets)
    for _, sock in pairs(sockets) do
      sock:close()
    end
  end,
}

-- One socket pair for each direction: see src/workerlib.c.
---@async
local function start_worker()
  local theirs <close> = setmetatable({}, Pairs)
  local ours <close> = setmetatable({}, Pairs)
  local err
  ours.to, theirs.from = socket.socketpair()
  if not ours.to then
    return nil, theirs.from
  end
  ours.from, theirs.to = socket.socketpair()
  if not ours.from then
    err, theirs.to = theirs.to, nil
    return nil, err
  end
  local child
  child, err = subprocess.Popen {
    own_interpreter(), "-e", boot(theirs.from:fileno(), theirs.to:fileno()),
    stdin = subprocess.DEVNULL, pass_fds = { theirs.from, theirs.to },
  }
  if not child then
    return nil, err
  end
  local worker = setmetatable({
    to = ours.to, from = ours.from, child = child, over = core.sched(),
  }, Worker)
  ours.to, ours.from = nil, nil
  worker.keeper = core.spawn { keep, worker, daemon = true, name = "worker " .. child.pid }
  return worker
end

local function signal_name(number)
  for name, value in pairs(signal) do
    if value == number and name:match "^SIG%u+$" then
      return name
    end
  end
  return "?"
end

-- How it ended, in words.
local function fate(status)
  if status == nil then
    return "stopped answering"
  elseif status < 0 then
    return ("was killed by signal %d (%s)"):format(-status, signal_name(-status))
  end
  return ("exited with status %d"):format(status)
end

-- The error for a worker that gave no answer; waits for its end.
---@async
function Worker:died(why)
  await_end(self.child)
  local status = self.child.returncode
  return errors.WorkerDied {
    message = ("run_in_process: the worker %s%s"):format(fate(status), why or ""),
    signal = status and status < 0 and -status or nil,
    status = status and status >= 0 and status or nil,
    pid = self.child.pid,
  }
end

-- ---- the pool of a kernel ----

-- Fields: idle, a list of workers; count, of all that are not given up; max; waiting, for a worker
-- or for the right to start one; last, any worker's keeper: when that is over, the run is.
local pools = setmetatable({}, { __mode = "k" })

local function pool_here()
  local kernel = traps.get_kernel()
  local pool = pools[kernel]
  if not pool then
    pool = { idle = {}, count = 0, waiting = core.sched() }
    pools[kernel] = pool
  end
  return pool
end

local function leave_place(pool)
  if pool.count > pool.max or pool.waiting:wake(1, nil) == 0 then
    pool.count = pool.count - 1
  end
end

local function forget(pool, worker)
  if not worker.given_up then
    worker.given_up = true
    worker.over:wake()
    leave_place(pool)
  end
end

local function give_back(pool, worker)
  if pool.waiting:wake(1, worker) == 0 then
    pool.idle[#pool.idle + 1] = worker
  end
end

-- One whose keeper went with the run it was started in is none.
local function take_idle(pool)
  local worker = table.remove(pool.idle)
  while worker do
    if not worker.gone and not worker.keeper.terminated then
      return worker
    end
    forget(pool, worker)
    worker = table.remove(pool.idle)
  end
end

-- The right to have one more, until it has been used.
local Place = {
  __close = function(place)
    if not place.used then
      leave_place(place.pool)
    end
  end,
}

---@async
local function take(pool)
  local worker = take_idle(pool)
  if not worker and pool.count >= pool.max then
    worker = pool.waiting:suspend "WORKER_WAIT"
  elseif not worker then
    pool.count = pool.count + 1
  end
  if worker then
    return worker
  end
  local place <close> = setmetatable({ pool = pool, used = false }, Place)
  local err
  worker, err = start_worker()
  place.used = worker ~= nil
  return worker, err
end

-- ---- calling ----

-- The worker of a call that is left early is good for no other.
local Use = {
  __close = function(use)
    if use.done then
      give_back(use.pool, use.worker)
    else
      use.worker.child:terminate()
      forget(use.pool, use.worker)
    end
  end,
}

local UNSENT = core.worker.unsent

local function answer(use, ok, ...)
  if ok == nil then
    local err = ...
    error(use.worker:died(err.code == "EBADMSG" and ", after it sent what is no answer" or nil), 0)
  elseif ok == UNSENT then
    return UNSENT
  end
  use.done = true
  if not ok then
    core.thread.raise(...)
  end
  return ...
end

---@async
local function exchange(pool, message)
  local worker, err = take(pool)
  if not worker then
    return nil, err
  end
  local use <close> = setmetatable({ pool = pool, worker = worker, done = false }, Use)
  return answer(use, core.worker.exchange(worker.to, worker.from, message))
end

-- A worker that has died while it was idle is replaced unseen.
---@async
local function insist(pool, message, first, ...)
  if first == UNSENT then
    return insist(pool, message, exchange(pool, message))
  end
  return first, ...
end

--- Calls a function in a worker; max: how many workers there may be.
---@async
function process.call(max, ...)
  traps.checkpoint "run_in_process"
  local message = core.worker.pack(...)
  local pool = pool_here()
  pool.max = max
  return insist(pool, message, exchange(pool, message))
end

-- ---- in the worker ----

local traceback -- of the error that is on its way

-- Leaves the error as it is, for `__close` handlers see it.
local function describe(err)
  traceback = debug.traceback(nil, 2)
  if errors.is(err, errors.CurioError) and err.traceback == nil then
    err.traceback = traceback
  end
  return err
end

local function respond(fd, ok, ...)
  if ok then
    return core.worker.reply(fd, true, ...)
  end
  local err = ...
  if not pcall(core.worker.reply, fd, false, err, traceback) then
    core.worker.reply(fd, false, errors.CurioError(core.errors.text(err)), traceback)
  end
end

local function handle(fd, fn, ...)
  traceback = nil
  local ok, err = pcall(respond, fd, xpcall(fn, describe, ...))
  if not ok then -- results that cannot be sent
    core.worker.reply(fd, false, err)
  end
end

--- The main loop of a worker process.
function process.serve(from, to)
  core.worker.prepare(from, to)
  while true do
    local ok, err = pcall(function()
      local request = table.pack(core.worker.receive(from))
      if request.n == 0 then
        os.exit(true)
      end
      handle(to, table.unpack(request, 1, request.n))
    end)
    if not ok and not pcall(core.worker.reply, to, false, err) then
      os.exit(false) -- nobody is there
    end
  end
end

return process
