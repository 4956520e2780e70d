-- TLS: contexts, a handshake and an exchange over a socket pair and in memory, a refusal. The
-- certificate is for nobody but this.
local curio = require "curio"
local socket = require "curio.socket"
local ssl = require "curio.ssl"
local testing = require "curio.testing"

local CERT = [[
-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUR9S5Hj0YKnazNw695ZIptjOGkaYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjIxMTg1OFoYDzIxMjYxMDI5
MjExODU4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS3YIRvt+4YJYzCiT+wT+R11bmpHdsD4Ek2MXE0K33RhJNkIQ1SJivp
dE1CiiuuCdNyDKDFDc9q50ixinxswMGbo2kwZzAdBgNVHQ4EFgQU/bCuA7r8IfkH
XiTdVTg705/VxN0wHwYDVR0jBBgwFoAU/bCuA7r8IfkHXiTdVTg705/VxN0wDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhAJ/FUWo4TIV9BBGoTphbSnVU5ER1AoC4Q3Y1b1Dkx/LxAiEA2WzPFw8r
IJstjg11lElAOIRbSIUDUvQk8LF28sfmD7w=
-----END CERTIFICATE-----
]]
local KEY = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg82ojQHx+I2qd5ITF
Mgb1a2OdqaBGUY77WLq3iX9MXwqhRANCAAS3YIRvt+4YJYzCiT+wT+R11bmpHdsD
4Ek2MXE0K33RhJNkIQ1SJivpdE1CiiuuCdNyDKDFDc9q50ixinxswMGb
-----END PRIVATE KEY-----
]]

local _ <close> = curio.timeout_after(5)

local function exchange(sock, message)
  assert(sock:sendall(message))
  local got = ""
  while #got < #message do
    got = got .. assert(sock:recv(1000))
  end
  assert(got == message)
end

local server_ctx = assert(ssl.create_default_context {
  purpose = "server", certfile = CERT, keyfile = KEY, alpn = { "x" },
})
server_ctx:set_servername_callback(function(_, name)
  return name ~= "stranger.example" and server_ctx
end)

local function serve(sock)
  local server <close> = server_ctx:wrap_socket(sock)
  if server then
    for data in server:chunks(1000) do
      assert(server:sendall(data))
    end
  end
end

local client_ctx = assert(ssl.create_default_context { cadata = CERT, alpn = { "x" } })

for _, pair in ipairs { socket.socketpair, testing.socketpair } do
  local a, b = pair()
  local task = curio.spawn(serve, b)
  local client <close> = assert(client_ctx:wrap_socket(a, { server_hostname = "localhost" }))
  exchange(client, "hello")
  exchange(client, ("x"):rep(5000))
  assert(client:getpeercert().subject.commonName == "localhost")
  assert(client:selected_alpn_protocol() == "x")
  local _ = { client:version(), client:cipher(), client.session, tostring(client) }
  client:shutdown "wr"
  assert(client:recv(10) == nil)
  task:join()
end

local a, b = socket.socketpair()
local task = curio.spawn(serve, b)
local refused, err = client_ctx:wrap_socket(a, { server_hostname = "stranger.example" })
assert(not refused and curio.is(err, curio.SSLError))
task:join()
print "ok"
