--- Streams: buffered reading and gathered writing over sockets, TLS connections, pipes, terminals.
--
-- The objects and their methods are the C host's (src/stream*lib.c). One task may read from a
-- stream while another writes to it. What is read ahead stays in the stream's buffer, whatever
-- becomes of the read that asked for it; what is written goes out at once.

local core = require "curio.core"

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
