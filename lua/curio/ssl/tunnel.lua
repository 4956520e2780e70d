--- TLS over what is no socket: a stream, TLS again, a pair in memory; anything with recv(n) and
--- sendall(data).
--
-- The engine works in memory (src/tlsmemlib.c), and this moves the bytes. One task may read while
-- another writes: whoever finds that somebody is sending already leaves its bytes to that one.

local core = require "curio.core"
local sched = require "curio.sched"
local errors = require "curio.errors"

local CHUNK = 65536

-- Fields: _tls (the engine), _below, _sending (somebody is in _below:sendall), _senders (who waits
-- for that), _stream (what is below, if it is a stream; else false), _send_error (what it failed
-- with), _shaking (who waits for the handshake; nil: nobody is at it), _shaker (the
-- task that is).
local Tunnel = {}

local tunnel = { Tunnel = Tunnel }

require("curio.ssl.plain").add(Tunnel)

-- ---- moving bytes ----

local Sending = {
  __close = function(sending)
    local self = sending.tunnel
    self._sending = false
    if not sending.complete then
      self._tls:_break()
    end
    self._senders:wake(#self._senders)
  end,
}

---@async
local function send_all(self)
  self._sending = true
  local sending <close> = setmetatable({ tunnel = self, complete = false }, Sending)
  local data = self._tls:_drain()
  while data do
    local done, err = self._below:sendall(data)
    if not done then
      self._send_error = err
      return
    end
    data = self._tls:_drain()
  end
  sending.complete = true
end

-- Sends what there is. A reader does not wait for another's sending.
---@async
local function flush(self, patient)
  while self._sending do
    if not patient then
      return true
    end
    self._senders:suspend "WRITE_WAIT"
  end
  if not self._send_error then
    send_all(self)
  end
  return not self._send_error, self._send_error
end

---@async
local function receive(self)
  local data, err = self._below:recv(CHUNK)
  if err then
    return nil, err
  end
  self._tls:_feed(data)
  return true
end

-- Goes on with a step until it has an outcome.
---@async
local function complete(self, op, arg, patient)
  local status, value = self._tls:_step(op, arg)
  while status == "again" do
    local done, err = flush(self, patient)
    if done then
      done, err = receive(self)
    end
    if not done then
      return "failed", err
    end
    status, value = self._tls:_step(op, arg)
  end
  return status, value
end

-- ---- the handshake ----

local Shake = {
  __close = function(shake)
    local waiting = shake.tunnel._shaking
    shake.tunnel._shaking, shake.tunnel._shaker = nil, nil
    waiting:wake(#waiting)
  end,
}

---@async
local function shake_hands(self)
  local status, value = complete(self, "handshake", nil, true)
  while status == "servername" do
    tunnel.choose(self, value)
    status, value = complete(self, "handshake", nil, true)
  end
  local sent, err = flush(self, true)
  if status == "failed" then
    return nil, value
  end
  return sent or nil, err
end

---@async
function Tunnel:do_handshake()
  while self._shaking do
    tunnel.await_other(self._shaker)
    self._shaking:suspend "TLS_HANDSHAKE"
  end
  self._shaking, self._shaker = sched.SchedFIFO(), core.current()
  local _ <close> = setmetatable({ tunnel = self }, Shake)
  return shake_hands(self)
end

---@async
local function ready(self)
  if self._tls:_state() == "new" then
    return self:do_handshake()
  end
  return true
end

-- ---- reading and writing ----

local function check_size(verb, max)
  if max ~= nil and not (math.type(max) == "integer" and max >= 0) then
    error(("%s: the size must be an integer, 0 or more, not %s"):format(verb, tostring(max)), 3)
  end
  return max or CHUNK
end

---@async
function Tunnel:recv(max)
  max = check_size("recv", max)
  local done, err = ready(self)
  if not done then
    return nil, err
  elseif max == 0 then
    return ""
  end
  local status, value = complete(self, "read", max, false)
  flush(self, false)
  if status == "failed" then
    return nil, value
  end
  return value
end

function Tunnel:chunks(max)
  max = check_size("chunks", max)
  return function()
    local data, err = self:recv(max)
    if err and not errors.is(err, errors.ClosedError) then
      error(err, 0)
    end
    return data
  end
end

---@async
local function send(self, data)
  local done, err = ready(self)
  if not done then
    return nil, err
  end
  local status, value = self._tls:_step("write", data)
  if status == "failed" then
    return nil, value
  end
  done, err = flush(self, true)
  return done and value, err
end

local function check_data(verb, data)
  if type(data) ~= "string" then
    error(("%s: a string is expected, got %s"):format(verb, type(data)), 3)
  end
end

---@async
function Tunnel:send(data)
  check_data("send", data)
  local n, err = send(self, data)
  return n or nil, err
end

local Progress = {
  __close = function(progress, err)
    if errors.is(err, errors.CancelledError) then
      err.bytes_sent = progress.sent
    end
  end,
}

---@async
function Tunnel:sendall(data)
  check_data("sendall", data)
  local progress <close> = setmetatable({ sent = 0 }, Progress)
  repeat
    local n, err = send(self, progress.sent > 0 and data:sub(progress.sent + 1) or data)
    if not n then
      err.bytes_sent = progress.sent
      return nil, err
    end
    progress.sent = progress.sent + n
  until progress.sent == #data
  return true
end

-- ---- ending ----

---@async
local function say_end(self)
  local status, value = self._tls:_step "shut"
  if status == "failed" then
    return nil, value
  end
  return flush(self, true)
end

---@async
function Tunnel:shutdown(how)
  local done, err = ready(self)
  if done and how ~= "rd" then
    done, err = say_end(self)
  end
  if done and self._below.shutdown then
    done, err = self._below:shutdown(how)
  end
  return done or nil, err
end

---@async
function Tunnel:unwrap()
  local done, err = say_end(self)
  if not done then
    return nil, err
  end
  local status, value = complete(self, "end", nil, true)
  if status == "failed" then
    return nil, value
  end
  local _, rest = self._tls:_release()
  return self._stream or self._below, rest
end

local FAREWELL = 1 -- seconds that what lies below has for it

-- Not while the task is being cancelled: whatever lies below would refuse to block.
---@async
function Tunnel:close(err)
  local state = self._tls:_state()
  if state == "closed" then
    return true
  end
  local polite = state == "connected" and not self._sending and not self._send_error
  if polite and not errors.is(err, errors.CancelledError) then
    self._tls:_step "shut"
    core.pcall(core.ignore_after, FAREWELL, send_all, self)
  end
  self._tls:close()
  self._below:close()
  self._senders:wake(#self._senders)
  return true
end

for _, name in ipairs {
  "getpeercert", "cipher", "version", "selected_alpn_protocol", "session_reused", "_answer",
  "_update_keys",
} do
  Tunnel[name] = function(self, ...)
    return self._tls[name](self._tls, ...)
  end
end

for _, name in ipairs { "fileno", "getsockname", "getpeername", "setsockopt", "getsockopt" } do
  Tunnel[name] = function(self, ...)
    local method = self._below[name]
    if not method then
      return nil, errors.OSError { message = name .. ": what lies below TLS has no such method" }
    end
    return method(self._below, ...)
  end
end

--- A stream over it.
function Tunnel:as_stream()
  return require("curio.io").SocketStream(self)
end

local meta = { __name = "curio.TLSSocket", __close = Tunnel.close }

function meta:__index(name)
  local method = Tunnel[name]
  if method ~= nil then
    return method
  elseif type(name) == "string" and not name:find "^_" then
    return rawget(self, "_tls")[name]
  end
end

function meta:__tostring()
  return (tostring(rawget(self, "_tls")):gsub("%)$", ", over " .. tostring(self._below) .. ")"))
end

-- A stream has other names for it.
local Adapter = {
  recv = function(self, n)
    return self.stream:read(n)
  end,
  sendall = function(self, data)
    local done, err = self.stream:write(data)
    if done then
      done, err = self.stream:flush()
    end
    return done, err
  end,
  close = function(self)
    return self.stream:close()
  end,
}
Adapter.__index = Adapter

local function has(object, name)
  local kind = type(object)
  return (kind == "table" or kind == "userdata") and object[name] ~= nil
end

--- Can TLS go over it?
function tunnel.fits(object)
  return has(object, "recv") and has(object, "sendall")
    or has(object, "read") and has(object, "write")
end

function tunnel.new(engine, below)
  local stream = not has(below, "sendall") and below
  return setmetatable({
    _tls = engine,
    _below = stream and setmetatable({ stream = stream }, Adapter) or below,
    _stream = stream,
    _sending = false,
    _senders = sched.SchedFIFO(),
  }, meta)
end

return tunnel
