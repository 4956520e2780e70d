--- What LuaSocket's objects on streams share, those of tcp and of Unix sockets: servers listen and
--- accept; clients receive, send, and count what they do.
--
-- What is received waits in `queue`, a list of strings whose first is used up before `pos`. Nothing
-- is taken out of it before a call is sure of its result, so a cancellation loses no data.

local core = require "curio.core"
local errors = require "curio.errors"
local limits = require "curio.interop.luasocket.limits"
local object = require "curio.interop.luasocket.object"

local stream = {}

local STEP = 65536 -- bytes sent at once where time is limited

--- Gives a new object an empty queue and its counters.
function stream.init(self)
  self.queue, self.pos = {}, 1
  self.received, self.sent, self.birthday = 0, 0, core.clock()
  return self
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
local function m_receive(self, pattern, prefix)
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

-- A cancellation tells how much was sent, as that of sendall does.
local Progress = {
  __close = function(progress, err)
    if errors.is(err, errors.CancelledError) then
      err.bytes_sent = progress.sent
    end
  end,
}

---@async
local function send_in_steps(self, data)
  local progress <close> = setmetatable({ sent = 0 }, Progress)
  while progress.sent < #data do
    local part = data
    if progress.sent > 0 or #data > STEP then
      part = data:sub(progress.sent + 1, progress.sent + STEP)
    end
    local n, err = limits.attempt(self, "write", self.sock.send, part)
    if not n then
      return progress.sent, err
    end
    progress.sent = progress.sent + n
  end
  return progress.sent
end

---@async
local function m_send(self, data, first, last)
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

local function m_shutdown(self, how)
  local direction = DIRECTIONS[how or "both"]
  if not direction then
    limits.misuse(2, "shutdown", ("invalid option '%s'"):format(tostring(how)))
  end
  if self.sock then
    self.sock:shutdown(direction)
  end
  return 1
end

local function m_getstats(self)
  return self.received, self.sent, core.clock() - self.birthday
end

local function m_setstats(self, received, sent, age)
  self.received = limits.number(received, self.received, 2, "setstats")
  self.sent = limits.number(sent, self.sent, 3, "setstats")
  if age ~= nil then
    self.birthday = core.clock() - limits.number(age, nil, 4, "setstats")
  end
  return 1
end

local function m_dirty(self)
  return self.queue[1] ~= nil
end

-- ---- servers ----

local function listener(kind)
  return function(self, backlog)
    backlog = math.floor(limits.number(backlog, 32, 2, "listen"))
    if not self.sock then
      return nil, limits.BAD_DESCRIPTOR
    end
    local done, err = self.sock:listen(backlog)
    if not done then
      return nil, limits.text(err)
    end
    self.class = kind .. "{server}"
    return 1
  end
end

local function acceptor(kind, new)
  local class = kind .. "{client}"
  ---@async
  return function(self)
    if not self.sock then
      return nil, "closed"
    end
    limits.begin(self)
    while true do
      local sock, err = limits.attempt(self, "read", self.sock.accept)
      if sock then
        return new(class, self.family, sock)
      elseif err.code ~= "ECONNABORTED" then
        return nil, limits.text(err)
      end
    end
  end
end

--- Adds these methods.
---@param methods table
---@param kind string   "tcp"
---@param new function  makes an object of a class, a family and a socket
function stream.add_methods(methods, kind, new)
  local function add(class, method, fn)
    methods[method] = function(self, ...)
      object.check(self, kind, kind .. class, method)
      return fn(self, ...)
    end
  end
  add("{client}", "receive", m_receive)
  add("{client}", "send", m_send)
  add("{client}", "shutdown", m_shutdown)
  add("{client}", "getstats", m_getstats)
  add("{client}", "setstats", m_setstats)
  add("{any}", "dirty", m_dirty)
  add("{master}", "listen", listener(kind))
  add("{server}", "accept", acceptor(kind, new))
end

return stream
