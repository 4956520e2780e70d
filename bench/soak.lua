-- soak.lua: echo for a long time, with everything that can go wrong in a connection's life.
--
--     curio bench/soak.lua [SECONDS [SEED]]        600 seconds by default
--
-- Server and clients are tasks of this one process. Clients talk (every byte is checked), reset
-- (SO_LINGER 0), leave at once, close under a reader, flood, stop reading, half-close; their tasks
-- are cancelled and time out at any moment. The server hangs up, loses patience, fails on purpose,
-- and is itself cancelled and started again on the same port.
--
-- The time is cut into epochs. After each one all is quiet and a sample is taken: Lua's memory, the
-- process's, its descriptors, tasks that live. A leak shows as growth from the early samples to the
-- late ones. Exit status 1 on a leak, a wrong byte, a task that is stuck, or an unexpected error.

local curio = require "curio"
local socket = require "curio.socket"

local seconds = tonumber(arg[1] or 600)
local seed = math.tointeger(tonumber(arg[2] or os.time()))
if not seconds or seconds <= 0 or not seed or arg[3] then
  io.stderr:write("usage: soak.lua [SECONDS [SEED]]\n")
  os.exit(2)
end

local EPOCHS, CLIENTS = 12, 50
local STUCK = 30 -- seconds that no client's visit should take
local ON_PURPOSE = "soak: a handler fails on purpose"
local RESET = string.pack("i4i4", 1, 0) -- struct linger {1, 0}

local random = math.random
math.randomseed(seed)

-- Messages are slices of this text; it is there twice, so a slice may start anywhere in the first.
local text = {}
for i = 1, 65536 do
  text[i] = string.char(random(0, 255))
end
text = table.concat(text)
local LENGTH = #text
text = text .. text

local port -- of the server; it keeps it when it starts anew
local counts = {connections = 0, cut = 0, refused = 0, restarts = 0, messages = 0, bytes = 0}
local failures = 0
local watched = setmetatable({}, {__mode = "k"}) -- every task that we get hold of

local function fail(what, err)
  failures = failures + 1
  if failures <= 10 then
    io.stderr:write(("FAILURE: %s: %s\n%s\n"):format(what, tostring(err),
      type(err) == "table" and err.traceback or ""))
  end
end

local function count(what, n)
  counts[what] = (counts[what] or 0) + (n or 1)
end

local function spawn(...)
  local task = curio.spawn(...)
  watched[task] = true
  return task
end

local function chance(share)
  return random() < share
end

-- ---- the server ----

local function handler(client)
  watched[curio.current_task()] = true
  count("connections")
  local impatient, rude, broken = chance(0.1), chance(0.1), chance(0.02)
  while true do
    local data
    if impatient then
      data = curio.ignore_after(0.02, client.recv, client, 4096)
    else
      data = client:recv(random(1, 65536))
    end
    if not data or (rude and chance(0.1)) then
      return
    end
    if broken and chance(0.1) then
      error(ON_PURPOSE)
    end
    local _, err = client:sendall(data)
    if err then
      return
    end
  end
end

local function start_server()
  local bound
  local server = spawn(curio.tcp_server, "127.0.0.1", port or 0, handler, {
    backlog = 128,
    ready = function(addr)
      bound = addr.port
    end,
  })
  while not bound and not server.terminated do
    curio.sleep(0.001)
  end
  assert(bound, "the server did not start")
  port = bound
  return server
end

local function stop_server(server)
  if server.terminated then
    fail("the server ended by itself", server.exception or table.unpack(server.results, 1, 2))
  end
  server:cancel()
end

-- ---- the clients ----

-- What may come of an operation when the other side resets, hangs up or is not there.
local EXPECTED = {ECONNRESET = true, EPIPE = true, ECONNREFUSED = true, ETIMEDOUT = true,
  ENOTCONN = true, ECONNABORTED = true, EADDRNOTAVAIL = true}

-- A connection to the server, or nil when there is none to be had just now.
local function connect()
  local sock, err
  if chance(0.5) then
    sock, err = curio.open_connection("127.0.0.1", port)
  else
    sock, err = socket.create_connection("127.0.0.1", port)
  end
  if sock then
    return sock
  end
  count("refused")
  if not EXPECTED[err.code] then
    fail("connect", err)
  end
  curio.sleep(0.02)
end

-- The connection has ended early; anything but an expected reason is a failure.
local function cut(what, err)
  count("cut")
  if err and not EXPECTED[err.code] then
    fail(what, err)
  end
  return false
end

-- Receives `size` bytes and compares them with the text from `place` on. false: cut.
local function expect(sock, place, size)
  local got = 0
  while got < size do
    local data, err = sock:recv(math.min(size - got, LENGTH))
    if not data then
      return cut("recv", err)
    end
    local at = (place + got) % LENGTH
    if data ~= text:sub(at + 1, at + #data) then
      fail("wrong bytes", ("%d of them, %d after the message's start"):format(#data, got))
      return false
    end
    got = got + #data
    count("bytes", #data)
  end
  count("messages")
  return true
end

local function send(sock, place, size)
  local _, err = sock:sendall(text:sub(place + 1, place + size))
  return err and cut("sendall", err) or not err
end

local function talk(sock, messages)
  for _ = 1, messages do
    local place, size = random(0, LENGTH - 1), chance(0.1) and random(LENGTH) or random(2000)
    if not (send(sock, place, size) and expect(sock, place, size)) then
      return false
    end
  end
  return true
end

-- One connection from start to end, as it should be.
local function visit()
  local sock <close> = connect()
  if sock then
    talk(sock, random(10))
  end
end

local function reset(sock)
  sock:setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
  sock:close()
end

-- What a client does with one connection, and how often it is chosen.
local visits = {
  {8, "talk", visit},

  {2, "leave at once", function()
    local _ <close> = connect()
  end},

  {3, "reset", function()
    local sock <close> = connect()
    if sock and talk(sock, random(0, 3)) and send(sock, 0, random(20000)) then
      reset(sock)
    end
  end},

  {2, "half-close", function()
    local sock <close> = connect()
    if not sock then
      return
    end
    local size = random(20000)
    if send(sock, 0, size) then
      sock:shutdown("wr")
      if expect(sock, 0, size) and sock:recv(1) then
        fail("half-close", "bytes after the last one")
      end
    end
  end},

  {3, "cancel", function()
    local task = spawn(visit)
    curio.sleep(random() * 0.01)
    task:cancel()
    local err = task.exception
    if err and not curio.is(err, curio.CancelledError) then
      fail("cancelled visit", err)
    end
  end},

  {3, "time out, ignored", function()
    curio.ignore_after(random() * 0.01, visit)
  end},

  {3, "time out, raised", function()
    local ok, err = pcall(curio.timeout_after, random() * 0.01, visit)
    if not ok and not curio.is(err, curio.TaskTimeout) then
      error(err, 0)
    end
  end},

  {2, "close under a reader", function()
    local sock <close> = connect()
    if not sock then
      return
    end
    local reader = spawn(sock.recv, sock, 1000)
    curio.sleep(random() * 0.005)
    sock:close()
    local data, err = reader:join()
    if data then
      fail("close under a reader", "bytes that nobody sent")
    elseif err and not curio.is(err, curio.ClosedError) then
      cut("close under a reader", err)
    end
  end},

  {1, "flood", function()
    local sock <close> = connect()
    if not sock then
      return
    end
    local writer = spawn(function()
      for _ = 1, 32 do
        if not send(sock, 0, LENGTH) then
          return
        end
      end
    end)
    expect(sock, 0, random(32) * LENGTH)
    writer:cancel()
  end},

  {1, "stop reading", function()
    local sock <close> = connect()
    if not sock then
      return
    end
    curio.ignore_after(0.05, function()
      while send(sock, 0, LENGTH) do
        count("unread")
      end
    end)
    reset(sock)
  end},
}

local function pick()
  local total = 0
  for _, entry in ipairs(visits) do
    total = total + entry[1]
  end
  local at = random(total)
  for _, entry in ipairs(visits) do
    at = at - entry[1]
    if at <= 0 then
      return entry[2], entry[3]
    end
  end
end

local function client(deadline)
  while curio.clock() < deadline do
    local name, run = pick()
    count(name)
    local ok, err = pcall(curio.timeout_after, STUCK, run)
    if not ok then
      fail(name, err)
    end
    curio.sleep(random() * 0.005)
  end
end

-- ---- epochs ----

-- Clients at work for a while; meanwhile the server is cancelled now and then and starts again.
local function epoch(duration)
  local deadline = curio.clock() + duration
  local server = start_server()
  local clients = {}
  for i = 1, CLIENTS do
    clients[i] = spawn(client, deadline)
  end
  while curio.clock() < deadline do
    curio.sleep(math.min(0.2 + random() * 2, deadline - curio.clock()))
    stop_server(server)
    server = start_server()
    count("restarts")
  end
  for _, task in ipairs(clients) do
    task:join()
  end
  stop_server(server)
end

local function read_number(path, pattern)
  local file = assert(io.open(path))
  local number = tonumber(file:read("a"):match(pattern))
  file:close()
  return number
end

local function count_descriptors()
  local pipe = assert(io.popen(("ls /proc/%d/fd | wc -l"):format(
    read_number("/proc/self/stat", "^(%d+)"))))
  local n = pipe:read("n")
  pipe:close()
  return n
end

-- What is there when all is quiet. `live`: tasks that should have ended.
local function sample()
  curio.sleep(0.1)
  collectgarbage()
  collectgarbage()
  local live = 0
  for task in pairs(watched) do
    live = live + (task.terminated and 0 or 1)
  end
  return {lua = collectgarbage("count"), resident = read_number("/proc/self/status",
    "VmRSS:%s*(%d+)"), descriptors = count_descriptors(), live = live}
end

-- The middle value of a field of the samples first..last.
local function middle(samples, field, first, last)
  local values = {}
  for i = first, last do
    values[#values + 1] = samples[i][field]
  end
  table.sort(values)
  return values[(#values + 1) // 2]
end

-- Compares samples 3 to 5 with the last three.
local function check_growth(samples, field, unit, share, slack)
  local early = middle(samples, field, 3, 5)
  local late = middle(samples, field, EPOCHS - 2, EPOCHS)
  local grown = late > early * (1 + share) + slack
  print(("%-12s %10.0f early %10.0f late  %-4s %s"):format(field, early, late, unit,
    grown and "LEAK" or "ok"))
  return not grown
end

local function print_counts()
  local names = {}
  for name in pairs(counts) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    print(("  %-24s %d"):format(name, counts[name]))
  end
end

local function main()
  print(("soak: %g s in %d epochs, %d clients, seed %d"):format(seconds, EPOCHS, CLIENTS, seed))
  local samples = {}
  for i = 1, EPOCHS do
    epoch(seconds / EPOCHS)
    local s = sample()
    samples[i] = s
    print(("epoch %2d: Lua %6.0f KB, resident %6d KB, %d descriptors, %d live tasks, %d failures")
      :format(i, s.lua, s.resident, s.descriptors, s.live, failures))
    io.flush()
  end
  print_counts()
  local ok = check_growth(samples, "lua", "KB", 0.05, 64)
  ok = check_growth(samples, "resident", "KB", 0.10, 2048) and ok
  ok = check_growth(samples, "descriptors", "", 0, 0) and ok
  for _, s in ipairs(samples) do
    ok = ok and s.live == 0
  end
  print(("tasks left over: %d; failures: %d"):format(samples[EPOCHS].live, failures))
  return ok and failures == 0 and counts.messages > 0
end

-- The library reports what crashes here; only the handlers that fail on purpose may.
local function log(level, message)
  if tostring(message):find(ON_PURPOSE, 1, true) then
    count("failed on purpose")
  else
    fail("reported by the library, " .. tostring(level), message)
  end
end

local ok = curio.run {main, log = log}
print(ok and "soak: passed" or "soak: FAILED")
os.exit(ok and 0 or 1)
