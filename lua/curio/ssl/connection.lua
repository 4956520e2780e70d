--- TLS sockets: what of them is Lua. The verbs that read and write are the C host's
--- (src/tlsiolib.c).

local core = require "curio.core"
local sched = require "curio.sched"

require("curio.ssl.plain").add(core.tls.methods)

local methods = core.tls.methods
local plain = core.socket.methods

local connection = {}

-- ---- the handshake ----

-- By socket: those who wait until the one that does the handshake is through with it.
local shaking = setmetatable({}, { __mode = "k" })
local shaker = setmetatable({}, { __mode = "kv" }) -- the task that does it

-- Raises if the handshake, which is waited for, is this task's own: that would be for ever.
function connection.await_other(task)
  if task == core.current() then
    error("set_servername_callback: the socket cannot be used before the handshake is over", 0)
  end
end

local Shake = {
  __close = function(shake)
    local waiting = shaking[shake.sock]
    shaking[shake.sock] = nil
    waiting:wake(#waiting)
  end,
}

local function refuse(message)
  error("set_servername_callback: " .. message, 0)
end

-- Asks the server's callback.
---@async
function connection.choose(sock, name)
  local ctx = sock.context
  local answer = ctx._servername(sock, name, ctx)
  if answer == nil then
    answer = ctx
  elseif answer and not connection.is_context(answer) then
    refuse("the function must return a context, nil or false, got " .. tostring(answer))
  elseif answer and answer.purpose ~= "server" then
    refuse("the context it returned is a client's")
  end
  sock:_answer(answer and answer._core)
end

---@async
local function shake_hands(sock)
  local done, more = sock:_handshake()
  while done == "servername" do
    connection.choose(sock, more)
    done, more = sock:_handshake()
  end
  if not done then
    return nil, more
  end
  return true
end

--- Agrees with the peer on keys, and verifies it. Reading and writing begin with this, if need be;
---one task does it, others wait for it.
---@async
---@return true? ok
---@return table? err  SSLError; SSLCertVerificationError with .verify_code, .verify_message
function methods:do_handshake()
  while shaking[self] do
    connection.await_other(shaker[self])
    shaking[self]:suspend "TLS_HANDSHAKE"
  end
  shaking[self], shaker[self] = sched.SchedFIFO(), core.current()
  local _ <close> = setmetatable({ sock = self }, Shake)
  return shake_hands(self)
end

methods._use(methods.do_handshake)

-- ---- ending ----

--- Ends TLS but not the connection: tells the peer, waits until it has done the same, and gives
---the plain socket back. What the peer has sent before should be read first: data instead of the
---end are an error. What was received already of what comes behind the end is given too.
---@async
---@return curio.socket? sock
---@return string|table|nil rest_or_err
function methods:unwrap()
  local done, err = self:_finish()
  if not done then
    return nil, err
  end
  return self:_release()
end

-- ---- what is the plain socket's ----

for _, name in ipairs {
  "fileno", "getsockname", "getpeername", "setsockopt", "getsockopt",
} do
  methods[name] = methods._forward(plain[name])
end

--- A stream over it.
---@return curio.stream
function methods:as_stream()
  return require("curio.io").SocketStream(self)
end

-- ---- properties ----

local get = {}

function get.session(sock)
  return sock:_session()
end

function get.context(sock)
  return sock:_context()
end

function get.server_side(sock)
  return select(2, sock:_state())
end

function get.server_hostname(sock)
  return not sock.server_side and sock:_name() or nil
end

for _, name in ipairs { "family", "type", "proto" } do
  get[name] = function(sock)
    local _, _, inner = sock:_state()
    return inner and inner[name]
  end
end

function methods._property(sock, name)
  return get[name] and get[name](sock)
end

-- The context that a session is for.
function connection.context_of(session)
  return methods._session_context(nil, session)
end

-- ---- for those that open connections ----

local Guard = {
  __close = function(guard)
    if guard.sock then
      guard.sock:close()
    end
  end,
}

-- To be held in a to-be-closed variable: closes guard.sock, unless that was set to nil before.
function connection.guard(sock)
  return setmetatable({ sock = sock }, Guard)
end

return connection
