--- LuaSocket's tcp objects: masters, servers and clients.
--
-- What is received waits in `queue`, a list of strings whose first is used up before `pos`. Nothing
-- is taken out of it before a call is sure of its result, so a cancellation loses no data.

local core = require "curio.core"
local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"
local options = require "curio.interop.luasocket.options"
local socket = require "curio.socket"

local tcp = {}

local STREAM = socket.SOCK_STREAM
local STEP = 65536 -- bytes sent at once where time is limited

local Tcp = {}
local meta = object.class(Tcp)
object.add_methods(Tcp, "tcp", options.tcp)

local function new(class, family, sock)
  local self = limits.init { class = class, family = family, sock = sock }
  self.queue, self.pos = {}, 1
  self.received, self.sent, self.birthday = 0, 0, core.clock()
  return setmetatable(self, meta)
end

-- ---- making ----

--- A master object. Without a family it has no socket before it is bound or connected.
---@param family integer?
function tcp.new(family)
  local self = new("tcp{master}")
  if family then
    local done, err = object.provide(self, family, STREAM)
    if not done then
      return nil, err
    end
  end
  return self
end

--- LuaSocket's connect: a client object, connected.
---@async
function tcp.connect(host, port, local_host, local_port, family)
  host = limits.string(host, 1, "connect")
  port = limits.string(port, 2, "connect")
  local families = { inet = socket.AF_INET, inet6 = socket.AF_INET6, unspec = false }
  local wanted = families[family or "unspec"]
  if wanted == nil then
    limits.misuse(5, "connect", ("invalid option '%s'"):format(family))
  end
  local self <const> = new("tcp{client}", wanted or nil)
  local guard <close> = socket._guard(self)
  local done, err = true, nil
  if local_host then
    done, err = object.bind(self, STREAM, local_host, local_port or "0")
  end
  if done then
    done, err = object.connect(self, STREAM, host, port)
  end
  if not done then
    return nil, err
  end
  guard.sock = nil
  return self
end

---@async
function Tcp:bind(host, port)
  object.check(self, "tcp", "tcp{master}", "bind")
  return object.bind(self, STREAM, limits.string(host, 2, "bind"), limits.string(port, 3, "bind"))
end
Tcp.setsockname = Tcp.bind

---@async
function Tcp:connect(host, port)
  object.check(self, "tcp", "tcp{any}", "connect")
  host, port = limits.string(host, 2, "connect"), limits.string(port, 3, "connect")
  self.class = "tcp{client}"
  return object.connect(self, STREAM, host, port)
end
Tcp.setpeername = Tcp.connect

function Tcp:listen(backlog)
  object.check(self, "tcp", "tcp{master}", "listen")
  backlog = math.floor(limits.number(backlog, 32, 2, "listen"))
  if not self.sock then
    return nil, limits.number_text(9) -- EBADF, as of the descriptor it has not
  end
  local done, err = self.sock:listen(backlog)
  if not done then
    return nil, limits.text(err)
  end
  self.class = "tcp{server}"
  return 1
end

---@async
function Tcp:accept()
  object.check(self, "tcp", "tcp{server}", "accept")
  limits.begin(self)
  while true do
    local sock, err = limits.attempt(self, "read", self.sock.accept)
    if sock then
      return new("tcp{client}", self.family, sock)
    elseif err.code ~= "ECONNABORTED" then
      return nil, limits.text(err)
    end
  end
end

-- ---- receiving ----

-- Appends what comes next to the queue: true, or nil and why not.
---@async
local function fill(self)
  if not self.sock then
    return nil, "closed"
  end
  local data, err = limits.attempt(self, "read", self.sock.recv)
  if data then
    self.queue[#self.queue + 1] = data
    return true
  end
  return nil, err and limits.text(err) or "closed"
end

-- Takes all up to and including byte `last` of string i.
local function take(self, i, last)
  local queue = self.queue
  local data
  local drop = last < #queue[i] and i - 1 or i
  if i == 1 then
    data = queue[1]:sub(self.pos, last)
  else
    local parts = table.move(queue, 1, i, 1, {})
    parts[1] = parts[1]:sub(self.pos)
    parts[i] = parts[i]:sub(1, last)
    data = table.concat(parts)
  end
  if drop > 0 then
    table.move(queue, drop + 1, #queue + drop, 1)
  end
  self.pos = drop == i and 1 or last + 1
  self.received = self.received + #data
  return data
end

local function take_all(self)
  local n = #self.queue
  return n > 0 and take(self, n, #self.queue[n]) or ""
end

-- A line loses its end, and every CR in it.
local function plain(line)
  return (line:gsub("[\r\n]", ""))
end

---@async
local function receive_line(self)
  local queue, i, from = self.queue, 1, self.pos
  while true do
    if not queue[i] then
      local done, err = fill(self)
      if not done then
        return nil, err, plain(take_all(self))
      end
    end
    local last = queue[i]:find("\n", from, true)
    if last then
      return plain(take(self, i, last))
    end
    i, from = i + 1, 1
  end
end

---@async
local function receive_bytes(self, wanted)
  local queue, i, have = self.queue, 1, 1 - self.pos
  while true do
    if not queue[i] then
      local done, err = fill(self)
      if not done then
        return nil, err, take_all(self)
      end
    end
    have = have + #queue[i]
    if have >= wanted then
      return take(self, i, #queue[i] - (have - wanted))
    end
    i = i + 1
  end
end

---@async
local function receive_all(self)
  local done, err
  repeat
    done, err = fill(self)
  until not done
  local data = take_all(self)
  if err == "closed" and data ~= "" then
    return data
  end
  return nil, err, data
end

local function with_prefix(prefix, data, err, part)
  if data then
    return prefix .. data
  end
  return nil, err, prefix .. part
end

---@async
local function receive(self, pattern, prefix)
  local wanted = tonumber(pattern)
  if wanted then
    if wanted < 0 or wanted ~= wanted then
      limits.misuse(2, "receive", "invalid receive pattern")
    end
    wanted = math.floor(math.min(wanted, math.maxinteger // 2))
    if #prefix > 0 and wanted <= #prefix then
      return ""
    end
    return receive_bytes(self, wanted - #prefix)
  end
  local kind = limits.string(pattern, 2, "receive"):match "^%*?([la])"
  if kind == "l" then
    return receive_line(self)
  elseif kind == "a" then
    return receive_all(self)
  end
  limits.misuse(2, "receive", "invalid receive pattern")
end

---@async
function Tcp:receive(pattern, prefix)
  object.check(self, "tcp", "tcp{client}", "receive")
  prefix = prefix == nil and "" or limits.string(prefix, 3, "receive")
  limits.begin(self)
  if pattern == nil then
    pattern = "*l"
  end
  if prefix == "" then
    return receive(self, pattern, prefix)
  end
  return with_prefix(prefix, receive(self, pattern, prefix))
end

function Tcp:dirty()
  object.check(self, "tcp", "tcp{any}", "dirty")
  return self.queue[1] ~= nil
end

-- ---- sending ----

-- string.sub's first and last, within the string.
local function range(size, first, last)
  first = math.floor(limits.number(first, 1, 3, "send"))
  last = math.floor(limits.number(last, -1, 4, "send"))
  if first < 0 then
    first = size + first + 1
  end
  if last < 0 then
    last = size + last + 1
  end
  return math.max(first, 1), math.min(last, size)
end

-- With no limit: the number of bytes sent, and what ended it early.
---@async
local function send_freely(self, data)
  local done, err = self.sock:sendall(data)
  return done and #data or err.bytes_sent or 0, err
end

---@async
local function send_in_steps(self, data)
  local sent = 0
  while sent < #data do
    local part = data
    if sent > 0 or #data > STEP then
      part = data:sub(sent + 1, sent + STEP)
    end
    local n, err = limits.attempt(self, "write", self.sock.send, part)
    if not n then
      return sent, err
    end
    sent = sent + n
  end
  return sent
end

---@async
function Tcp:send(data, first, last)
  object.check(self, "tcp", "tcp{client}", "send")
  data = limits.string(data, 2, "send")
  first, last = range(#data, first, last)
  if first > last then
    return first - 1
  elseif not self.sock then
    return nil, "closed", first - 1
  end
  limits.begin(self)
  if first > 1 or last < #data then
    data = data:sub(first, last)
  end
  local way = limits.left(self) and send_in_steps or send_freely
  local sent, err = way(self, data)
  self.sent = self.sent + sent
  if err then
    return nil, limits.text(err), first + sent - 1
  end
  return first + sent - 1
end

-- ---- the rest ----

local DIRECTIONS = { receive = "rd", send = "wr", both = "rdwr" }

function Tcp:shutdown(how)
  object.check(self, "tcp", "tcp{client}", "shutdown")
  local direction = DIRECTIONS[how or "both"]
  if not direction then
    limits.misuse(2, "shutdown", ("invalid option '%s'"):format(tostring(how)))
  end
  if self.sock then
    self.sock:shutdown(direction)
  end
  return 1
end

function Tcp:getpeername()
  object.check(self, "tcp", "tcp{any}", "getpeername")
  return object.getpeername(self)
end

function Tcp:getstats()
  object.check(self, "tcp", "tcp{client}", "getstats")
  return self.received, self.sent, core.clock() - self.birthday
end

function Tcp:setstats(received, sent, age)
  object.check(self, "tcp", "tcp{client}", "setstats")
  self.received = limits.number(received, self.received, 2, "setstats")
  self.sent = limits.number(sent, self.sent, 3, "setstats")
  if age ~= nil then
    self.birthday = core.clock() - limits.number(age, nil, 4, "setstats")
  end
  return 1
end

return tcp
