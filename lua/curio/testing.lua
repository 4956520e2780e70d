--- For specs: a virtual clock, tasks in any order, sockets without descriptors, and a busted
--- helper.

local core = require "curio.core"
local kernel = require "curio.kernel"
local sched = require "curio.sched"
local errors = require "curio.errors"
local traps = require "curio.traps"

local testing = {}

-- ---- time and order ----

--- A virtual clock: when all tasks are blocked it jumps to the next timer. For
---`curio.run{fn, clock = testing.autojump()}`. Threads and child processes that tasks wait for are
---given a moment of real time first.
---@return table clock
function testing.autojump()
  return { jumps = true }
end

--- From now on ready tasks run in random order, until it is called with nil.
---@param seed integer?  the same seed gives the same order
function testing.shuffle(seed)
  core.testing.shuffle(traps.get_kernel(), seed)
end

--- Waits until no other task can go on without help from outside.
---@async
testing.wait_all_blocked = core.testing.wait_all_blocked

-- ---- sockets in memory ----

local MemorySocket = {}

local socket_meta = { __index = MemorySocket, __name = "curio.testing.MemorySocket" }

function socket_meta:__tostring()
  local state = self._closed and ", closed" or ""
  return ("MemorySocket(%d bytes to read%s)"):format(self._in.size, state)
end

local CAPACITY = 65536

-- One direction: what has been sent and not been received.
local function new_pipe()
  return {
    chunks = {},
    size = 0,
    eof = false, -- the sender has shut it down
    broken = false, -- the receiver has
    readers = sched.SchedFIFO(),
    writers = sched.SchedFIFO(),
  }
end

local function wake_all(pipe)
  pipe.readers:wake(#pipe.readers)
  pipe.writers:wake(#pipe.writers)
end

--- Two connected sockets that have no descriptors and need no kernel of the system's.
---@return table one
---@return table other
function testing.socketpair()
  local a, b = new_pipe(), new_pipe()
  return setmetatable({ _in = a, _out = b, _closed = false }, socket_meta),
    setmetatable({ _in = b, _out = a, _closed = false }, socket_meta)
end

local function closed_error(verb)
  return errors.ClosedError(verb .. ": the socket is closed")
end

-- Sleeps until something about a pipe has changed.
local function wait_on(list, state, class)
  if #list > 0 then
    error(class(("another task is waiting for this socket (%s)"):format(state)), 3)
  end
  list:suspend(state)
end

local function take(pipe, max)
  local data = table.concat(pipe.chunks)
  local taken, rest = data:sub(1, max), data:sub(max + 1)
  pipe.chunks = rest ~= "" and { rest } or {}
  pipe.size = #rest
  pipe.writers:wake()
  return taken
end

--- Receives up to max bytes.
---@async
---@param max integer
---@return string? data  nil at the end of the stream
---@return table? err
function MemorySocket:recv(max)
  traps.checkpoint "socket:recv"
  local pipe = self._in
  while not self._closed do
    if pipe.size > 0 then
      return take(pipe, max)
    elseif pipe.eof then
      return nil
    end
    wait_on(pipe.readers, "READ_WAIT", errors.ReadResourceBusy)
  end
  return nil, closed_error "socket:recv"
end

local function broken(verb)
  return errors.OSError { message = verb .. ": Broken pipe", code = "EPIPE", op = verb }
end

local function send_some(self, data, verb)
  local pipe = self._out
  while not self._closed do
    if pipe.eof or pipe.broken then
      return nil, broken(verb)
    elseif pipe.size < CAPACITY then
      local part = data:sub(1, CAPACITY - pipe.size)
      pipe.chunks[#pipe.chunks + 1] = part
      pipe.size = pipe.size + #part
      pipe.readers:wake()
      return #part
    end
    wait_on(pipe.writers, "WRITE_WAIT", errors.WriteResourceBusy)
  end
  return nil, closed_error(verb)
end

--- Sends as much as there is room for.
---@async
---@param data string
---@return integer? bytes
---@return table? err
function MemorySocket:send(data)
  traps.checkpoint "socket:send"
  if data == "" then
    return 0
  end
  return send_some(self, data, "socket:send")
end

--- Sends all of it. Cancelled: err.bytes_sent tells how much has been.
---@async
---@param data string
---@return integer? bytes
---@return table? err
function MemorySocket:sendall(data)
  traps.checkpoint "socket:sendall"
  local sent = 0
  local guard <close> = setmetatable({}, {
    __close = function(_, err)
      if errors.is(err, errors.CancelledError) then
        err.bytes_sent = sent
      end
    end,
  })
  while sent < #data and guard do
    local n, err = send_some(self, data:sub(sent + 1), "socket:sendall")
    if not n then
      return nil, err
    end
    sent = sent + n
  end
  return sent
end

--- Ends one direction, or both.
---@param how string  "rd", "wr" or "rdwr"
---@return true? ok
---@return table? err
function MemorySocket:shutdown(how)
  if self._closed then
    return nil, closed_error "socket:shutdown"
  end
  if how ~= "wr" then
    self._in.broken, self._in.eof = true, true
    wake_all(self._in)
  end
  if how ~= "rd" then
    self._out.eof = true
    wake_all(self._out)
  end
  return true
end

--- Closes it; who sleeps in one of its methods wakes with nil and a ClosedError.
function MemorySocket:close()
  if not self._closed then
    self:shutdown "rdwr"
    self._closed = true
  end
end

socket_meta.__close = MemorySocket.close

--- A stream over the socket (curio.io). Closing it closes the socket.
---@param self table
---@return curio.stream
MemorySocket.as_stream = core.stream.socket

--- for data in sock:chunks(n) do: what arrives, until the end of the stream.
---@param max integer?  bytes at a time, 65536 by default
function MemorySocket:chunks(max)
  return function()
    local data, err = self:recv(max or CAPACITY)
    if err then
      error(err, 0)
    end
    return data
  end
end

-- ---- what a spec has left behind ----

local function old_tasks()
  local old = {}
  for _, task in ipairs(core.running() and core.tasks() or {}) do
    old[task.id] = true
  end
  return old
end

local function fail_on_tasks(old)
  local left = {}
  for _, task in ipairs(core.tasks()) do
    if not old[task.id] and not task.daemon then
      left[#left + 1] = "\n\t" .. tostring(task)
    end
  end
  if #left > 0 then
    error("tasks were left behind:" .. table.concat(left), 0)
  end
end

local function fail_on_descriptors(before)
  local left = {}
  for fd in pairs(core.testing.descriptors() or {}) do
    if not before[fd] then
      left[#left + 1] = fd
    end
  end
  if #left > 0 then
    table.sort(left)
    error("descriptors were left open: " .. table.concat(left, ", "), 0)
  end
end

local function fail_on_threads(before)
  local now = core.testing.threads()
  if now and now > before then
    error(("%d threads were left behind"):format(now - before), 0)
  end
end

local function run_body(body, old)
  old[core.current().id] = true
  body()
  fail_on_tasks(old)
end

--- Runs body as the main task of a kernel; raises if it leaves a task, a descriptor or a thread
---behind (daemons excepted). Options are those of curio.run.
---@param body function
---@param opts table?
function testing.run(body, opts)
  local old, descriptors = old_tasks(), core.testing.descriptors() or {}
  local threads = core.testing.threads()
  local form = { run_body, body, old }
  for name, value in pairs(opts or {}) do
    form[name] = value
  end
  kernel.run(form)
  fail_on_descriptors(descriptors)
  fail_on_threads(threads)
end

--- Makes of busted's `it` one whose bodies are tasks, under testing.run:
---`local it = testing.it(it, { clock = testing.autojump() })`.
---@param it function
---@param opts table?  of curio.run
---@return function
function testing.it(it, opts)
  return function(name, body)
    it(name, body and function()
      testing.run(body, opts)
    end)
  end
end

return testing
