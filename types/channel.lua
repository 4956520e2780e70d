---@meta curio.channel

---@class curio.KeyOptions
---@field authkey string?
---@field allow_md5 boolean?  also peers of Python before 3.12
---@field timeout number?     seconds, 30

---@class curio.Connection
local Connection = {}

--- Sends bytes i to j, as of string.sub, as one message.
---@async
---@param data string
---@param i integer?
---@param j integer?
---@return integer? n  bytes sent
---@return table? err
function Connection:send_bytes(data, i, j) end

--- Receives one message of at most max bytes.
---@async
---@param max integer?
---@return string? data  nil alone: the peer has closed the connection
---@return table? err    EMSGSIZE, EBADMSG
function Connection:recv_bytes(max) end

--- Sends a value as MessagePack.
---@async
---@param value any
---@return true? ok
---@return table? err
function Connection:send(value) end

--- Receives a value.
---@async
---@return any value
---@return table? err
---@return boolean? received
function Connection:recv() end

--- Closes both streams.
---@async
---@return true
function Connection:close() end

--- The server's part of the authentication.
---@async
---@param key string
---@param opts {allow_md5: boolean?}?
---@return true? ok
---@return table? err  AuthenticationError
function Connection:authenticate_server(key, opts) end

--- The client's part.
---@async
---@param key string
---@param opts {allow_md5: boolean?}?
---@return true? ok
---@return table? err  AuthenticationError
function Connection:authenticate_client(key, opts) end

---@class curio.Channel
---@field address table|string
local Channel = {}

--- Binds and listens.
---@async
---@return true? ok
---@return table? err
function Channel:bind() end

--- Waits for a peer.
---@async
---@param opts curio.KeyOptions?
---@return curio.Connection? connection
---@return table? err
function Channel:accept(opts) end

--- Connects to whoever accepts there.
---@async
---@param opts curio.KeyOptions?
---@return curio.Connection? connection
---@return table? err
function Channel:connect(opts) end

--- Stops accepting.
---@async
---@return true
function Channel:close() end

---@class curio.channel
local channel = {}

--- A place where programs meet.
---@param address table|string  {host, port} or a path
---@param opts {max_message: integer?}?
---@return curio.Channel
function channel.Channel(address, opts) end

--- A connection over two streams.
---@param reader curio.stream
---@param writer curio.stream
---@param opts {max_message: integer?}?
---@return curio.Connection
function channel.Connection(reader, writer, opts) end

return channel
