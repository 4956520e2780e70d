---@meta curio.network

---@class curio.ConnectOptions
---@field source table?                {host, port} to connect from
---@field timeout number?              seconds for all
---@field happy_eyeballs_delay number? seconds between two attempts, 0.25
---@field ssl true|curio.SSLContext|nil
---@field server_hostname string?      of TLS; the host
---@field alpn string[]?               of TLS

---@class curio.UnixConnectOptions
---@field ssl true|curio.SSLContext|nil
---@field server_hostname string?  of TLS
---@field alpn string[]?           of TLS

---@class curio.ListenOptions
---@field family integer?         AF_INET, or AF_INET6 for a host with colons
---@field backlog integer?        100
---@field reuse_address boolean?  true
---@field reuse_port boolean?     false

---@class curio.ServeOptions
---@field max_connections integer?              further ones wait in the backlog
---@field grace number?                         seconds for handlers to finish
---@field ready fun(addr: curio.address)?       called before the first accept
---@field ssl curio.SSLContext?                 a server's
---@field handshake_timeout number?             seconds, 30

---@class curio.TcpServerOptions: curio.ListenOptions, curio.ServeOptions
---@field workers integer|"auto"|nil  so many threads serve, each with a kernel of its own

---@class curio.UnixServerOptions: curio.ServeOptions
---@field backlog integer?

---@alias curio.Handler async fun(client: curio.socket, addr: curio.address)

---@class curio.network
local network = {}

--- Connects to a host by TCP, with RFC 8305 where it has several addresses.
---@async
---@param host string
---@param port integer|string
---@param opts curio.ConnectOptions?
---@return curio.socket? sock
---@return curio.OSError? err
function network.open_connection(host, port, opts) end

--- Connects to a Unix socket.
---@async
---@param path string
---@param opts curio.UnixConnectOptions?
---@return curio.socket? sock
---@return curio.OSError? err
function network.open_unix_connection(path, opts) end

--- Serves TCP connections, each in a task of its own, until cancelled.
---@async
---@param host string   "": all interfaces
---@param port integer  0: any free one
---@param handler curio.Handler
---@param opts curio.TcpServerOptions?
---@return nil
---@return curio.OSError err  why it could not listen
function network.tcp_server(host, port, handler, opts) end

--- Serves connections to a Unix socket.
---@async
---@param path string
---@param handler curio.Handler
---@param opts curio.UnixServerOptions?
---@return nil
---@return curio.OSError err
function network.unix_server(path, handler, opts) end

--- Serves the connections of a listening socket, which is closed at the end.
---@async
---@param sock curio.socket
---@param handler curio.Handler
---@param opts curio.ServeOptions?
function network.run_server(sock, handler, opts) end

--- A TCP socket that listens. Blocks only where the host is a name.
---@async
---@param host string
---@param port integer
---@param opts curio.ListenOptions?
---@return curio.socket? sock
---@return curio.OSError? err
function network.tcp_server_socket(host, port, opts) end

--- A Unix socket that listens.
---@param path string
---@param opts { backlog: integer? }?
---@return curio.socket? sock
---@return curio.OSError? err
function network.unix_server_socket(path, opts) end

--- The sockets that systemd has opened for this program: a list, with names.
---@return table? sockets
---@return curio.OSError? err  ENOTSOCK
function network.systemd_sockets() end

return network
