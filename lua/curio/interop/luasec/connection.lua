--- LuaSec's connections for tasks: one of LuaSec's own below, which never waits, the tcp object of
--- the LuaSocket bridge above.
--
-- In between stands what looks to that object like a socket of curio's: it tries, and where LuaSec
-- says "wantread" or "wantwrite" waits for the descriptor.

local core = require "curio.core"
local errors = require "curio.errors"
local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"
local socket = require "curio.socket"
local tcp = require "curio.interop.luasocket.tcp"
local traps = require "curio.traps"

local CHUNK = 16384 -- bytes of a TLS record

-- ---- the socket in between ----

-- Fields: raw (LuaSec's connection); fd, nil once closed; owner (the object, for its limits); want
-- (what LuaSec wanted last); failure (an error that came behind some data); writing (a task waits
-- to go on with what it sends); broken (the error after which LuaSec must not be called again: its
-- send would never return, its dohandshake would say that all is well).
local Socket = {}
Socket.__index = Socket

local waits = { wantread = traps.read_wait, wantwrite = traps.write_wait }

local function closed(verb)
  return errors.ClosedError(verb .. ": the connection is closed")
end

-- An error that has no more than words.
local function said(text)
  return { said = text or "unknown error" }
end

-- Waits for what LuaSec wants. Without time others run, and it returns nil.
---@async
local function await(self, want)
  self.want = want
  if limits.left(self.owner) == 0 then
    core.schedule()
    return nil, limits.TIMEOUT
  end
  return waits[want](self.fd)
end

-- TLS ends with any error but that the other side is gone.
local function note_failure(self, err)
  self.failure = self.failure or err -- LuaSec knows it only once
  if err ~= "closed" then
    self.broken = err
  end
end

-- One read that does not wait: data, or nil and LuaSec's word.
local function take(self)
  if self.failure then
    return nil, self.failure
  end
  local data, err, part = self.raw:receive(CHUNK)
  data = data or part
  if err and not waits[err] then
    note_failure(self, err)
  end
  if data and data ~= "" then
    return data
  end
  return nil, err
end

---@async
function Socket:recv()
  traps.checkpoint "luasec:receive"
  while self.fd do
    local data, err = take(self)
    if data then
      return data
    elseif err == "closed" then
      return nil
    elseif not waits[err] then
      return nil, said(err)
    end
    local done, failure = await(self, err)
    if not done then
      return nil, failure
    end
  end
  return nil, closed "receive"
end

local Writing = {
  __close = function(writing)
    writing.sock.writing = false
  end,
}

-- LuaSec has begun with a record, which only its own bytes can complete: nobody else may send.
---@async
local function await_write(self, want)
  local _ <close> = setmetatable({ sock = self }, Writing)
  self.writing = true
  return await(self, want)
end

-- At least one byte, unless that fails.
---@async
local function send(self, data, first)
  while self.fd do
    if self.broken then
      return nil, said(self.broken)
    end
    local last, err, sent = self.raw:send(data, first)
    last = (last or sent) // 1 | 0 -- LuaSec's numbers are floats
    if last >= first then
      return last
    elseif not waits[err] then
      if err ~= "closed" then
        note_failure(self, err)
      end
      return nil, said(err)
    end
    local done, failure = await_write(self, err)
    if not done then
      return nil, failure
    end
  end
  return nil, closed "send"
end

local function begin_send(self)
  traps.checkpoint "luasec:send"
  if self.writing then
    error(errors.WriteResourceBusy "send: another task is sending on this connection", 0)
  end
end

---@async
function Socket:send(data)
  begin_send(self)
  return send(self, data, 1)
end

local Progress = {
  __close = function(progress, err)
    if errors.is(err, errors.CancelledError) then
      err.bytes_sent = progress.last
    end
  end,
}

---@async
function Socket:sendall(data)
  begin_send(self)
  local progress <close> = setmetatable({ last = 0 }, Progress)
  while progress.last < #data do
    local last, err = send(self, data, progress.last + 1)
    if not last then
      err.bytes_sent = progress.last
      return nil, err
    end
    progress.last = last
  end
  return true
end

---@async
function Socket:handshake()
  traps.checkpoint "luasec:dohandshake"
  while self.fd do
    if self.broken then
      return nil, said(self.broken)
    end
    local done, err = self.raw:dohandshake()
    if done then
      return true
    elseif not waits[err] then
      self.broken = err
      return nil, said(err)
    end
    local waited, failure = await(self, err)
    if not waited then
      return nil, failure
    end
  end
  return nil, closed "dohandshake"
end

local FAREWELL = 5 -- seconds that a peer has to make room for it

local Closing = {
  __close = function(closing)
    traps.io_release(closing.fd)
    local _, writable = core.interop.ready(closing.fd)
    if not writable then
      local plain = socket.fromfd(closing.fd)
      plain:shutdown "rdwr"
      plain:detach()
    end
    closing.raw:close()
  end,
}

-- LuaSec says farewell in blocking mode. So there must be room for it; where there is none in time,
-- it shall fail.
---@async
function Socket:close()
  local fd = self.fd
  if not fd then
    return
  end
  self.fd = nil
  traps.io_release(fd)
  local _ <close> = setmetatable({ fd = fd, raw = self.raw }, Closing)
  local _, writable = core.interop.ready(fd)
  if not writable and coroutine.isyieldable() then
    core.ignore_after(FAREWELL, traps.write_wait, fd)
  end
end

-- The object's limits are looked at here, where one knows whether something has come already.
function Socket.fileno()
  return nil
end

-- ---- the object ----

local Connection = {}
local plain = getmetatable(tcp.new()).__index

for _, name in ipairs { "settimeout", "getstats", "setstats", "close" } do
  Connection[name] = plain[name]
end

-- Where LuaSocket's word is "timeout", LuaSec's is what it waited for.
local function told(self, value, err, ...)
  if value == nil and err == "timeout" then
    err = self.sock.want
  end
  return value, err, ...
end

---@async
function Connection:receive(pattern, prefix)
  self.sock.want = "wantread"
  return told(self, plain.receive(self, pattern, prefix))
end

---@async
function Connection:send(data, first, last)
  self.sock.want = "wantwrite"
  return told(self, plain.send(self, data, first, last))
end

local function settled(self, done, err)
  if done then
    return true
  end
  return false, err == limits.TIMEOUT and self.sock.want or limits.text(err)
end

---@async
function Connection:dohandshake()
  limits.begin(self)
  self.sock.want = "wantread"
  return settled(self, limits.within(limits.left(self), self.sock.handshake, self.sock))
end

function Connection:dirty()
  return plain.dirty(self) or self.sock.raw:dirty()
end

function Connection:getfd()
  return self.sock.fd or -1
end

-- All that does not wait is LuaSec's.
local function add_others(methods)
  for name in pairs(methods) do
    Connection[name] = Connection[name] or function(self, ...)
      local raw = self.sock.raw
      return raw[name](raw, ...)
    end
  end
end

local meta = object.class(Connection)

function meta:__tostring()
  return ("SSL connection: %p%s"):format(self, self.sock.fd and "" or " (closed)")
end

local connection = {}

--- Makes one of LuaSec's.
function connection.new(raw)
  core.interop.ignore_sigpipe()
  raw:settimeout(0)
  add_others(getmetatable(raw).__index)
  local self = tcp.new()
  self.class = "tcp{client}"
  self.sock = setmetatable({ raw = raw, fd = raw:getfd() // 1 | 0, owner = self }, Socket)
  return setmetatable(self, meta)
end

return connection
