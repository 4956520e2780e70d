--- The methods of plain sockets that TLS does in its own way, or not at all.
--
-- Whoever has a socket should not have to know which kind it is: so all names are there, and those
-- that make no sense by TLS say why, instead of being nil.

local core = require "curio.core"
local errors = require "curio.errors"

local tls = core.tls

local PART = 65536 -- bytes that are read and sent at once

local plain = {}

-- ---- sendfile ----

local function check_count(name, value, default)
  if value == nil then
    return default
  elseif math.type(value) ~= "integer" or value < 0 then
    error(("sendfile: the %s must be 0 or more, not %s"):format(name, tostring(value)), 3)
  end
  return value
end

local function count(err, sent)
  err.bytes_sent = sent + (err.bytes_sent or 0)
end

local Progress = {
  __close = function(progress, err)
    if errors.is(err, errors.CancelledError) then
      count(err, progress.sent)
    end
  end,
}

-- The part that comes next; "" at the end.
local function next_part(progress, file)
  local n = math.min(PART, progress.most - progress.sent)
  return tls.read_part(file, progress.offset + progress.sent, n)
end

---@async
local function send_parts(sock, file, progress)
  local part, err = next_part(progress, file)
  while part and part ~= "" do
    local done
    done, err = sock:sendall(part)
    if not done then
      return nil, err
    end
    progress.sent = progress.sent + #part
    part, err = next_part(progress, file)
  end
  return part, err
end

---@async
local function sendfile(sock, file, offset, n)
  tls.check_file(file)
  local progress <close> = setmetatable({
    sent = 0,
    offset = check_count("offset", offset, 0),
    most = check_count("number of bytes", n, math.maxinteger),
  }, Progress)
  local done, err = sock:send ""
  if done then
    done, err = send_parts(sock, file, progress)
  end
  if not done then
    count(err, progress.sent)
    return nil, err
  end
  return progress.sent
end

-- ---- what is refused ----

local CONNECTED = "it is connected already"
local ACCEPTED = "a plain socket listens, and what it accepts is wrapped"
local STREAM = "TLS is a stream: use recv and send"
local BYTES = "TLS carries bytes only: use recv and send"

local refused = {
  accept = ACCEPTED,
  clients = ACCEPTED,
  listen = ACCEPTED,
  bind = CONNECTED,
  connect = CONNECTED,
  detach = "the keys would be lost: unwrap ends TLS and gives the plain socket",
  recvfrom = STREAM,
  sendto = STREAM,
  recvmsg = BYTES,
  sendmsg = BYTES,
  recv_fds = BYTES,
  send_fds = BYTES,
}

--- Adds them to the methods of a kind of TLS sockets.
function plain.add(methods)
  methods.sendfile = sendfile
  for name, why in pairs(refused) do
    methods[name] = function()
      error(("%s: not by TLS: %s"):format(name, why), 2)
    end
  end
end

return plain
