---@meta curio.io

---@class curio.io
---@field stdin curio.stream   the process's own; made when first used, and never made non-blocking
---@field stdout curio.stream
---@field stderr curio.stream
local io = {}

---@class curio.stream
local Stream = {}

--- Reads by formats, as Lua's files do: "l" (the default) "L" "a" "n", or a number: up to so many
---bytes, as soon as there are any. nil alone: the end of the stream.
---@async
---@param ... integer|string
---@return string|number? ...
function Stream:read(...) end

--- for line in stream:lines() do; formats are those of read. The loop blocks, raises errors, and
---ends at the end of the stream or when it is closed.
---@param ... integer|string
---@return async fun(stream: curio.stream): string|number?, ...
---@return curio.stream
function Stream:lines(...) end

--- Reads a line.
---@async
---@param format string?  "l", or "L" with the newline
---@param opts table?     max = bytes that a line may have; else nil and an OSError, EMSGSIZE
---@return string? line
---@return curio.Error? err
function Stream:readline(format, opts) end

--- Reads all lines until the end of the stream.
---@async
---@param format string?  "l", or "L" with the newlines
---@return string[]? lines
---@return curio.Error? err
function Stream:readlines(format) end

--- Reads until the end of the stream.
---@async
---@return string? data  "" at its end
---@return curio.Error? err
function Stream:readall() end

--- Reads n bytes, neither more nor less.
---@async
---@param n integer
---@return string? data       nil alone: the stream has ended, and nothing came
---@return curio.Error? err   err.partial: what came
function Stream:read_exactly(n) end

--- Reads up to a delimiter, which is taken too.
---@async
---@param delimiter string
---@param opts table?         max = bytes before it, inclusive = true: it is part of the result
---@return string? data       nil alone: the stream has ended, and nothing came
---@return curio.Error? err   err.partial: what came; or an OSError, EMSGSIZE
function Stream:read_until(delimiter, opts) end

--- Writes all of them. Errors, and cancellations, have bytes_written.
---@async
---@param ... string|number
---@return curio.stream? stream
---@return curio.Error? err
function Stream:write(...) end

--- Writes all strings of a list.
---@async
---@param list (string|number)[]
---@return curio.stream? stream
---@return curio.Error? err
function Stream:writelines(list) end

--- Does nothing: what is written goes out at once.
---@return curio.stream? stream
---@return curio.Error? err
function Stream:flush() end

--- Closes it, and what it was made of. Who sleeps in a method gets nil and a ClosedError.
---@async
---@return true? done  or what closing that returned
function Stream:close() end

---@return integer? fd
---@return curio.Error? err
function Stream:fileno() end

--- A stream over a socket, or over an object with the methods recv and send of one.
---@param sock curio.socket|table
---@return curio.stream
function io.SocketStream(sock) end

--- A stream over a descriptor, which then belongs to it.
---@param file integer|file*|table  a descriptor, a Lua file, or an object with fileno()
---@return curio.stream? stream
---@return curio.Error? err
function io.FileStream(file) end

--- Pumps bytes from one to the other until the first one ends, by the cheapest means there are.
---Neither is closed or shut down.
---@async
---@param from any  a socket, stream, AsyncFile, Lua file, or descriptor
---@param to any    likewise
---@param opts table?  n = bytes to copy at most
---@return integer? bytes
---@return curio.Error? err  err.bytes_copied, as of a cancellation; err.unsent
function io.copy(from, to, opts) end

return io
