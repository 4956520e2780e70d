-- What the specs of TLS share: certificates, contexts, connected pairs.

local assert = require "luassert"
local certificates = require "spec.certificates"
local curio = require "curio"
local socket = require "curio.socket"
local sockets = require "spec.sockets"
local ssl = require "curio.ssl"

local M = {}

-- For a spec file: `local made = tls.certificates()`, whose fields are made when first asked for:
-- ca, other (authorities), server, client ({cert=, key=}).
function M.certificates()
  local made = certificates.new()
  local recipes = {
    ca = function()
      return made.authority "Spec CA"
    end,
    other = function()
      return made.authority "Other CA"
    end,
    server = function()
      return made.ca:issue "server"
    end,
    client = function()
      return made.ca:issue("client", { usage = "clientAuth", names = false })
    end,
  }
  return setmetatable(made, {
    __index = function(self, name)
      local value = recipes[name] and recipes[name]()
      rawset(self, name, value)
      return value
    end,
  })
end

function M.server_context(made, opts)
  opts = opts or {}
  opts.purpose = "server"
  opts.certfile = opts.certfile or made.server.cert
  opts.keyfile = opts.keyfile or made.server.key
  return assert(ssl.create_default_context(opts))
end

function M.client_context(made, opts)
  opts = opts or {}
  opts.cafile = opts.cafile or made.ca.ca
  return assert(ssl.create_default_context(opts))
end

-- Two TLS sockets, client and server, connected by TCP; what closes both.
function M.pair(client_ctx, server_ctx, opts)
  opts = opts or {}
  opts.server_hostname = opts.server_hostname or "localhost"
  local a, b = sockets.tcp_pair()
  local accepting = curio.spawn(server_ctx.wrap_socket, server_ctx, b)
  local client = assert(client_ctx:wrap_socket(a, opts))
  local server = assert(accepting:join())
  return client, server, sockets.closer(client, server)
end

-- For a spec file, which gives busted's functions: certificates (made), contexts of a client and of
-- a server with them (client, server), and pair(opts), two sockets by these.
function M.ends(setup, teardown)
  local made = M.certificates()
  local ends = { made = made }
  setup(function()
    ends.client, ends.server = M.client_context(made), M.server_context(made)
  end)
  teardown(made.remove)
  function ends.pair(opts)
    return M.pair(ends.client, ends.server, opts)
  end
  return ends
end

-- Something goes both ways.
function M.exchange(a, b)
  assert.is_true(a:sendall "ping")
  assert.equal("ping", b:recv(100))
  assert.is_true(b:sendall "pong")
  assert.equal("pong", a:recv(100))
end

-- Both ends' outcomes of a handshake: {sock or nil, err}, with what the client read then in .read.
-- (With TLS 1.3 a client learns only by reading that it was refused.) Both are closed.
function M.shake(client_ctx, server_ctx, opts)
  opts = opts or {}
  opts.server_hostname = opts.server_hostname or "localhost"
  local a, b = sockets.tcp_pair()
  local accepting = curio.spawn(function()
    local sock, err = server_ctx:wrap_socket(b)
    if sock then
      sock:close()
    end
    return sock, err
  end)
  local client = { client_ctx:wrap_socket(a, opts) }
  if client[1] then
    client.read = { client[1]:recv(1) }
    client[1]:close()
  end
  accepting:wait()
  return client, accepting.results
end

function M.is_ssl_error(reason, value, err)
  assert.is_nil(value)
  assert.is_true(curio.is(err, curio.SSLError), tostring(err))
  assert.equal(reason, err.reason)
  return err
end

function M.is_unverified(code, message, value, err)
  assert.is_nil(value)
  assert.is_true(curio.is(err, curio.SSLCertVerificationError), tostring(err))
  assert.equal("CERTIFICATE_VERIFY_FAILED", err.reason)
  assert.equal(code, err.verify_code)
  assert.matches(message, err.verify_message)
  return err
end

M.ssl = ssl
M.socket = socket

return M
