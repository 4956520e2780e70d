-- A call of every public function that cannot be called without arguments, for spec/types_spec.lua:
-- whether a function blocks is seen by calling it where a deadline has passed, and which options it
-- knows by giving it one that there is not.

local curio = require "curio"

local socket = require "curio.socket"
local ssl = require "curio.ssl"
local subprocess = require "curio.subprocess"
local sync = require "curio.sync"
local testing = require "curio.testing"
local thread = require "curio.thread"

local cqueues = require "cqueues"

local M = {}

local function nothing() end

local function sleep()
  curio.sleep(60)
end

local function pair()
  local one = assert(socket.socketpair())
  return one
end

local function listener()
  local sock = assert(socket.socket())
  assert(sock:bind("127.0.0.1", 0))
  assert(sock:listen())
  return sock
end

local function context()
  local ctx = assert(ssl.SSLContext { purpose = "server" })
  ctx.verify_mode = "none"
  return ctx
end

local function tls_socket()
  return assert(context():wrap_socket(pair(), { do_handshake_on_connect = false }))
end

local function group()
  local made = curio.TaskGroup { limit = 1 }
  made:spawn(sleep)
  return made
end

local function connection()
  local one, other = socket.socketpair()
  M.peer = other
  return curio.Connection(one:as_stream(), one:as_stream())
end

local function filled(queue)
  queue:try_put(1)
  return queue
end

local function acquired(lock)
  lock:acquire()
  return lock
end

--- Makes an object of each class that has methods: a list, where several types share the class.
M.objects = {
  ["curio.Task"] = { function() return curio.spawn(sleep) end },
  ["curio.TaskGroup"] = { group },
  ["curio.Kernel"] = { function() return (curio.Kernel()) end },
  ["curio.socket"] = { function() return assert(socket.socket()) end },
  ["curio.TLSSocket"] = { tls_socket },
  ["curio.SSLContext"] = { context },
  ["curio.stream"] = { function() return pair():as_stream() end },
  ["curio.file"] = { function() return assert(curio.aopen("/dev/zero", "r+")) end },
  ["curio.Event"] = { sync.Event, sync.UniversalEvent },
  ["curio.Result"] = { sync.Result, sync.UniversalResult },
  ["curio.Lock"] = { function() return acquired(sync.Lock()) end },
  ["curio.RLock"] = { function() return acquired(sync.RLock()) end },
  ["curio.Semaphore"] = {
    sync.Semaphore,
    function() return acquired(sync.BoundedSemaphore()) end,
  },
  ["curio.Condition"] = {
    function()
      local condition = sync.Condition()
      condition:acquire()
      return condition
    end,
  },
  ["curio.Queue"] = {
    function() return filled(curio.Queue()) end,
    function() return filled(curio.LifoQueue()) end,
    function() return filled(curio.PriorityQueue()) end,
  },
  ["curio.UniversalQueue"] = {
    function() return filled(curio.UniversalQueue { withfd = true }) end,
  },
  ["curio.WaitList"] = { curio.sched.SchedFIFO, curio.sched.SchedBarrier },
  ["curio.MemorySocket"] = { function() return (testing.socketpair()) end },
  ["curio.Popen"] = {
    function()
      return assert(subprocess.Popen {
        "true", stdin = subprocess.PIPE, stdout = subprocess.PIPE, start_new_session = true,
      })
    end,
  },
  ["curio.SignalQueue"] = { function() return curio.signal.SignalQueue(curio.signal.SIGWINCH) end },
  ["curio.SignalEvent"] = { function() return curio.signal.SignalEvent(curio.signal.SIGWINCH) end },
  ["curio.Thread"] = { function() return assert(thread.Thread(nothing)) end },
  ["curio.Connection"] = { connection },
  ["curio.Channel"] = { function() return curio.Channel { "localhost", 0 } end },
  ["curio.ErrorClass"] = { function() return curio.CurioError end },
}

--- Functions that make the arguments, or lists of them.
M.arguments = {
  ["curio.file.read"] = { 1 },
  ["curio.file.read_exactly"] = { 1 },
  ["curio.file.write"] = { "x" },
  ["curio.file.setvbuf"] = { "no" },
  ["curio.stream.read_exactly"] = { 1 },
  ["curio.stream.read_until"] = { "x" },
  ["curio.stream.write"] = { "x" },
  ["curio.stream.writelines"] = { { "x" } },
  ["curio.socket.send"] = { "x" },
  ["curio.socket.sendall"] = { "x" },
  ["curio.socket.sendto"] = { "x", "127.0.0.1", 9 },
  ["curio.socket.sendmsg"] = { "x" },
  ["curio.socket.recv_fds"] = { 1, 1 },
  ["curio.socket.send_fds"] = { "x", { 0 } },
  ["curio.socket.sendfile"] = function() return assert(io.open "README.md") end,
  ["curio.socket.connect"] = { "127.0.0.1", 9 },
  ["curio.socket.bind"] = { "localhost", 0 },
  ["curio.socket.shutdown"] = { "rd" },
  ["curio.socket.setsockopt"] = { socket.SOL_SOCKET, socket.SO_RCVBUF, 10000 },
  ["curio.socket.getsockopt"] = { socket.SOL_SOCKET, socket.SO_RCVBUF },
  ["curio.TLSSocket.send"] = { "x" },
  ["curio.TLSSocket.sendall"] = { "x" },
  ["curio.TLSSocket.sendfile"] = function() return assert(io.open "README.md") end,
  ["curio.TLSSocket.shutdown"] = { "wr" },
  ["curio.TLSSocket.setsockopt"] = { socket.SOL_SOCKET, socket.SO_RCVBUF, 10000 },
  ["curio.TLSSocket.getsockopt"] = { socket.SOL_SOCKET, socket.SO_RCVBUF },
  ["curio.SSLContext.load_cert_chain"] = { "/nowhere" },
  ["curio.SSLContext.load_verify_locations"] = { "/nowhere" },
  ["curio.SSLContext.set_alpn_protocols"] = { { "h2" } },
  ["curio.SSLContext.set_ciphers"] = { "HIGH" },
  ["curio.SSLContext.set_servername_callback"] = { nothing },
  ["curio.SSLContext.wrap_socket"] = function() return pair() end,
  ["curio.MemorySocket.recv"] = { 1 },
  ["curio.MemorySocket.send"] = { "x" },
  ["curio.MemorySocket.sendall"] = { "x" },
  ["curio.MemorySocket.shutdown"] = { "wr" },
  ["curio.TaskGroup.spawn"] = { nothing },
  ["curio.TaskGroup.spawn_thread"] = { nothing },
  ["curio.TaskGroup.start"] = { nothing },
  ["curio.TaskGroup.add_task"] = function() return curio.spawn(sleep) end,
  ["curio.Queue.put"] = { 1 },
  ["curio.Queue.try_put"] = { 1 },
  ["curio.Result.set_exception"] = { "x" },
  ["curio.Condition.wait_for"] = { nothing },
  ["curio.Popen.send_signal"] = { 0 },
  ["curio.Popen.terminate"] = { 60 },
  ["curio.Connection.send"] = { 1 },
  ["curio.Connection.send_bytes"] = { "x" },
  ["curio.Connection.authenticate_server"] = { "key" },
  ["curio.Connection.authenticate_client"] = { "key" },

  ["channel.Channel"] = { "/nowhere/x" },
  ["channel.Connection"] = function()
    local stream = pair():as_stream()
    return stream, stream
  end,
  ["errors.class"] = { "Odd" },
  ["errors.is"] = { 1, curio.CurioError },
  ["file.aopen"] = { "/dev/null" },
  ["group.group"] = { nothing },
  ["interop.cqueues.run"] = { nothing },
  ["interop.cqueues.loop"] = function() return cqueues.new() end,
  ["interop.cqueues.close"] = function() return cqueues.new() end,
  ["interop.cqueues.await"] = { curio.schedule }, -- elsewhere than in cqueues it only calls it
  ["interop.luv.await"] = { nothing },
  ["io.SocketStream"] = function() return pair() end,
  ["io.FileStream"] = { 0 },
  ["io.copy"] = function() return pair(), pair() end,
  ["kernel.run"] = { nothing },
  ["meta.awaitable"] = { nothing, nothing },
  ["monitor.open"] = function() return curio.Kernel(), "/nowhere/x" end,
  ["monitor.close"] = function() return curio.Kernel() end,
  ["monitor.attach"] = { "/nowhere/x" },
  ["network.open_connection"] = { "127.0.0.1", 1 },
  ["network.open_unix_connection"] = { "/nowhere" },
  ["network.tcp_server"] = { "127.0.0.1", 0, nothing },
  ["network.unix_server"] = { "\0curio-types-spec", nothing },
  ["network.run_server"] = function() return listener(), nothing end,
  ["network.tcp_server_socket"] = { "localhost", 0 },
  ["network.unix_server_socket"] = { "/nowhere/x" },
  ["network.systemd.notify"] = { "STATUS=x" },
  ["report.default"] = { "info", "" },
  ["report.log"] = { "info", "" },
  ["signal.SignalQueue"] = { curio.signal.SIGWINCH },
  ["signal.SignalEvent"] = { curio.signal.SIGWINCH },
  ["signal.ignore"] = { curio.signal.SIGWINCH },
  ["socket.fromfd"] = { 1000000 },
  ["socket.close"] = { 1000000 },
  ["socket.CMSG_LEN"] = { 4 },
  ["socket.CMSG_SPACE"] = { 4 },
  ["socket.create_connection"] = { "127.0.0.1", 1 },
  ["socket.getaddrinfo"] = { "127.0.0.1", 1 },
  ["socket.getnameinfo"] = { { "127.0.0.1", 1 } },
  ["socket.gethostbyname"] = { "127.0.0.1" },
  ["socket.gethostbyaddr"] = { "127.0.0.1" },
  ["socket.getfqdn"] = { "127.0.0.1" },
  ["ssl.get_server_certificate"] = { "127.0.0.1", 1 },
  ["ssl.certificate"] = { "" },
  ["ssl.cert_time_to_seconds"] = { "Jan  5 09:34:43 2018 GMT" },
  ["subprocess.Popen"] = { { "true" } },
  ["subprocess.run"] = { { "true" } },
  ["subprocess.check_output"] = { { "true" } },
  ["task.spawn"] = { nothing },
  ["task.set_cancellation"] = { nil },
  ["task.pcall"] = { nothing },
  ["task.xpcall"] = { nothing, nothing },
  ["thread.AWAIT"] = { nothing },
  ["thread.spawn_thread"] = { nothing },
  ["thread.Thread"] = { nothing },
  ["time.sleep"] = { 1 },
  ["time.timeout_after"] = { 1, curio.schedule }, -- block as far as their function does
  ["time.ignore_after"] = { 1, curio.schedule },
  ["traps.read_wait"] = function() return pair() end,
  ["traps.write_wait"] = function() return pair() end,
  ["traps.io_release"] = function() return pair() end,
  ["traps.io_waiting"] = function() return pair() end,
  ["traps.sleep"] = { 1 },
  ["traps.spawn"] = { nothing },
  ["traps.cancel_task"] = function() return curio.spawn(sleep) end,
  ["traps.scheduler_wait"] = function() return curio.sched.SchedFIFO() end,
  ["traps.scheduler_wake"] = function() return curio.sched.SchedFIFO() end,
  ["traps.unset_timeout"] = function() return curio.traps.set_timeout() end,
  ["traps.future_wait"] = { { add_done_callback = nothing, cancel = nothing } },
  ["workers.run_in_thread"] = { nothing },
  ["workers.run_in_process"] = { nothing },
}

--- What a call that does not block may raise nevertheless, where it is made.
M.raises = {
  ["curio.Kernel.run"] = "a kernel is running",
  ["curio.Kernel.shutdown"] = "kernel",
  ["kernel.run"] = "a kernel is running",
  ["monitor.open"] = "No such file",
  ["testing.run"] = "kernel",
  ["thread.AWAIT"] = "AWAIT",
}
for name in ("accept bind clients connect detach listen recv_fds recvfrom recvmsg send_fds sendmsg "
  .. "sendto"):gmatch "%S+" do
  M.raises["curio.TLSSocket." .. name] = "not by TLS"
end

--- What may block, and is not seen to where it is called like this.
M.unseen = {
  ["curio.Connection.close"] = "holds cancellation back while it flushes",
  ["curio.Channel.close"] = "holds cancellation back",
  ["curio.stream.close"] = "holds cancellation back while it flushes",
  ["curio.TaskGroup.cancel_remaining"] = "holds cancellation back while it waits",
  ["curio.SSLContext.load_cert_chain"] = "the password may be a function that blocks",
  ["curio.SSLContext.reload"] = "the password may be a function that blocks",
  ["ssl.create_default_context"] = "the password may be a function that blocks",
  ["network.systemd.notify"] = "blocks where systemd has started the process",
  ["network.systemd.watchdog"] = "blocks where systemd has started the process",
}

--- What raises a pending cancellation because that is what it is for.
M.tells = { ["task.check_cancellation"] = true }

--- What looks at its options later.
M.lazy = { ["testing.it"] = true }

return M
