--- Channels: messages between programs, over TCP or Unix sockets, with a shared key.
--
-- Framing and authentication are those of Python's multiprocessing.connection: a length of four
-- bytes and the message; HMACs of a challenge, both ways. Values travel as MessagePack.
--
-- *curio: curio.channel.*

local connections = require "curio.channel.connection"
local core = require "curio.core"
local errors = require "curio.errors"
local network = require "curio.network"
local queue = require "curio.queue"
local sync = require "curio.sync"
local task = require "curio.task"
local time = require "curio.time"

local options = core.args.options

local channel = { Connection = connections.Connection }

local AUTH_SECONDS = 30
local LIMIT = 128 -- peers that are being authenticated, or wait to be accepted

local Channel = { __name = "curio.Channel" }
Channel.__index = Channel

local KEY_OPTIONS = { "authkey", "allow_md5", "timeout" }

local function key_options(opts, verb)
  opts = options(opts, verb, KEY_OPTIONS)
  if opts.authkey ~= nil then
    connections.check_key(opts.authkey, verb)
  end
  local seconds = opts.timeout == nil and AUTH_SECONDS or opts.timeout
  if type(seconds) ~= "number" or seconds <= 0 then
    error(("%s: option 'timeout' must be a positive number of seconds"):format(verb), 3)
  end
  return { authkey = opts.authkey, allow_md5 = opts.allow_md5, timeout = seconds }
end

local function check_address(address)
  local kind = type(address)
  if kind ~= "string" and (kind ~= "table" or address[1] == nil) then
    error("Channel: an address is {host, port} or a path, got " .. kind, 3)
  elseif address == "" then
    error("Channel: the path is empty", 3)
  elseif kind == "table" and not getmetatable(address) then
    local host, port = address[1], address[2]
    if type(host) ~= "string" or math.type(port) ~= "integer" or port < 0 or port > 65535 then
      error(("Channel: {host, port} is a string and 0 to 65535, got {%s, %s}"):format(
        tostring(host), tostring(port)), 3)
    end
  end
end

--- A place where programs meet: one binds and accepts, others connect.
---@param address table|string  {host, port}, or the path of a Unix socket
---@param opts table?  max_message = the longest message that is received, in bytes (64 MiB)
---@return curio.Channel
function channel.Channel(address, opts)
  check_address(address)
  opts = options(opts, "Channel", { "max_message" })
  local most = connections.check_size(opts.max_message or connections.MAX_MESSAGE, "Channel",
    "max_message")
  return setmetatable({ address = address, max_message = most }, Channel)
end

function Channel:__tostring()
  local address = self.address
  return ("Channel(%s)"):format(type(address) == "table" and not getmetatable(address)
    and table.concat(address, ":") or tostring(address))
end

local function is_path(address)
  return type(address) == "string" or address.path ~= nil or address[2] == nil
end

local function connection_over(self, sock)
  local stream = sock:as_stream()
  return channel.Connection(stream, stream, { max_message = self.max_message })
end

-- What is closed unless `keep` has been set.
local guard_meta = {
  __close = function(guard)
    if not guard.keep then
      guard.what:close()
    end
  end,
}

-- fn(connection, key, opts) within the time allowed; nil and an AuthenticationError after it.
---@async
local function authenticate(fn, connection, opts)
  local ok, result, err = pcall(time.timeout_after, opts.timeout, fn, connection,
    opts.authkey, { allow_md5 = opts.allow_md5 })
  if ok then
    return result, err
  elseif errors.is(result, errors.TaskTimeout) then
    return connections.refused(("the peer has not authenticated itself within %g s"):format(
      opts.timeout))
  end
  error(result, 0)
end

--- Binds and listens; accept does so by itself. Afterwards .address tells the port.
---@async
---@return true? ok
---@return table? err
function Channel:bind()
  if self._closed then
    return nil, errors.ClosedError "bind: the channel is closed"
  elseif self._sock then
    return true
  end
  local address = self.address
  local sock, err
  if is_path(address) then
    sock, err = network.unix_server_socket(type(address) == "string" and address or address[1])
  else
    sock, err = network.tcp_server_socket(address[1], address[2], { reuse_address = true })
  end
  if not sock then
    return nil, err
  end
  if is_path(address) then
    self._path = tostring(sock:getsockname()):match "^[^@].*"
  end
  self._accepted = queue.Queue()
  self._room = sync.Event()
  self._peers, self._npeers = {}, 0
  -- last, for it is what close goes by, also when memory has ended here
  self._sock, self.address = sock, sock:getsockname()
  return true
end

-- ---- accepting: each peer authenticates in a task of its own ----

local function leave(self, peer)
  if self._peers[peer] then
    self._peers[peer] = nil
    self._npeers = self._npeers - 1
    self._room:set()
  end
end

-- Whoever has tried longest makes room; but not who has succeeded.
local function evict(self)
  local oldest
  for peer in pairs(self._peers) do
    if not peer.done and peer.task and (not oldest or peer.number < oldest.number) then
      oldest = peer
    end
  end
  if oldest then
    leave(self, oldest)
    oldest.task:cancel { blocking = false }
  end
  return oldest ~= nil
end

local leaving_meta = {
  __close = function(leaving)
    if not leaving.peer.done then
      leave(leaving.channel, leaving.peer)
    end
  end,
}

---@async
local function admit(self, peer, connection, opts)
  local _ <close> = setmetatable({ channel = self, peer = peer }, leaving_meta)
  local guard <close> = setmetatable({ what = connection }, guard_meta)
  local ok, err = true, nil
  if opts.authkey then
    ok, err = authenticate(connection.authenticate_server, connection, opts)
  end
  peer.done = true
  guard.keep = ok
  self._accepted:put {
    peer = peer, connection = ok and connection or nil, err = err, opts = opts,
  }
end

local function spawn_admit(self, peer, connection)
  peer.task = task.spawn {
    admit, self, peer, connection, self._opts, daemon = true, name = "channel peer",
  }
end

-- May who was admitted by some options be given to an accept that has others? One of whom no key
-- was asked is asked now, and comes again; one who has proved another key is left.
local function is_good_for(self, accepted, opts)
  local was = accepted.opts
  if was.authkey == opts.authkey and not was.allow_md5 == not opts.allow_md5 then
    return true
  elseif accepted.connection and not was.authkey then
    accepted.peer.done = nil
    spawn_admit(self, accepted.peer, accepted.connection)
    return false
  elseif accepted.connection then
    accepted.connection:close()
  end
  leave(self, accepted.peer)
  return false
end

---@async
local function accept_all(self)
  local number = 0
  for sock in self._sock:clients() do
    while self._npeers >= LIMIT and not evict(self) do
      self._room:clear()
      self._room:wait()
    end
    number = number + 1
    local peer = { number = number }
    self._peers[peer], self._npeers = true, self._npeers + 1
    spawn_admit(self, peer, connection_over(self, sock))
  end
end

-- However it ends, nobody comes any more: the channel is closed, and who waits is told why.
local function watch_acceptor(self)
  local _ <close> = self
  local ok, err = pcall(accept_all, self)
  if not ok and not self._closed then
    self._failure = err
  end
  if not ok and errors.is(err, errors.CancelledError) then
    error(err, 0)
  end
end

--- Waits for a peer. With a key, it and we authenticate each other first; peers do so side by
---side, so one that is silent or slow holds up nobody else.
---@async
---@param opts table?  authkey =; allow_md5 = true: also peers of Python before 3.12; timeout = the
---seconds a peer has for it (30)
---@return curio.Connection? connection
---@return table? err  AuthenticationError: a peer was refused; call again
function Channel:accept(opts)
  opts = key_options(opts, "channel:accept")
  local ok, err = self:bind()
  if not ok then
    return nil, err
  end
  self._opts = opts
  if not self._acceptor then
    self._acceptor = task.spawn { watch_acceptor, self, daemon = true, name = "channel accept" }
  end
  local accepted
  repeat
    accepted = self._accepted:get()
  until not accepted or is_good_for(self, accepted, opts)
  if not accepted then
    err = self._failure
    self._failure = nil
    return nil, err or errors.ClosedError "accept: the channel is closed"
  end
  leave(self, accepted.peer)
  return accepted.connection, accepted.err
end

--- Connects to whoever accepts there. With a key, both authenticate each other.
---@async
---@param opts table?  authkey =; allow_md5 = true: also with Python before 3.12; timeout = the
---seconds that all may take (30)
---@return curio.Connection? connection
---@return table? err  OSError, AuthenticationError
function Channel:connect(opts)
  opts = key_options(opts, "channel:connect")
  local address = self.address
  local sock, err
  if is_path(address) then
    sock, err = network.open_unix_connection(type(address) == "string" and address or address[1])
  else
    sock, err = network.open_connection(address[1], address[2], { timeout = opts.timeout })
  end
  if not sock then
    return nil, err
  end
  local guard <close> = setmetatable({ what = sock }, guard_meta)
  local connection = connection_over(self, sock)
  if opts.authkey then
    local ok
    ok, err = authenticate(connection.authenticate_client, connection, opts)
    if not ok then
      return nil, err
    end
  end
  guard.keep = true
  return connection
end

--- Stops accepting; connections that nobody has taken are closed, others are not touched. Who waits
---in accept gets nil and a ClosedError.
---@async
---@return true
function Channel:close()
  if self._closed then
    return true
  end
  self._closed = true
  if not self._sock then
    return true
  end
  self._sock:close()
  if self._path then
    os.remove(self._path)
  end
  for peer in pairs(self._peers) do
    if not peer.done and peer.task then
      peer.task:cancel { blocking = false }
    end
  end
  if self._acceptor and self._acceptor ~= task.current_task() then
    self._acceptor:cancel { blocking = false }
  end
  while true do
    local found, accepted = self._accepted:try_get()
    if not found then
      break
    elseif accepted.connection then
      accepted.connection:close()
    end
  end
  self._accepted:close()
  return true
end

Channel.__close = Channel.close

return channel
