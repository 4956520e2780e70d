--- Clients and servers: connections opened, connections served.
--
-- A server is a loop that accepts and a task for each client. All there is for a connection is the
-- socket, its address and the task with one small frame below the handler: the server itself is the
-- to-be-closed value of each of these tasks.

local core = require "curio.core"
local errors = require "curio.errors"
local report = require "curio.report"
local socket = require "curio.socket"
local group = require "curio.group"

local network = {}

-- ---- options ----

local function wrong(verb, name, expected, value)
  local message = "%s: option '%s' must be %s, got %s"
  error(message:format(verb, name, expected, tostring(value)), 4)
end

local function check_seconds(opts, verb, name)
  local value = opts[name]
  if value ~= nil and not (type(value) == "number" and value >= 0) then
    wrong(verb, name, "a number of seconds, 0 or more", value)
  end
end

local function check_count(opts, verb, name, least)
  local value = opts[name]
  if value ~= nil and not (math.type(value) == "integer" and value >= least) then
    wrong(verb, name, ("an integer, %d or more"):format(least), value)
  end
end

local function check_flag(opts, verb, name)
  if opts[name] ~= nil and type(opts[name]) ~= "boolean" then
    wrong(verb, name, "true or false", opts[name])
  end
end

local function check_callable(value, verb, what)
  if not core.args.callable(value) then
    error(("%s: %s must be a function, got %s"):format(verb, what, tostring(value)), 4)
  end
end

local function refuse(opts, verb, name, why)
  if opts[name] then
    error(("%s: option '%s': %s"):format(verb, name, why), 4)
  end
end

-- Loaded only where somebody wants TLS.
local function tls()
  return require "curio.ssl.attach"
end

local function check_tls(opts, verb)
  if opts.ssl then
    tls().check_client(opts, verb)
  else
    refuse(opts, verb, "server_hostname", "only with ssl")
    refuse(opts, verb, "alpn", "only with ssl")
  end
end

-- ---- connecting ----

-- RFC 8305, 4: the families take turns, beginning with that of the first address.
local function interleave(targets)
  local families, queues = {}, {}
  for _, target in ipairs(targets) do
    if not queues[target.family] then
      queues[target.family] = {}
      families[#families + 1] = target.family
    end
    table.insert(queues[target.family], target)
  end
  local mixed = {}
  for turn = 1, #targets do
    for _, family in ipairs(families) do
      mixed[#mixed + 1] = queues[family][turn]
    end
  end
  return mixed
end

-- What only tells that this machine cannot reach a family at all explains least.
local telling_nothing = {
  EADDRNOTAVAIL = true,
  EAFNOSUPPORT = true,
  EHOSTUNREACH = true,
  ENETUNREACH = true,
}

-- The first error that tells something, with the others in its .errors.
local function most_telling(list)
  local chosen = 1
  for i, err in ipairs(list) do
    if not telling_nothing[err.code] then
      chosen = i
      break
    end
  end
  local err = table.remove(list, chosen)
  if #list > 0 then
    err.errors = list
  end
  return err
end

---@async
local function attempt(guard, target, source, failures)
  local sock, err = socket._connect(target, source)
  if not sock then
    failures[#failures + 1] = err
  elseif guard.sock then
    sock:close()
  else
    guard.sock = sock
  end
end

-- The next attempt that ends, or nothing after `delay` seconds. Its own mistakes are raised.
---@async
local function next_end(attempts, delay)
  local task = core.ignore_after(delay, attempts.next_done, attempts)
  return task and (task.result or task)
end

-- RFC 8305, 5: a further attempt begins when the last one has failed, or has taken too long.
---@async
local function race(targets, source, delay)
  local failures = {}
  local guard <close> = socket._guard()
  local attempts <close> = group.TaskGroup()
  for _, target in ipairs(targets) do
    attempts:spawn(attempt, guard, target, source, failures)
    next_end(attempts, delay)
    if guard.sock then
      break
    end
  end
  local more = true
  while more and not guard.sock do
    more = next_end(attempts)
  end
  attempts:cancel_remaining()
  local sock = guard.sock
  guard.sock = nil
  if sock then
    return sock
  end
  return nil, most_telling(failures)
end

---@async
local function connect_tcp(host, port, source, delay)
  local targets, err = socket.getaddrinfo(host, port, { type = socket.SOCK_STREAM })
  if not targets then
    return nil, err
  elseif #targets == 1 then
    return socket._connect(targets[1], source)
  end
  return race(interleave(targets), source, delay)
end

---@async
local function connect(host, port, opts)
  local sock, err = connect_tcp(host, port, opts.source, opts.happy_eyeballs_delay or 0.25)
  if sock and opts.ssl then
    return tls().client(sock, host, opts)
  end
  return sock, err
end

local TIMED_OUT = {}

--- Connects to a host by TCP. Where it has several addresses they are tried by RFC 8305 ("Happy
---Eyeballs"): each a little after the other, and the first connection wins.
---@async
---@param host string
---@param port integer|string
---@param opts table?  source = {host, port} to connect from; timeout = seconds for all;
---happy_eyeballs_delay = 0.25, seconds between two attempts; ssl = true or a context;
---server_hostname = host, alpn = {protocols}: of TLS
---@return curio.socket|curio.TLSSocket|nil sock
---@return table? err  OSError, with those of further addresses in .errors; ETIMEDOUT; ResolveError
function network.open_connection(host, port, opts)
  opts = core.args.options(opts, "open_connection", {
    "source", "timeout", "happy_eyeballs_delay", "ssl", "server_hostname", "alpn",
  })
  check_tls(opts, "open_connection")
  check_seconds(opts, "open_connection", "timeout")
  check_seconds(opts, "open_connection", "happy_eyeballs_delay")
  if not opts.timeout then
    return connect(host, port, opts)
  end
  local sock, err = core.ignore_after {
    opts.timeout, connect, host, port, opts, timeout_result = TIMED_OUT,
  }
  if sock == TIMED_OUT then
    return nil, core.errors.os(socket.ETIMEDOUT, "connect", ("%s:%s"):format(host, port))
  end
  return sock, err
end

--- Connects to a Unix socket.
---@async
---@param path string  with a leading NUL byte an abstract name
---@param opts table?  ssl = true or a context; server_hostname = "localhost", alpn: of TLS
---@return curio.socket|curio.TLSSocket|nil sock
---@return table? err
function network.open_unix_connection(path, opts)
  opts = core.args.options(opts, "open_unix_connection", { "ssl", "server_hostname", "alpn" })
  check_tls(opts, "open_unix_connection")
  local target = { family = socket.AF_UNIX, type = socket.SOCK_STREAM, addr = { path } }
  local sock, err = socket._connect(target)
  if sock and opts.ssl then
    return tls().client(sock, "localhost", opts)
  end
  return sock, err
end

-- ---- listening ----

---@async
local function listen(sock, addr, backlog, flags)
  for _, flag in ipairs(flags) do
    local done, err = sock:setsockopt(socket.SOL_SOCKET, flag, true)
    if not done then
      return nil, err
    end
  end
  local done, err = sock:bind(addr)
  if not done then
    return nil, err
  end
  return sock:listen(backlog)
end

---@async
local function open_listener(family, addr, backlog, flags)
  local sock, err = socket.socket(family, socket.SOCK_STREAM)
  if not sock then
    return nil, err
  end
  local guard <close> = socket._guard(sock)
  local done
  done, err = listen(sock, addr, backlog or 100, flags)
  if not done then
    return nil, err
  end
  guard.sock = nil
  return sock
end

local function family_of(host)
  return type(host) == "string" and host:find(":", 1, true) and socket.AF_INET6 or socket.AF_INET
end

local TCP_OPTIONS = { "family", "backlog", "reuse_address", "reuse_port" }

---@async
local function open_tcp_listener(host, port, opts, verb)
  check_count(opts, verb, "family", 0)
  check_count(opts, verb, "backlog", 0)
  check_flag(opts, verb, "reuse_address")
  check_flag(opts, verb, "reuse_port")
  local flags = {}
  if opts.reuse_address ~= false then
    flags[1] = socket.SO_REUSEADDR
  end
  if opts.reuse_port then
    flags[#flags + 1] = socket.SO_REUSEPORT
  end
  return open_listener(opts.family or family_of(host), { host, port }, opts.backlog, flags)
end

--- Makes a TCP socket that listens. Blocks only where the host is a name.
---@async
---@param host string   "": all interfaces
---@param port integer  0: any free one
---@param opts table?   family = AF_INET (AF_INET6 for a host with colons), backlog = 100,
---reuse_address = true, reuse_port = false
---@return curio.socket? sock
---@return table? err
function network.tcp_server_socket(host, port, opts)
  opts = core.args.options(opts, "tcp_server_socket", TCP_OPTIONS)
  return open_tcp_listener(host, port, opts, "tcp_server_socket")
end

---@async
local function open_unix_listener(path, opts, verb)
  check_count(opts, verb, "backlog", 0)
  return open_listener(socket.AF_UNIX, { path }, opts.backlog, {})
end

--- Makes a Unix socket that listens. The path must not exist, and is not removed afterwards.
---@param path string  with a leading NUL byte an abstract name
---@param opts table?  backlog = 100
---@return curio.socket? sock
---@return table? err
function network.unix_server_socket(path, opts)
  opts = core.args.options(opts, "unix_server_socket", { "backlog" })
  return open_unix_listener(path, opts, "unix_server_socket")
end

-- ---- serving ----

local RUN_OPTIONS = { "ssl", "handshake_timeout", "grace", "ready", "max_connections" }

local function check_run_options(opts, verb)
  if opts.ssl then
    tls().check_server(opts.ssl, verb)
  end
  check_seconds(opts, verb, "handshake_timeout")
  check_seconds(opts, verb, "grace")
  check_count(opts, verb, "max_connections", 1)
  if opts.ready ~= nil then
    check_callable(opts.ready, verb, "option 'ready'")
  end
end

-- accept(2): nothing can be accepted until somebody gives something back.
local exhausted = { EMFILE = true, ENFILE = true, ENOBUFS = true, ENOMEM = true }

local SHORT_PAUSE, PAUSE, LONG_PAUSE = 0.005, 0.1, 1 -- seconds
local HANDSHAKE = 30 -- seconds for TLS to be agreed on
local QUIET = 60 -- seconds in which a shortage is reported once

-- Fields: sock; clients (by task); count (of them), max; room (where accepting waits for a place,
-- if `full`); grace; pause (seconds, 0 while accepting goes well); warned (when last).
local Server = {}
Server.__index = Server

local function new_server(sock, opts)
  return setmetatable({
    sock = sock,
    clients = {},
    count = 0,
    max = opts.max_connections or math.huge,
    room = core.sched(),
    full = false,
    grace = opts.grace,
    pause = 0,
    warned = -math.huge,
  }, Server)
end

local function forget(server, task)
  local client = server.clients[task]
  if not client then
    return
  end
  server.clients[task] = nil
  server.count = server.count - 1
  client:close()
  if server.full then
    server.room:wake(1)
  end
end

-- The end of a connection, in its own task: see `serving`.
function Server.__close(server)
  forget(server, core.current())
end

-- The body of each connection's task. The handshake is done in there, so that it holds up nobody
-- else.
local function serving(server, handler, opts)
  if not opts.ssl then
    return function(client, addr)
      local _ <close> = server
      handler(client, addr)
    end
  end
  local accept, timeout = tls().accept, opts.handshake_timeout or HANDSHAKE
  return function(client, addr)
    local _ <close> = server
    local sock <close> = accept(client, addr, opts.ssl, timeout)
    if sock then
      server.clients[core.current()] = sock
      handler(sock, addr)
    end
  end
end

---@async
function Server:rest(least)
  self.pause = math.min(math.max(2 * self.pause, least), LONG_PAUSE)
  core.sleep(self.pause)
end

function Server:warn(err)
  local now = core.clock()
  if now - self.warned > QUIET then
    self.warned = now
    report.log("warning", ("no connection is accepted for now: %s"):format(err))
  end
end

-- It never spins: what fails again and again is tried less and less often.
---@async
function Server:accept_failed(err)
  if exhausted[err.code] then
    self:warn(err)
    self:rest(PAUSE)
  elseif socket._passing[err.code] then
    self:rest(SHORT_PAUSE)
  else
    error(err, 0)
  end
end

---@async
function Server:accept_all(serve)
  local sock, clients, spawn = self.sock, self.clients, core.spawn
  while true do
    self.full = self.count >= self.max
    while self.full do
      self.room:suspend("MAX_CONNECTIONS")
      self.full = self.count >= self.max
    end
    local client, addr = sock:accept()
    if client then
      self.count = self.count + 1
      clients[spawn(serve, client, addr)] = client
      self.pause = 0
    else
      self:accept_failed(addr)
    end
  end
end

-- Tasks that never began have not closed their clients. Failures are reported here: as somebody
-- waits, the kernel does not.
---@async
function Server:wait_for_clients()
  local task = next(self.clients)
  while task do
    task:wait()
    forget(self, task)
    local err = task.exception
    if err ~= nil and not errors.is(err, errors.TaskCancelled) then
      report.hooks.crash(task)
    end
    task = next(self.clients)
  end
end

function Server:cancel_clients()
  for task in pairs(self.clients) do
    task:cancel { blocking = false, reason = "the server ends" }
  end
end

---@async
local function end_grace(server)
  core.sleep(server.grace)
  server:cancel_clients()
end

-- Shielded, so no timeout can end the grace: a task does.
---@async
function Server:finish()
  self.sock:close()
  local timer = self.grace and core.spawn(end_grace, self)
  if not timer then
    self:cancel_clients()
  end
  self:wait_for_clients()
  if timer then
    timer:cancel()
  end
end

local Ending = {
  __close = function(ending)
    core.disable_cancellation(ending.server.finish, ending.server)
  end,
}

---@async
local function run(sock, handler, opts)
  local server = new_server(sock, opts)
  local _ <close> = setmetatable({ server = server }, Ending)
  if opts.ready then
    opts.ready(sock:getsockname())
  end
  server:accept_all(serving(server, handler, opts))
end

local function join(...)
  local all = {}
  for _, list in ipairs { ... } do
    table.move(list, 1, #list, #all + 1, all)
  end
  return all
end

--- Serves the connections of a listening socket, each in a task of its own, until cancelled. The
---client is closed when its handler returns or fails; a failure is reported, the server goes on.
---@async
---@param sock curio.socket  closed at the end
---@param handler fun(client: curio.socket, addr: curio.address)
---@param opts table?  max_connections: further ones wait in the backlog; grace: seconds that
---handlers have to finish when the server is cancelled; ready(addr): called before the first
---accept; ssl: a server's context, with handshake_timeout = 30 seconds
function network.run_server(sock, handler, opts)
  opts = core.args.options(opts, "run_server", RUN_OPTIONS)
  check_callable(handler, "run_server", "the handler")
  check_run_options(opts, "run_server")
  return run(sock, handler, opts)
end

-- For the threads of a server with workers.
network._serve = run

---@async
local function run_workers(host, port, handler, opts, ssl)
  local cluster = require "curio.network.cluster"
  local n = cluster.count(opts.workers)
  if not n then
    wrong("tcp_server", "workers", 'a positive integer or "auto"', opts.workers)
  end
  if ssl and (type(ssl) ~= "table" or getmetatable(ssl)) then
    tls().check_server(ssl, "tcp_server")
  end
  local mine = setmetatable({ reuse_port = true, ssl = ssl }, { __index = opts })
  return cluster.run("curio.network", n, function(addr)
    local at, on = addr and addr.host or host, addr and addr.port or port
    return open_tcp_listener(at, on, mine, "tcp_server")
  end, handler, mine)
end

local TCP_SERVER_OPTIONS = join(TCP_OPTIONS, RUN_OPTIONS, { "workers" })
local UNIX_SERVER_OPTIONS = join({ "backlog" }, RUN_OPTIONS)

--- Serves TCP connections: tcp_server_socket and run_server in one.
---@async
---@param host string   "": all interfaces
---@param port integer  0: any free one
---@param handler fun(client: curio.socket, addr: curio.address)
---@param opts table?   as of both; workers = n or "auto": so many threads, each with a kernel of
---its own, a copy of the handler and its share of the port and of max_connections; ssl may then
---also be a table of options of create_default_context
---@return nil
---@return table err    why it could not listen
function network.tcp_server(host, port, handler, opts)
  opts = core.args.options(opts, "tcp_server", TCP_SERVER_OPTIONS)
  check_callable(handler, "tcp_server", "the handler")
  if opts.workers ~= nil then
    local rest = setmetatable({ ssl = false }, { __index = opts })
    check_run_options(rest, "tcp_server")
    return run_workers(host, port, handler, rest, opts.ssl)
  end
  check_run_options(opts, "tcp_server")
  local sock, err = open_tcp_listener(host, port, opts, "tcp_server")
  if not sock then
    return nil, err
  end
  return run(sock, handler, opts)
end

--- Serves connections to a Unix socket: unix_server_socket and run_server in one.
---@async
---@param path string
---@param handler fun(client: curio.socket, addr: curio.address)
---@param opts table?  as of both
---@return nil
---@return table err   why it could not listen
function network.unix_server(path, handler, opts)
  opts = core.args.options(opts, "unix_server", UNIX_SERVER_OPTIONS)
  check_callable(handler, "unix_server", "the handler")
  check_run_options(opts, "unix_server")
  local sock, err = open_unix_listener(path, opts, "unix_server")
  if not sock then
    return nil, err
  end
  return run(sock, handler, opts)
end

--- The sockets that systemd has opened for this program: a list, with names. Does not block.
---@return table? sockets
---@return table? err
function network.systemd_sockets()
  return require("curio.network.systemd").sockets()
end

return network
