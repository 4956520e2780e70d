---@meta curio.file

--- A file whose blocking work is done by a thread. Results are those of Lua's files, but for
---errors: nil and an OSError, or a ClosedError.
---@class curio.file
local File = {}

--- Reads by formats, as Lua's files do: "l" (the default) "L" "a" "n", or a number of bytes. nil
---alone: the end of the file.
---@async
---@param ... integer|string
---@return string|number? ...
function File:read(...) end

--- for line in file:lines() do; formats are those of read. The loop blocks and raises errors.
---@param ... integer|string
---@return async fun(): string|number?, ...
function File:lines(...) end

--- Reads a line.
---@async
---@param format string?  "l", or "L" with the newline
---@return string? line
---@return curio.Error? err
function File:readline(format) end

--- Reads all lines to the end.
---@async
---@param format string?  "l", or "L" with the newlines
---@return string[]? lines
---@return curio.Error? err
function File:readlines(format) end

--- Reads to the end.
---@async
---@return string? data  "" at the end
---@return curio.Error? err
function File:readall() end

--- Reads n bytes, neither more nor less.
---@async
---@param n integer
---@return string? data       nil alone: the end of the file
---@return curio.Error? err   err.partial: what came
function File:read_exactly(n) end

--- Writes strings and numbers, as one step.
---@async
---@param ... string|number
---@return curio.file? self
---@return curio.Error? err   err.bytes_written
function File:write(...) end

--- Writes out what is in the buffer.
---@async
---@return true? done
---@return curio.Error? err
function File:flush() end

--- Sets the position.
---@async
---@param whence "set"|"cur"|"end"|nil  "cur" by default
---@param offset integer?
---@return integer? position  from 0
---@return curio.Error? err
function File:seek(whence, offset) end

--- Sets the length.
---@async
---@param size integer?  the position by default
---@return integer? size
---@return curio.Error? err
function File:truncate(size) end

--- Says when what is written goes out. Reading is buffered in any case.
---@async
---@param mode "full"|"line"|"no"
---@param size integer?  bytes kept in mode "full"
---@return true? done
---@return curio.Error? err
function File:setvbuf(mode, size) end

--- Writes out and closes; harmless the second time.
---@async
---@return true? done
---@return curio.Error? err  what could not be written out; the file is closed nevertheless
function File:close() end

--- The descriptor, its position where the file's is, what has been written written out. (That of a
---FIFO or terminal has to be flushed.)
---@return integer? fd
---@return curio.Error? err
function File:fileno() end

---@class curio.filemodule
local file = {}

--- Opens a file.
---@async
---@param path string
---@param mode string?  as of io.open; "r" by default
---@return curio.file? file
---@return curio.Error? err
function file.aopen(path, mode) end

return file
