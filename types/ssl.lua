---@meta curio.ssl

---@class curio.ssl
local ssl = {}

---@class curio.SSLContextOptions
---@field purpose "client"|"server"|nil   "client"

---@class curio.DefaultContextOptions: curio.SSLContextOptions
---@field cafile string?                  authorities to trust, a file or PEM text
---@field capath string?                  a directory of them, with hashed names
---@field cadata string?                  PEM or DER
---@field crlfile string?                 lists of revocations, a file or PEM text
---@field certfile string?                who we are: the chain, a file or PEM text
---@field keyfile string?                 its key; default: in certfile
---@field password string|function|nil    of the key
---@field alpn string[]?                  protocols, best first
---@field verify_mode "none"|"optional"|"required"|nil
---@field keylog string?                  a file for the keys, for debugging; default: SSLKEYLOGFILE

---@class curio.WrapOptions
---@field server_side boolean?             the context's purpose says it too
---@field server_hostname string?          to send and to check
---@field do_handshake_on_connect boolean? true
---@field suppress_ragged_eofs boolean?    an end without close_notify is an end; false
---@field session userdata?                to resume
---@field alpn string[]?                   of a client, instead of the context's

--- Makes a context that trusts nobody yet.
---@param opts curio.SSLContextOptions?
---@return curio.SSLContext? ctx
---@return curio.SSLError? err
function ssl.SSLContext(opts) end

--- Makes a context with good settings. A client's trusts the authorities given, else the system's.
---@async
---@param opts curio.DefaultContextOptions?
---@return curio.SSLContext? ctx
---@return curio.OSError? err
function ssl.create_default_context(opts) end

--- Asks a server for its certificate, which is not verified.
---@async
---@param host string
---@param port integer
---@param opts { timeout: number? }?
---@return string? pem
---@return curio.OSError? err
function ssl.get_server_certificate(host, port, opts) end

--- Reads a certificate, given as PEM or DER.
---@param text string
---@param form "table"|"der"|"pem"|nil  "table"
---@return table|string|nil certificate
---@return curio.SSLError? err
function ssl.certificate(text, form) end

--- The time of a certificate's notBefore or notAfter, as os.time gives it.
---@param text string
---@return integer seconds
function ssl.cert_time_to_seconds(text) end

--- Which OpenSSL is in use; nil when there is none.
---@return string?
function ssl.openssl_version() end

---@class curio.SSLContext
---@field purpose "client"|"server"
---@field minimum_version "TLSv1.2"|"TLSv1.3"
---@field maximum_version "TLSv1.2"|"TLSv1.3"|nil
---@field verify_mode "none"|"optional"|"required"
---@field check_hostname boolean
---@field verify_flags string[]      crl_check_leaf, crl_check_chain, x509_strict, partial_chain
---@field keylog_filename string?
local Context = {}

--- Loads our certificate and its key.
---@async
---@param certfile string|table
---@param keyfile string?
---@param password string|function|nil
---@return true? ok
---@return curio.OSError? err
function Context:load_cert_chain(certfile, keyfile, password) end

--- Trusts further authorities; or a table of cafile, capath, cadata, crlfile.
---@param cafile string|table?
---@param capath string?
---@param cadata string?
---@return true? ok
---@return curio.OSError? err
function Context:load_verify_locations(cafile, capath, cadata) end

--- Trusts whom the system trusts.
---@return true? ok
---@return curio.OSError? err
function Context:load_default_certs() end

--- Reads all files again, for new connections.
---@async
---@return true? ok
---@return curio.OSError? err
function Context:reload() end

--- Sets the protocols to agree on, best first.
---@param protocols string[]
---@return true? ok
---@return curio.OSError? err
function Context:set_alpn_protocols(protocols) end

--- Restricts the ciphers.
---@param list string
---@return true? ok
---@return curio.SSLError? err
function Context:set_ciphers(list) end

--- Sets who chooses a server's context: a context, nil to keep this one, false to refuse.
---@param fn async fun(sock: curio.TLSSocket, name: string?, ctx: curio.SSLContext): any
function Context:set_servername_callback(fn) end

--- Makes a TLS socket of a connected one, which is moved into it.
---@async
---@param sock curio.socket|table
---@param opts curio.WrapOptions?
---@return curio.TLSSocket? sock
---@return curio.OSError? err
function Context:wrap_socket(sock, opts) end

---@class curio.TLSSocket
---@field context curio.SSLContext
---@field server_side boolean
---@field server_hostname string?
---@field session userdata?
---@field family integer
---@field type integer
---@field proto integer
local TLSSocket = {}

--- Agrees on keys and verifies the peer. The first read or write does so too.
---@async
---@return true? ok
---@return curio.SSLError? err
function TLSSocket:do_handshake() end

--- Receives up to max bytes, as soon as there are any.
---@async
---@param max integer?    65536 by default
---@return string? data   nil without an error: the end of the stream
---@return curio.Error? err
function TLSSocket:recv(max) end

--- for data in sock:chunks(n) do: until the end of the stream or close; the loop blocks.
---@param max integer?
---@return async fun(sock: curio.TLSSocket): string?
---@return curio.TLSSocket
function TLSSocket:chunks(max) end

--- Sends up to 64 KiB.
---@async
---@param data string
---@return integer? sent
---@return curio.Error? err
function TLSSocket:send(data) end

--- Sends all of it. Errors, and cancellations, have bytes_sent.
---@async
---@param data string
---@return true? done
---@return curio.Error? err
function TLSSocket:sendall(data) end

--- Sends n bytes of a regular file from offset on, through memory. Errors have bytes_sent.
---@async
---@param file any
---@param offset integer?
---@param n integer?
---@return integer? sent
---@return curio.Error? err
function TLSSocket:sendfile(file, offset, n) end

--- Raise: not by TLS.
function TLSSocket:accept() end
function TLSSocket:bind() end
function TLSSocket:clients() end
function TLSSocket:connect() end
function TLSSocket:detach() end
function TLSSocket:listen() end
function TLSSocket:recv_fds() end
function TLSSocket:recvfrom() end
function TLSSocket:recvmsg() end
function TLSSocket:send_fds() end
function TLSSocket:sendmsg() end
function TLSSocket:sendto() end

--- Ends one direction, or both; the peer is told.
---@async
---@param how "rd"|"wr"|"rdwr"
---@return true? ok
---@return curio.Error? err
function TLSSocket:shutdown(how) end

--- Closes it, after telling the peer if that can be done without waiting.
---@return true
function TLSSocket:close() end

--- Ends TLS and gives the plain socket back; and what was received behind the end, if anything.
---@async
---@return curio.socket? sock
---@return string|curio.Error|nil rest_or_err
function TLSSocket:unwrap() end

--- A stream over it.
---@return curio.stream
function TLSSocket:as_stream() end

---@return integer? fd
---@return curio.Error? err
function TLSSocket:fileno() end

---@return curio.address? addr
---@return curio.Error? err
function TLSSocket:getsockname() end

---@return curio.address? addr
---@return curio.Error? err
function TLSSocket:getpeername() end

---@param level integer
---@param option integer
---@param value integer|boolean|string
---@return true? ok
---@return curio.Error? err
function TLSSocket:setsockopt(level, option, value) end

---@param level integer
---@param option integer
---@param size integer?
---@return integer|string|nil value
---@return curio.Error? err
function TLSSocket:getsockopt(level, option, size) end

--- The peer's certificate; nil: it has shown none.
---@param form "table"|"der"|"pem"|nil  "table"
---@return table|string|nil
function TLSSocket:getpeercert(form) end

--- The cipher in use: its name, the version it came with, its bits.
---@return string? name
---@return string? version
---@return integer? bits
function TLSSocket:cipher() end

---@return "TLSv1.2"|"TLSv1.3"|nil
function TLSSocket:version() end

---@return string?
function TLSSocket:selected_alpn_protocol() end

---@return boolean?
function TLSSocket:session_reused() end

return ssl
