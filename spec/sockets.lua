-- What the specs of sockets share.

local assert = require "luassert"
local curio = require "curio"
local socket = require "curio.socket"
local helper = require "spec.helper"

local M = {}

-- As a task, which may not wait for ever.
function M.run(fn)
  return function()
    curio.run(curio.timeout_after, 60, fn)
  end
end

local Closer = {
  __close = function(list)
    for _, sock in ipairs(list) do
      sock:close()
    end
  end,
}

function M.closer(...)
  return setmetatable({ ... }, Closer)
end

-- A listening socket on a free port, its address, and what closes it.
function M.listener(backlog)
  local sock = assert(socket.socket())
  assert(sock:bind("127.0.0.1", 0))
  assert(sock:listen(backlog))
  return sock, assert(sock:getsockname()), M.closer(sock)
end

-- A path where nothing is.
function M.unused_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

-- Two sockets connected with each other, and what closes them.
function M.pair()
  local a, b = assert(socket.socketpair())
  return a, b, M.closer(a, b)
end

-- The same, by TCP.
function M.tcp_pair()
  local sock, addr, _ <close> = M.listener()
  local a = assert(socket.socket())
  local task = curio.spawn(sock.accept, sock)
  assert(a:connect(addr))
  local b = assert(task:join())
  return a, b, M.closer(a, b)
end

-- A socket, an address where nobody answers, as the backlog is full, and what closes all this.
function M.nowhere()
  local sock, addr = M.listener(0)
  local first, second = assert(socket.socket()), assert(socket.socket())
  assert(first:connect(addr))
  return second, addr, M.closer(sock, first, second)
end

-- More than the buffers of two sockets take. (Those of TCP grow to some megabytes on loopback.)
M.BIG = ("0123456789abcdef"):rep(1024 * 1024)

-- Fills the buffers towards a peer that does not read.
function M.fill(sock)
  while curio.ignore_after(0.05, sock.send, sock, M.BIG) do
    curio.schedule()
  end
end

function M.receive_all(sock)
  local parts = {}
  for chunk in sock:chunks() do
    parts[#parts + 1] = chunk
  end
  return table.concat(parts)
end

-- Closing a socket with this set resets the connection.
function M.reset(sock)
  assert(sock:setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, string.pack("ii", 1, 0)))
  sock:close()
end

-- Waits until the task sleeps in that state.
function M.until_asleep(task, state)
  while task.state ~= state do
    assert.is_false(task.terminated)
    curio.schedule()
  end
end

M.raises = helper.raises

function M.is_closed_error(value, err)
  assert.is_nil(value)
  assert.is_true(curio.is(err, curio.ClosedError), tostring(err))
  return err
end

function M.is_os_error(code, op, value, err)
  assert.is_nil(value)
  assert.is_true(curio.is(err, curio.OSError), tostring(err))
  assert.equal(code, err.code)
  assert.equal(op, err.op)
  assert.matches(code, tostring(err))
  return err
end

-- Cancels a task that sleeps in that state, and gives the error it ended with.
function M.cancelled(state, fn, ...)
  local task = curio.spawn(fn, ...)
  M.until_asleep(task, state)
  task:cancel()
  assert.is_true(curio.is(task.exception, curio.TaskCancelled))
  return task.exception
end

-- Closes the socket on which a task sleeps in that state, and gives what its call returned.
function M.closed(state, sock, name, ...)
  local task = curio.spawn(sock[name], sock, ...)
  M.until_asleep(task, state)
  sock:close()
  task:join()
  return M.is_closed_error(task.results[1], task.results[2])
end

function M.close_fds(fds)
  for _, fd in ipairs(fds) do
    assert(socket.close(fd))
  end
end

return M
