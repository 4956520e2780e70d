--- TLS for clients and servers of curio.network, loaded when the first of them asks for it.

local core = require "curio.core"
local report = require "curio.report"
local ssl = require "curio.ssl"
local connection = require "curio.ssl.connection"
local context = require "curio.ssl.context"

local attach = {}

local default -- the client's context for ssl = true, made when needed

local function wrong(verb, what, value)
  error(("%s: option 'ssl' must be %s, got %s"):format(verb, what, tostring(value)), 4)
end

--- Raises unless the options are a client's.
function attach.check_client(opts, verb)
  local ctx = opts.ssl
  if ctx ~= true and not (context.is(ctx) and ctx.purpose == "client") then
    wrong(verb, "true or a client's SSLContext", ctx)
  end
  if opts.alpn ~= nil then
    context.alpn_wire(verb, opts.alpn)
  end
end

--- Raises unless it is a server's context.
function attach.check_server(ctx, verb)
  if not (context.is(ctx) and ctx.purpose == "server") then
    wrong(verb, "a server's SSLContext", ctx)
  end
end

---@async
local function context_of(opts)
  if opts.ssl ~= true then
    return opts.ssl
  elseif not default then
    local made, err = ssl.create_default_context()
    if not made then
      return nil, err
    end
    default = made
  end
  return default
end

--- Of a connection that has been made. On failure, or when anything is raised, it is closed.
---@async
function attach.client(sock, host, opts)
  local guard <close> = connection.guard(sock)
  local ctx, err = context_of(opts)
  if not ctx then
    return nil, err
  end
  local wrapped
  wrapped, err = ctx:wrap_socket(sock, {
    server_hostname = opts.server_hostname or host,
    alpn = opts.alpn,
  })
  if not wrapped then
    return nil, err
  end
  guard.sock = nil
  return wrapped
end

local TIMED_OUT = {}

local function failed(addr, why)
  report.log("warning", ("TLS handshake with %s failed: %s"):format(addr, why))
end

--- Of a connection that was accepted; on failure nil, after saying so.
---@async
function attach.accept(client, addr, ctx, timeout)
  local sock, err = core.ignore_after {
    timeout, ctx.wrap_socket, ctx, client, timeout_result = TIMED_OUT,
  }
  if sock == TIMED_OUT then
    failed(addr, ("nothing was agreed on within %g s"):format(timeout))
    return nil
  elseif not sock then
    failed(addr, tostring(err))
  end
  return sock
end

return attach
