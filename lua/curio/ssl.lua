--- TLS for tasks, after Python's ssl: contexts, and sockets that are encrypted. OpenSSL 3.
--
-- Secure unless told otherwise: a client verifies the server's certificate and its name, TLS 1.2 is
-- the least, there is no renegotiation and no compression. OpenSSL itself is loaded when the first
-- context is made.

local core = require "curio.core"
local context = require "curio.ssl.context"
local connection = require "curio.ssl.connection"
local tunnel = require "curio.ssl.tunnel"
local socket = require "curio.socket"

local tls = core.tls
local Context = context.Context

connection.is_context = context.is
tunnel.choose = connection.choose
tunnel.await_other = connection.await_other

local ssl = {}

-- ---- contexts ----

local function check_purpose(verb, value)
  return context.one_of(verb, "purpose", value == nil and "client" or value, "client", "server")
end

--- Makes a context that trusts nobody yet.
---@param opts table?  purpose = "client" (or "server")
---@return curio.SSLContext? ctx
---@return table? err
function ssl.SSLContext(opts)
  opts = core.args.options(opts, "SSLContext", { "purpose" })
  return context.new(check_purpose("SSLContext", opts.purpose))
end

local DEFAULT_OPTIONS = {
  "purpose", "cafile", "capath", "cadata", "crlfile", "certfile", "keyfile", "password", "alpn",
  "verify_mode", "keylog",
}

local function trust(ctx, opts)
  if opts.cafile or opts.capath or opts.cadata or opts.crlfile then
    return ctx:load_verify_locations {
      cafile = opts.cafile, capath = opts.capath, cadata = opts.cadata, crlfile = opts.crlfile,
    }
  elseif ctx.purpose == "client" then
    return ctx:load_default_certs()
  end
  return true
end

---@async
local function equip(ctx, opts)
  local done, err = trust(ctx, opts)
  if done and opts.certfile then
    done, err = ctx:load_cert_chain(opts.certfile, opts.keyfile, opts.password)
  end
  if done and opts.alpn then
    done, err = ctx:set_alpn_protocols(opts.alpn)
  end
  if not done then
    return nil, err
  end
  return ctx
end

--- Makes a context with good settings. A client's trusts the authorities that are given, else those
---of the system.
---@async
---@param opts table?  purpose = "client" or "server"; cafile, capath, cadata, crlfile: whom to
---trust; certfile, keyfile, password: who we are; alpn = {protocols}; verify_mode; keylog = path
---@return curio.SSLContext? ctx
---@return table? err
function ssl.create_default_context(opts)
  opts = core.args.options(opts, "create_default_context", DEFAULT_OPTIONS)
  local purpose = check_purpose("create_default_context", opts.purpose)
  if opts.keyfile and not opts.certfile then
    error("create_default_context: 'keyfile' without 'certfile'", 2)
  end
  local ctx, err = context.new(purpose)
  if not ctx then
    return nil, err
  end
  if opts.verify_mode then
    ctx.verify_mode = opts.verify_mode
  end
  local keylog = opts.keylog or core.tls.environment "SSLKEYLOGFILE"
  if keylog then
    local set, failure = ctx:_set_keylog(keylog)
    if not set then
      return nil, failure
    end
  end
  return equip(ctx, opts)
end

-- ---- connections ----

local WRAP_OPTIONS = {
  "server_side", "server_hostname", "do_handshake_on_connect", "suppress_ragged_eofs", "session",
  "alpn",
}

local function is_plain(sock)
  local meta = getmetatable(sock)
  return type(sock) == "userdata" and type(meta) == "table" and meta.__name == "curio.socket"
end

-- Is it the server?
local function check_wrap(ctx, sock, opts)
  local server = ctx.purpose == "server"
  if opts.server_side ~= nil and opts.server_side ~= server then
    error(("wrap_socket: server_side=%s, but the context is a %s's"):format(opts.server_side,
      ctx.purpose), 3)
  elseif opts.server_hostname ~= nil and type(opts.server_hostname) ~= "string" then
    context.wrong("wrap_socket", "server_hostname", "a string", opts.server_hostname)
  elseif not is_plain(sock) and not tunnel.fits(sock) then
    error("wrap_socket: a socket is expected, got " .. tostring(sock), 3)
  elseif opts.session and connection.context_of(opts.session) ~= ctx then
    error("wrap_socket: the session is another context's", 3)
  end
  return server
end

local function wrap(ctx, sock, opts, server, check)
  local plain = is_plain(sock)
  local alpn = opts.alpn and context.alpn_wire("wrap_socket", opts.alpn)
  local made, err = tls.wrap(ctx._core, plain and sock or nil, server, opts.server_hostname, check,
    opts.suppress_ragged_eofs, alpn, opts.session)
  if made and not plain then
    return tunnel.new(made, sock)
  end
  return made, err
end

--- Makes a TLS socket of a connected one, which is moved into it. The handshake is done at once,
---unless do_handshake_on_connect = false; when it fails the connection is closed.
---@async
---@param sock curio.socket|table  a socket; or whatever has recv and sendall, or read and write
---@param opts table?  server_side; server_hostname; do_handshake_on_connect = true;
---suppress_ragged_eofs = false; session = one to resume; alpn = {protocols} of a client
---@return curio.TLSSocket? sock
---@return table? err
function Context:wrap_socket(sock, opts)
  opts = core.args.options(opts, "wrap_socket", WRAP_OPTIONS)
  local server = check_wrap(self, sock, opts)
  local check = not server and self.check_hostname and self.verify_mode ~= "none"
  if check and not opts.server_hostname then
    error("wrap_socket: 'server_hostname' is needed, as the context checks host names", 2)
  end
  local wrapped, err = wrap(self, sock, opts, server, check)
  if not wrapped or opts.do_handshake_on_connect == false then
    return wrapped, err
  end
  local guard <close> = connection.guard(wrapped)
  local done
  done, err = wrapped:do_handshake()
  if not done then
    return nil, err
  end
  guard.sock = nil
  return wrapped
end

-- ---- certificates ----

---@async
local function ask_certificate(host, port)
  local ctx, err = ssl.SSLContext()
  if not ctx then
    return nil, err
  end
  ctx.verify_mode = "none"
  local sock
  sock, err = socket.create_connection(host, port)
  if not sock then
    return nil, err
  end
  local guard <close> = connection.guard(sock)
  local wrapped
  wrapped, err = ctx:wrap_socket(sock, { server_hostname = host })
  guard.sock = wrapped or sock
  if not wrapped then
    return nil, err
  end
  return wrapped:getpeercert "pem"
end

local TIMED_OUT = {}

--- Asks a server for its certificate, which is not verified.
---@async
---@param host string
---@param port integer
---@param opts table?  timeout = seconds for all of it
---@return string? pem
---@return table? err
function ssl.get_server_certificate(host, port, opts)
  opts = core.args.options(opts, "get_server_certificate", { "timeout" })
  if not opts.timeout then
    return ask_certificate(host, port)
  end
  local pem, err = core.ignore_after {
    opts.timeout, ask_certificate, host, port, timeout_result = TIMED_OUT,
  }
  if pem == TIMED_OUT then
    local subject = ("%s:%s"):format(host, port)
    return nil, core.errors.os(socket.ETIMEDOUT, "get_server_certificate", subject)
  end
  return pem, err
end

--- Reads a certificate, given as PEM or DER: as a table like getpeercert's, or in the other form.
---@param text string
---@param form string?  "table", "der" or "pem"
---@return table|string|nil certificate
---@return table? err
function ssl.certificate(text, form)
  return tls.certificate(text, form)
end

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10,
  Nov = 11, Dec = 12,
}

-- Days from the first of January 1970 to a date of the Gregorian calendar.
local function days(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local leap = year // 4 - year // 100 + year // 400
  return 365 * year + leap + (153 * month - 457) // 5 + day - 719469
end

--- The time of a certificate's notBefore or notAfter, as os.time gives it.
---@param text string  "Jan  5 09:34:43 2030 GMT"
---@return integer seconds
function ssl.cert_time_to_seconds(text)
  local month, day, hour, min, sec, year =
    text:match "^(%a%a%a) +(%d+) (%d+):(%d+):(%d+) (%d+) GMT$"
  if not MONTHS[month] then
    error("cert_time_to_seconds: not a certificate's time: " .. text, 2)
  end
  local date = days(math.tointeger(year), MONTHS[month], math.tointeger(day))
  return ((date * 24 + math.tointeger(hour)) * 60 + math.tointeger(min)) * 60 + math.tointeger(sec)
end

--- Which OpenSSL is in use; nil when there is none.
---@return string?
function ssl.openssl_version()
  return tls.library()
end

return ssl
