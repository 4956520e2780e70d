--- Streams: buffered reading and gathered writing over sockets, TLS connections, pipes, terminals.
--
-- The objects and their methods are the C host's (src/stream*lib.c). One task may read from a
-- stream while another writes to it. What is read ahead stays in the stream's buffer, whatever
-- becomes of the read that asked for it; what is written goes out at once.

local core = require "curio.core"
local errors = require "curio.errors"

local streams = core.stream

-- What blocks is marked async. An error follows nil, but for the end of the stream.
---@class curio.stream
---@field read async fun(self: curio.stream, ...: integer|string): string|number?, ...
---@field readline async fun(self: curio.stream, fmt: string?, opts: table?): string?, table?
---@field readlines async fun(self: curio.stream, fmt: string?): string[]?, table?
---@field readall async fun(self: curio.stream): string?, table?
---@field read_exactly async fun(self: curio.stream, n: integer): string?, table?
---@field read_until async fun(self: curio.stream, delim: string, opts: table?): string?, table?
---@field lines fun(self: curio.stream, ...: integer|string): async fun(): string|number?
---@field write async fun(self: curio.stream, ...: string|number): curio.stream?, table?
---@field writelines async fun(self: curio.stream, list: string[]): curio.stream?, table?
---@field flush fun(self: curio.stream): curio.stream?, table?
---@field close async fun(self: curio.stream): true?, ...
---@field fileno fun(self: curio.stream): integer?, table?

local io = {}

--- A stream over a socket, or over any object that has the methods recv and send of one. Closing
---the stream closes the socket.
---@param sock curio.socket|table
---@return curio.stream
io.SocketStream = streams.socket

--- A stream over a pipe, a terminal, or whatever else has a descriptor, which then belongs to the
---stream: it is made non-blocking, and closed with it. What a Lua file has read ahead is not lost.
---@param file integer|file*|table  a descriptor, a Lua file, or an object with fileno()
---@return curio.stream? stream
---@return table? err  EBADF
io.FileStream = streams.file

-- ---- pumping ----

local CHUNK = 65536

-- A stream over what is given, to be closed when that leaves it as it was; or an object with read
-- and write.
local function stream_over(object, writing, most)
  local kind = streams.kind(object)
  if kind == "shareable" then
    return streams.shared(object, writing, most)
  elseif kind == "stream" or streams.has(object, writing and "write" or "read") then
    return object
  elseif streams.has(object, "fileno") then
    local fd, err = object:fileno()
    if not fd then
      return nil, err
    end
    return streams.shared(fd, writing, most)
  end
  error(("io.copy: the %s is a %s value, nothing to copy %s"):format(
    writing and "second argument" or "first argument", type(object), writing and "to" or "from"), 3)
end

-- What was read and could not be written goes back to where it came from.
local function put_back(from, rest, ours, err)
  local kept = streams.kind(from) == "stream"
  if kept then
    streams.put_back(from, rest)
  elseif streams.has(from, "seek")
    and core.disable_cancellation(from.seek, from, "cur", -#rest) then
    return
  end
  if ours or not kept then
    err.unsent = rest
  end
end

-- nil and the error of what is closed already: a writer would find it only when there is something.
local function is_open(to)
  if streams.has(to, "fileno") then
    local fd, err = to:fileno()
    if not fd and errors.is(err, errors.ClosedError) then
      return nil, err
    end
  end
  return true
end

-- Copies by the methods of objects that have no transport.
---@async
local function copy_by_methods(from, to, n, ours)
  local copied, pending = 0, ""
  local open, closed = is_open(to)
  if not open then
    return nil, closed
  end

  local function interrupted(err)
    local written = err.bytes_written or 0
    copied = copied + written
    pending = pending:sub(written + 1)
    err.bytes_copied, err.bytes_written = copied, nil
    if pending ~= "" then
      put_back(from, pending, ours, err)
    end
    return err
  end

  local _ <close> = setmetatable({}, {
    __close = function(_, err)
      if type(err) == "table" then
        interrupted(err)
      end
    end,
  })
  while copied ~= n do
    local data, err = from:read(n and math.min(CHUNK, n - copied) or CHUNK)
    if err then
      return nil, interrupted(err)
    elseif not data or data == "" then
      break
    end
    pending = data
    local done
    done, err = to:write(data)
    if not done then
      return nil, interrupted(err)
    end
    copied, pending = copied + #data, ""
  end
  return copied
end

--- Pumps bytes from one to the other until the first one ends, by the cheapest means that the
---system has: sendfile, splice, or a buffer. Neither is closed or shut down.
---@async
---@param from any  a socket, stream, AsyncFile, Lua file, or descriptor
---@param to any    likewise
---@param opts table?  n = bytes to copy at most
---@return integer? bytes
---@return table? err  has .bytes_copied, as a cancellation has; and .unsent: bytes taken from a
---`from` that is no stream and not written
function io.copy(from, to, opts)
  local n = core.args.options(opts, "io.copy", { "n" }).n
  if n ~= nil and (math.type(n) ~= "integer" or n < 0) then
    error("io.copy: option 'n' must be a number of bytes", 2)
  end
  local source, err = stream_over(from, false, n)
  if not source then
    return nil, err
  end
  local ours = source ~= from
  local _ <close> = ours and source or nil
  local sink
  sink, err = stream_over(to, true)
  if not sink then
    return nil, err
  end
  local _ <close> = sink ~= to and sink or nil
  if streams.copies(source, sink) then
    return streams.copy(source, sink, n, ours)
  end
  return copy_by_methods(source, sink, n, ours)
end

-- ---- the process's own ----

-- Made when they are first asked for.
local standard = { stdin = 0, stdout = 1, stderr = 2 }

return setmetatable(io, {
  __index = function(self, name)
    local n = standard[name]
    if n then
      self[name] = streams.standard(n)
      return rawget(self, name)
    end
  end,
})
