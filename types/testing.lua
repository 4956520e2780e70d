---@meta curio.testing

--- Two of them are connected in memory; the methods are as a socket's.
---@class curio.MemorySocket
local MemorySocket = {}

---@async
---@param max integer
---@return string? data  nil without an error: the end of the stream
---@return curio.Error? err
function MemorySocket:recv(max) end

---@async
---@param data string
---@return integer? sent
---@return curio.Error? err
function MemorySocket:send(data) end

--- Cancelled, the error has bytes_sent.
---@async
---@param data string
---@return integer? sent
---@return curio.Error? err
function MemorySocket:sendall(data) end

---@param how "rd"|"wr"|"rdwr"
---@return true? done
---@return curio.Error? err
function MemorySocket:shutdown(how) end

function MemorySocket:close() end

--- for data in sock:chunks(n) do: until the end of the stream; the loop blocks.
---@param max integer?
---@return async fun(): string?
function MemorySocket:chunks(max) end

--- A stream over the socket.
---@return curio.stream
function MemorySocket:as_stream() end

---@class curio.testing
local testing = {}

--- A clock for curio.run{fn, clock = testing.autojump()}: it jumps to the next timer when all tasks
--- are blocked.
---@return table
function testing.autojump() end

--- Ready tasks run in random order, the same for the same seed; without a seed no more.
---@param seed integer?
function testing.shuffle(seed) end

--- Waits until no other task can go on without help from outside.
---@async
function testing.wait_all_blocked() end

--- Two connected sockets without descriptors.
---@return curio.MemorySocket one
---@return curio.MemorySocket other
function testing.socketpair() end

--- Runs body by curio.run; raises if it leaves a task, a descriptor or a thread behind.
---@param body async fun()
---@param opts curio.RunOptions?
function testing.run(body, opts) end

--- busted's `it`, with bodies that are tasks.
---@param it function
---@param opts curio.RunOptions?
---@return function
function testing.it(it, opts) end

return testing
