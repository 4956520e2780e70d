--- Talking to a child through all of its pipes at once, until it ends.
--
-- A task for each pipe, and the caller waits for the child. None of the tasks outlives the call,
-- however it ends; what they have moved is remembered by the process (_got, _fed), so that another
-- call goes on where this one stopped.

local core = require "curio.core"
local errors = require "curio.errors"
local sync = require "curio.sync"

local talk = {}

local CHUNK = 65536
local SILENCE = 2 -- seconds that others who hold a pipe may be silent once the child has ended
local DRAIN = 0.25 -- seconds that they are given once the child has been killed

local SLICE = 0.05 -- seconds between two looks at a timer that must not be cancelled

local Canceller = {
  __close = function(self)
    self.closed = true
    self.task:cancel { blocking = false }
  end,
}

-- A shutdown cancels every task, and so the sleep; who waits relies on the timer all the same.
local function sleep_out(timer, seconds)
  local due = core.clock() + seconds
  pcall(core.sleep, seconds)
  while not timer.closed and core.clock() < due do
    core.disable_cancellation(core.sleep, math.min(SLICE, due - core.clock()))
  end
end

--- Calls fn after some seconds, unless the object it gives is closed before. Unlike a deadline it
---also counts where cancellation is held back.
function talk.after(seconds, fn)
  local timer = setmetatable({}, Canceller)
  timer.task = core.spawn { function()
    sleep_out(timer, seconds)
    if not timer.closed then
      fn()
    end
  end, daemon = true }
  return timer
end

--- What the child has written to that pipe, as far as it was collected; nil: nothing was.
function talk.output(self, name)
  local parts = self._got[name]
  if not parts then
    return nil
  end
  local whole = table.concat(parts)
  self._got[name] = { whole }
  return whole
end

local function keep(self, name)
  local parts = self._got[name] or {}
  self._got[name] = parts
  return function(chunk)
    parts[#parts + 1] = chunk
  end
end

-- Reads a pipe to its end.
---@async
local function drain(self, name, take, job)
  while true do
    local chunk, err = self[name]:read(CHUNK)
    if not chunk then
      job.err = job.err or err
      return
    end
    job.moved = core.clock()
    take(chunk)
  end
end

local function next_piece(input, from)
  return input:sub(from + 1, from + CHUNK)
end

-- The child need not read all it is given.
local function is_broken(err)
  return errors.is(err, errors.OSError) and (err.code == "EPIPE" or err.code == "EIO")
    or errors.is(err, errors.ClosedError)
end

---@async
local function feed_text(self, input, job)
  while self._fed < #input do
    local piece = next_piece(input, self._fed)
    local done, err = self.stdin:write(piece)
    if not done then
      return is_broken(err) or err
    end
    self._fed = self._fed + #piece
    job.moved = core.clock()
  end
end

---@async
local function feed_pieces(self, source, job)
  for piece in source do
    if type(piece) ~= "string" and type(piece) ~= "number" then
      core.args.misuse("the input must come as strings, its function gave a " .. type(piece))
    end
    self._last = piece
    local done, err = self.stdin:write(piece)
    if not done then
      return is_broken(err) or err
    end
    job.moved = core.clock()
  end
end

-- A terminal stays open: its end of input is a character, which behind an unfinished line ends only
-- that. So then it takes two.
---@async
local function end_terminal(self, input)
  local last = type(input) == "string" and input or self._last or ""
  local unfinished = last ~= "" and not tostring(last):find "\n$"
  self.stdin:write(unfinished and "\4\4" or "\4")
end

---@async
local function feed(self, input, job)
  local guard <close> = setmetatable({}, {
    __close = function(_, err)
      if type(err) == "table" and err.bytes_written then
        self._fed = self._fed + err.bytes_written
      end
    end,
  })
  local failed = guard and (type(input) == "string" and feed_text or feed_pieces)(self, input, job)
  if self.stdin == self._terminal then
    end_terminal(self, input)
  else
    self.stdin:close()
  end
  if failed and failed ~= true then
    job.err = failed
  end
end

local Job = {}

-- However it ends, its tasks do not outlive it.
function Job.__close(job)
  core.disable_cancellation(function()
    for _, task in ipairs(job.tasks) do
      task:cancel()
    end
  end)
end

-- moved: when something last was; finished: set when no pipe is busy any more; ended: when the
-- child has, or a task has failed.
local function new_job()
  return setmetatable({
    moved = core.clock(),
    tasks = {},
    busy = 0,
    finished = sync.Event(),
    ended = sync.Event(),
  }, Job)
end

local function spawn(job, fn, ...)
  job.tasks[#job.tasks + 1] = core.spawn(function(...)
    local ok, err = core.pcall(fn, ...)
    if not ok then
      job.raised = { err }
      job.ended:set()
    end
  end, ...)
end

local Busy = {
  __close = function(self)
    local job = self.job
    job.busy = job.busy - 1
    if job.busy == 0 then
      job.finished:set()
    end
  end,
}

local function add(job, fn, ...)
  job.busy = job.busy + 1
  spawn(job, function(...)
    local _ <close> = setmetatable({ job = job }, Busy)
    fn(...)
  end, ...)
end

local function start_job(self, job, input, sinks)
  if self.stdin and not (self.stdin == self._terminal and input == nil) then
    add(job, feed, self, input or "", job)
  end
  for _, name in ipairs { "stdout", "stderr" } do
    if self[name] then
      add(job, drain, self, name, sinks[name] or keep(self, name), job)
    end
  end
  spawn(job, function()
    job.code, job.refused = self:wait()
    job.ended:set()
  end)
end

-- Waits until the child has ended and its pipes too, or nothing has moved for a while: others, to
-- whom it left its pipes, may hold them for ever.
---@async
local function finish(job)
  job.ended:wait()
  job.moved = core.clock()
  while job.busy > 0 and not job.raised do
    local left = job.moved + SILENCE - core.clock()
    if left <= 0 then
      break
    end
    core.ignore_after(left, job.finished.wait, job.finished)
  end
end

--- Gives the child its input, and what it writes to the sinks, functions by the pipe's name, or
--- else collects it; until it ends.
---@async
---@return integer? returncode
---@return table? err
function talk.run(self, input, sinks)
  if not (self.stdin or self.stdout or self.stderr) then
    return self:wait()
  end
  local job <close> = new_job()
  start_job(self, job, input, sinks)
  finish(job)
  if job.raised then
    error(job.raised[1], 0)
  end
  return job.code, job.err or job.refused
end

--- Collects what a child that was killed has written and nobody has read yet.
function talk.drain_rest(self)
  local job = new_job()
  local cancel_all = function()
    for _, task in ipairs(job.tasks) do
      task:cancel { blocking = false }
    end
  end
  for _, name in ipairs { "stdout", "stderr" } do
    if self[name] then
      add(job, drain, self, name, keep(self, name), job)
    end
  end
  local _ <close> = talk.after(DRAIN, cancel_all)
  for _, task in ipairs(job.tasks) do
    task:wait()
  end
end

return talk
