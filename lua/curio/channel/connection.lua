--- Connections of curio.channel: messages over a pair of streams, and the proof of a shared key.

local core = require "curio.core"
local errors = require "curio.errors"
local sync = require "curio.sync"

local crypt = core.channel
local options = core.args.options

local connection = {}

connection.MAX_MESSAGE = 64 * 1024 * 1024 -- bytes
local AUTH_MESSAGE = 256             -- the longest message of the authentication, as in Python

-- ---- framing ----

local Connection = { __name = "curio.Connection" }
Connection.__index = Connection

function connection.check_size(value, verb, name)
  if math.type(value) ~= "integer" or value < 0 then
    error(("%s: %s must be a number of bytes, got %s"):format(verb, name, tostring(value)), 3)
  end
  return value
end

local check_size = connection.check_size

--- A connection over two streams, or one for both directions.
---@param reader curio.stream
---@param writer curio.stream
---@param opts table?  max_message = the longest message that is received, in bytes (64 MiB)
---@return curio.Connection
function connection.Connection(reader, writer, opts)
  opts = options(opts, "Connection", { "max_message" })
  return setmetatable({
    reader = reader, writer = writer,
    max_message = check_size(opts.max_message or connection.MAX_MESSAGE, "Connection",
      "max_message"),
    _reading = sync.Lock(), _writing = sync.Lock(),
  }, Connection)
end

local function closed(op)
  return nil, errors.ClosedError(op .. ": the connection is closed")
end

-- A message that was sent in part can only be followed by its rest.
local function send_frame(self, op, header, data)
  local _ <close> = self._writing:acquire()
  if not self.writer then
    return closed(op)
  elseif self._broken then
    return nil, errors.ClosedError(op .. ": an earlier message was sent in part only")
  end
  self._broken = true
  local ok, result, err = pcall(function()
    return self.writer:write(header, data)
  end)
  if not ok then
    self._broken = (result.bytes_written or 0) > 0
    error(result, 0)
  end
  self._broken = not result
  return result and true, err
end

local function send(self, op, data)
  local n = #data
  if n <= 0x7fffffff then
    return send_frame(self, op, (">i4"):pack(n), data)
  end
  return send_frame(self, op, (">i4I8"):pack(-1, n), data)
end

-- The stream's own errors of the system stay what they are.
local function cut_short(err)
  if errors.is(err, errors.OSError, errors.ClosedError) then
    return nil, err
  end
  return nil, crypt.corrupt("recv", "a message that was cut short")
end

-- The length of the next message; nil alone where there is none. It stays noted, should reading the
-- message be cancelled.
---@async
local function next_length(self)
  while not self._length do
    local header, err = self.reader:read_exactly(self._long and 8 or 4)
    if not header and (self._long or err and err.partial) then
      return cut_short(err)
    elseif not header then
      return nil, err
    elseif self._long then
      local n = (">i8"):unpack(header)
      self._long, self._length = nil, n >= 0 and n or math.maxinteger
    else
      local n = (">i4"):unpack(header)
      self._long, self._length = n == -1 or nil, n ~= -1 and n or nil
    end
  end
  return self._length
end

---@async
local function receive(self, op, most)
  local _ <close> = self._reading:acquire()
  if not self.reader then
    return closed(op)
  elseif self._failed then
    return nil, self._failed
  end
  local n, err = next_length(self)
  if not n then
    self._failed = err
    return nil, err
  elseif n < 0 then
    self._failed = crypt.corrupt(op, "a message of negative length")
  elseif n > most then
    self._failed = crypt.too_long(op, ("a message of %d bytes (at most %d)"):format(n, most))
  end
  if self._failed then
    return nil, self._failed
  end
  local data = ""
  if n > 0 then
    data, err = self.reader:read_exactly(n)
  end
  if not data and (not err or err.partial) then
    err = select(2, cut_short(err))
  end
  self._failed = err
  self._length = nil
  return data, err
end

--- Sends bytes as one message: those from i to j, as of string.sub.
---@async
---@param data string
---@param i integer?
---@param j integer?
---@return integer? n  bytes sent
---@return table? err
function Connection:send_bytes(data, i, j)
  if type(data) ~= "string" then
    error("connection:send_bytes: a string is expected, got " .. type(data), 2)
  end
  data = data:sub(i or 1, j or -1)
  local ok, err = send(self, "send_bytes", data)
  return ok and #data or nil, err
end

--- Receives one message. One that is longer than allowed is refused before it is read, and nothing
---can be received after it.
---@async
---@param max integer?  bytes; max_message by default
---@return string? data  nil alone: the peer has closed the connection
---@return table? err    EMSGSIZE, EBADMSG
function Connection:recv_bytes(max)
  max = max and check_size(max, "connection:recv_bytes", "max") or self.max_message
  return receive(self, "recv_bytes", math.min(max, self.max_message))
end

--- Sends a value as MessagePack; raises if it is nothing that MessagePack has.
---@async
---@param value any
---@return true? ok
---@return table? err
function Connection:send(value)
  return send(self, "send", core.copy.encode(value))
end

--- Receives a value. A nil that was sent, and the end, are told apart by the third result.
---@async
---@return any value    nil alone: the peer has closed the connection
---@return table? err
---@return boolean? received  true where a value has come
function Connection:recv()
  local data, err = receive(self, "recv", self.max_message)
  if not data then
    return nil, err
  end
  local ok, value = pcall(core.copy.decode, data)
  if not ok then
    return nil, crypt.corrupt("recv", core.errors.text(value))
  end
  return value, nil, true
end

--- Closes both streams. Harmless the second time.
---@async
---@return true
function Connection:close()
  local reader, writer = self.reader, self.writer
  self.reader = nil
  self.writer = nil
  if reader then
    reader:close()
  end
  if writer and writer ~= reader then
    writer:close()
  end
  return true
end

Connection.__close = Connection.close

-- ---- authentication ----

local CHALLENGE, WELCOME, FAILURE = "#CHALLENGE#", "#WELCOME#", "#FAILURE#"
local RANDOM_BYTES = 40
local LEGACY_CHALLENGE, LEGACY_DIGEST = 20, 16

-- In the order of preference; all that Python has.
local DIGESTS = {
  sha256 = "SHA256", sha384 = "SHA384", sha3_256 = "SHA3-256", sha3_384 = "SHA3-384", md5 = "MD5",
}

function connection.refused(why)
  return nil, errors.AuthenticationError(why)
end

local refused = connection.refused

function connection.check_key(key, verb)
  if type(key) ~= "string" then
    error(("%s: the key must be a string, got %s"):format(verb, type(key)), 3)
  end
  return key
end

local check_key = connection.check_key

-- "{sha256}rest" -> "sha256", rest; what has no such name is of a peer that knows MD5 only.
local function digest_of(message)
  if #message ~= LEGACY_CHALLENGE and #message ~= LEGACY_DIGEST then
    local name, rest = message:match "^{([%w_]+)}(.*)$"
    if name and DIGESTS[name] then
      return name, rest
    end
    return nil
  end
  return "", message
end

local function mac(name, key, message)
  return crypt.hmac(DIGESTS[name == "" and "md5" or name], key, message)
end

-- What came, or why there is none.
---@async
local function hear(self, what)
  local message, err = self:recv_bytes(AUTH_MESSAGE)
  if not message then
    return refused(("no %s came: %s"):format(what, err and tostring(err) or "the peer hung up"))
  end
  return message
end

---@async
local function deliver_challenge(self, key, allow_md5)
  local message = "{sha256}" .. crypt.random(RANDOM_BYTES)
  local sent, err = self:send_bytes(CHALLENGE .. message)
  if not sent then
    return refused("the challenge could not be sent: " .. tostring(err))
  end
  self._challenge = message
  local response
  response, err = hear(self, "answer to the challenge")
  if not response then
    return nil, err
  end
  local name, digest = digest_of(response)
  local weak = name == "" or name == "md5"
  local expected = name and (allow_md5 or not weak) and mac(name, key, message)
  if expected and crypt.equal(expected, digest) then
    sent, err = self:send_bytes(WELCOME)
    return sent and true or nil, err
  end
  self:send_bytes(FAILURE)
  if weak and not allow_md5 then
    return refused "the peer knows MD5 only, which allow_md5=true would accept"
  end
  return refused(name and "the peer has another key" or "the peer's answer makes no sense")
end

---@async
local function answer_challenge(self, key, allow_md5)
  local message, err = hear(self, "challenge")
  if not message then
    return nil, err
  elseif message:sub(1, #CHALLENGE) ~= CHALLENGE then
    return refused "the peer does not authenticate"
  end
  message = message:sub(#CHALLENGE + 1)
  local name = #message >= LEGACY_CHALLENGE and digest_of(message)
  if not name then
    return refused "the peer's challenge makes no sense"
  elseif (name == "" or name == "md5") and not allow_md5 then
    return refused "the peer asks for MD5, which allow_md5=true would accept"
  elseif message == self._challenge then
    return refused "the peer has sent our own challenge back"
  end
  local digest = mac(name, key, message)
  local sent
  sent, err = self:send_bytes(name == "" and digest or ("{%s}%s"):format(name, digest))
  if not sent then
    return refused("the answer could not be sent: " .. tostring(err))
  end
  local verdict
  verdict, err = hear(self, "verdict")
  if not verdict then
    return nil, err
  end
  if verdict ~= WELCOME then
    return refused "the peer has refused our key"
  end
  return true
end

--- The server's part of the authentication: has the peer prove its key, then proves ours.
---@async
---@param key string
---@param opts table?  allow_md5 = true: also with peers of Python before 3.12
---@return true? ok
---@return table? err  AuthenticationError
function Connection:authenticate_server(key, opts)
  check_key(key, "connection:authenticate_server")
  opts = options(opts, "connection:authenticate_server", { "allow_md5" })
  local ok, err = deliver_challenge(self, key, opts.allow_md5)
  if not ok then
    return nil, err
  end
  return answer_challenge(self, key, opts.allow_md5)
end

--- The client's part.
---@async
---@param key string
---@param opts table?  allow_md5 = true: also with peers of Python before 3.12
---@return true? ok
---@return table? err  AuthenticationError
function Connection:authenticate_client(key, opts)
  check_key(key, "connection:authenticate_client")
  opts = options(opts, "connection:authenticate_client", { "allow_md5" })
  local ok, err = answer_challenge(self, key, opts.allow_md5)
  if not ok then
    return nil, err
  end
  return deliver_challenge(self, key, opts.allow_md5)
end

return connection
