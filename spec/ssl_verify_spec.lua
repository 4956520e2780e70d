-- Peers that must be refused, and why they were.

local curio = require "curio"
local sockets = require "spec.sockets"
local tls = require "spec.tls"

local run = sockets.run
local made = tls.certificates()
local ssl = tls.ssl

teardown(made.remove)

-- X509_V_ERR_*, as openssl/x509_vfy.h has them.
local CODE = {
  self_signed = 18, unknown_issuer = 20, unverifiable = 21, not_yet = 9, expired = 10, revoked = 23,
  host = 62, ip = 64, weak = 66, no_list = 3, wrong_purpose = 26,
}

local serial = 0

-- Contexts of a server with a certificate like that and of a client that trusts the spec's CA.
local function contexts(issue, client)
  serial = serial + 1
  local ca = issue.by == "other" and made.other or made.ca
  local certificate = issue.certificate or ca:issue("peer" .. serial, issue)
  local server = tls.server_context(made,
    { certfile = certificate.cert, keyfile = certificate.key })
  return tls.client_context(made, client), server
end

local function refused(issue, code, message, opts, client)
  return run(function()
    local client_ctx, server_ctx = contexts(issue, client)
    local got, other = tls.shake(client_ctx, server_ctx, opts)
    local err = tls.is_unverified(code, message, got[1], got[2])
    assert.matches("certificate verify failed", tostring(err))
    assert.equal("do_handshake", err.op)
    -- The server hears of it: an alert.
    assert.is_nil(other[1])
    assert.is_true(curio.is(other[2], curio.SSLError), tostring(other[2]))
  end)
end

local function accepted(issue, opts, client)
  return run(function()
    local client_ctx, server_ctx = contexts(issue, client)
    local got = tls.shake(client_ctx, server_ctx, opts)
    assert(got[1], got[2])
  end)
end

local PAST = { from = "200101000000Z", to = "210101000000Z" }
local FUTURE = { from = "400101000000Z", to = "410101000000Z" }

describe("A client refuses", function()
  it("a self-signed certificate",
    refused({ self_signed = true }, CODE.self_signed, "self.signed certificate"))

  it("an unknown authority",
    refused({ by = "other" }, CODE.unknown_issuer, "unable to get local issuer certificate"))

  it("an expired certificate", refused(PAST, CODE.expired, "certificate has expired"))

  it("one that is not valid yet", refused(FUTURE, CODE.not_yet, "certificate is not yet valid"))

  it("one for another host",
    refused({ names = "DNS:example.org" }, CODE.host, "[Hh]ostname mismatch"))

  it("one for another address", refused({ names = "IP:127.0.0.2, DNS:127.0.0.1" }, CODE.ip,
    "IP address mismatch", { server_hostname = "127.0.0.1" }))

  it("one for another IPv6 address", refused({ names = "IP:::2" }, CODE.ip,
    "IP address mismatch", { server_hostname = "::1" }))

  it("a wildcard that would have to stand for two labels", refused({ names = "DNS:*.example.org" },
    CODE.host, "[Hh]ostname mismatch", { server_hostname = "a.b.example.org" }))

  it("a wildcard that would have to stand for none", refused({ names = "DNS:*.example.org" },
    CODE.host, "[Hh]ostname mismatch", { server_hostname = "example.org" }))

  it("a wildcard for a part of a label", refused({ names = "DNS:w*.example.org" },
    CODE.host, "[Hh]ostname mismatch", { server_hostname = "www.example.org" }))

  it("a name that is in the subject only",
    refused({ subject = "localhost", names = false }, CODE.host, "[Hh]ostname mismatch"))

  it("a weak key", run(function()
    -- Our own server would not use it either.
    local weak = made.ca:issue("weak", { key = 1024 })
    local ctx = assert(ssl.SSLContext { purpose = "server" })
    local done, err = ctx:load_cert_chain(weak.cert, weak.key)
    tls.is_ssl_error("EE_KEY_TOO_SMALL", done, err)
  end))

  it("a certificate that is not for servers",
    refused({ usage = "clientAuth" }, CODE.wrong_purpose, "unsuitable certificate purpose"))

  it("a revoked certificate", run(function()
    local bad = made.ca:issue "revoked"
    local crl = made.ca:revoke "revoked"
    local client_ctx, server_ctx = contexts({ certificate = bad }, { crlfile = crl })
    local got = tls.shake(client_ctx, server_ctx)
    tls.is_unverified(CODE.revoked, "certificate revoked", got[1], got[2])
    -- Others of the same authority are fine.
    client_ctx, server_ctx = contexts({ certificate = made.server }, { crlfile = crl })
    assert(tls.shake(client_ctx, server_ctx)[1])
  end))

  it("a certificate whose revocation cannot be looked up", run(function()
    local crl = made.other:revoke()
    local client_ctx, server_ctx = contexts({}, { crlfile = crl })
    local got = tls.shake(client_ctx, server_ctx)
    tls.is_unverified(CODE.no_list, "unable to get certificate CRL", got[1], got[2])
    client_ctx, server_ctx = contexts({}, { crlfile = crl })
    client_ctx.verify_flags = {}
    assert(tls.shake(client_ctx, server_ctx)[1])
  end))
end)

describe("A client accepts", function()
  it("a certificate for the host", accepted({ names = "DNS:example.org, DNS:localhost" }))

  it("one for the address", accepted({ names = "IP:127.0.0.1" }, { server_hostname = "127.0.0.1" }))

  it("one for the IPv6 address", accepted({ names = "IP:::1" }, { server_hostname = "::1" }))

  it("a wildcard for one label",
    accepted({ names = "DNS:*.example.org" }, { server_hostname = "www.example.org" }))

  it("a name with a dot at the end, and in capitals",
    accepted({ names = "DNS:example.org" }, { server_hostname = "EXAMPLE.org." }))

  it("another host if names are not checked", run(function()
    local client_ctx, server_ctx = contexts { names = "DNS:example.org" }
    client_ctx.check_hostname = false
    assert(tls.shake(client_ctx, server_ctx)[1])
  end))

  it("anything if nothing is verified", run(function()
    local client_ctx, server_ctx = contexts({ by = "other", names = "DNS:example.org" },
      { verify_mode = "none" })
    assert(tls.shake(client_ctx, server_ctx)[1])
  end))
end)

describe("A server that requires a certificate", function()
  local function server_context(mode)
    return tls.server_context(made, { cafile = made.ca.ca, verify_mode = mode or "required" })
  end

  it("accepts a client that shows one of a known authority", run(function()
    local client_ctx = tls.client_context(made,
      { certfile = made.client.cert, keyfile = made.client.key })
    local a, b, _ <close> = tls.pair(client_ctx, server_context())
    assert.equal("client", b:getpeercert().subject.commonName)
    b:sendall "welcome"
    assert.equal("welcome", a:recv(100))
  end))

  it("refuses one that shows none", run(function()
    local client, server = tls.shake(tls.client_context(made), server_context())
    assert.is_nil(server[1])
    local err = server[2]
    assert.is_true(curio.is(err, curio.SSLCertVerificationError), tostring(err))
    assert.equal("PEER_DID_NOT_RETURN_A_CERTIFICATE", err.reason)
    assert.matches("did not return a certificate", err.verify_message)
    local _, told = table.unpack(client.read or client)
    assert.is_true(curio.is(told, curio.SSLError), tostring(told))
    assert.matches("CERTIFICATE_REQUIRED", told.reason)
  end))

  it("refuses one whose authority it does not know", run(function()
    local stranger = made.other:issue("stranger", { usage = "clientAuth" })
    local client_ctx = tls.client_context(made,
      { certfile = stranger.cert, keyfile = stranger.key })
    local _, server = tls.shake(client_ctx, server_context())
    tls.is_unverified(CODE.unknown_issuer, "local issuer", server[1], server[2])
  end))

  it("accepts none if it is optional, but no bad one", run(function()
    local _, server = tls.shake(tls.client_context(made), server_context "optional")
    assert(server[1], server[2])
    local expired = made.ca:issue("old", { usage = "clientAuth", from = PAST.from, to = PAST.to })
    local client_ctx = tls.client_context(made, { certfile = expired.cert, keyfile = expired.key })
    _, server = tls.shake(client_ctx, server_context "optional")
    tls.is_unverified(CODE.expired, "expired", server[1], server[2])
  end))
end)

describe("Versions", function()
  it("are agreed on, the newest that both know", run(function()
    local client_ctx, server_ctx = contexts { certificate = made.server }
    client_ctx.maximum_version = "TLSv1.2"
    local a, b, _ <close> = tls.pair(client_ctx, server_ctx)
    assert.equal("TLSv1.2", a:version())
    assert.equal("TLSv1.2", b:version())
    client_ctx.maximum_version = nil
    local c, _, _ <close> = tls.pair(client_ctx, server_ctx)
    assert.equal("TLSv1.3", c:version())
  end))

  it("that do not overlap are refused by both", run(function()
    local client_ctx, server_ctx = contexts { certificate = made.server }
    client_ctx.maximum_version = "TLSv1.2"
    server_ctx.minimum_version = "TLSv1.3"
    local client, server = tls.shake(client_ctx, server_ctx)
    tls.is_ssl_error("UNSUPPORTED_PROTOCOL", table.unpack(server))
    tls.is_ssl_error("TLSV1_ALERT_PROTOCOL_VERSION", table.unpack(client))
  end))

  it("older than 1.2 are refused", run(function()
    local server_ctx = tls.server_context(made)
    local a, b, _ <close> = sockets.tcp_pair()
    -- A client hello of TLS 1.0: version, random, no session, one cipher, no compression.
    local body = "\3\1" .. ("r"):rep(32) .. "\0" .. "\0\2\0\47" .. "\1\0"
    local hello = "\1" .. string.pack(">s3", body)
    a:sendall("\22\3\1" .. string.pack(">s2", hello))
    tls.is_ssl_error("UNSUPPORTED_PROTOCOL", server_ctx:wrap_socket(b))
    assert.equal("\21\3\1\0\2\2\70", a:recv(100)) -- alert: fatal, protocol_version
  end))
end)
