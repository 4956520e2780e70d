--- One server in several threads: what tcp_server does with option `workers`.
--
-- The listening sockets are made here, all on one port (SO_REUSEPORT), so that what can go wrong
-- goes wrong before any thread runs. Each moves to an async thread, with a copy of the handler, and
-- is served by a kernel there. To its kernel here such a thread is a task of a group; so the first
-- that fails ends the others, and a cancellation is passed on and waited for, with the grace that
-- the servers have. What they report is said here.

local core = require "curio.core"
local errors = require "curio.errors"
local group = require "curio.group"
local report = require "curio.report"
local thread = require "curio.thread"

local cluster = {}

--- Checks option `workers`.
---@param value integer|string
---@return integer? count  nil: it is neither a positive integer nor "auto"
function cluster.count(value)
  if value == "auto" then
    return core.worker.cores()
  end
  return math.type(value) == "integer" and value > 0 and value or nil
end

-- A server's context, as it is or of the options for one. Each thread makes its own, like this.
---@async
local function context_of(options)
  local ssl = require "curio.ssl"
  if require("curio.ssl.context").is(options) then
    return options
  end
  local all = { purpose = "server" }
  for key, value in pairs(options) do
    all[key] = value
  end
  return ssl.create_default_context(all)
end

-- In the thread. home: the module that has the server.
local function serve(face, home, reports, sock, handler, opts)
  local _ <close> = sock
  local curio = require(face)
  function curio.log(level, message)
    reports:try_put { level, message }
  end
  return curio.run(function()
    if opts.ssl then
      opts.ssl = require("curio.ssl.context").from_recipe(opts.ssl)
    end
    return require(home)._serve(sock, handler, opts)
  end)
end

---@async
local function repeat_reports(reports)
  for line in reports:iter() do
    report.log(line[1], line[2])
  end
end

local Sockets = {
  __close = function(list)
    for _, sock in ipairs(list) do
      sock:close()
    end
  end,
}

-- n sockets on one port, the first of which may choose it.
---@async
local function listen_all(list, n, listen)
  local addr
  for i = 1, n do
    local sock, err = listen(addr)
    if not sock then
      return nil, err
    end
    list[i] = sock
    addr = addr or sock:getsockname()
  end
  return addr
end

-- Of `total` the part of the i-th of n, which are as equal as can be.
local function share(total, i, n)
  return total and total // n + (i <= total % n and 1 or 0)
end

-- The end of all threads: their last reports have come.
local Ending = {
  __close = function(ending)
    for _, task in ipairs(ending) do
      thread._release(task)
    end
    ending.reports:close()
    core.disable_cancellation(ending.reporter.wait, ending.reporter)
  end,
}

---@async
local function run(home, list, handler, opts, recipe)
  local reports = require("curio.queue").UniversalQueue()
  local tasks <close> = setmetatable({
    reports = reports,
    reporter = core.spawn { repeat_reports, reports, daemon = true },
  }, Ending)
  local servers <close> = group.TaskGroup()
  for i, sock in ipairs(list) do
    local task = servers:spawn_thread {
      serve, "curio", home, reports, sock, handler,
      {
        grace = opts.grace,
        max_connections = share(opts.max_connections, i, #list),
        ssl = recipe,
        handshake_timeout = opts.handshake_timeout,
      },
      name = "server " .. i,
    }
    thread._wait_for(task)
    tasks[i] = task
  end
  servers:join()
end

--- Serves in n threads until cancelled.
---@async
---@param home string  the module whose function _serve(sock, handler, opts) serves one socket
---@param n integer
---@param listen fun(addr: table?): table?, table?  makes a listening socket, on that address
---@param handler function
---@param opts table  grace, max_connections, ready, ssl (a context, or options of one),
---handshake_timeout
---@return nil
---@return table err  why it could not listen
function cluster.run(home, n, listen, handler, opts)
  if opts.max_connections then
    n = math.min(n, opts.max_connections)
  end
  local recipe
  if opts.ssl then
    local made, why = context_of(opts.ssl)
    if not made then
      return nil, why
    end
    recipe = made:_recipe()
  end
  local list <close> = setmetatable({}, Sockets)
  local addr, err = listen_all(list, n, listen)
  if not addr then
    return nil, err
  end
  if opts.ready then
    opts.ready(addr)
  end
  local ok
  ok, err = pcall(run, home, list, handler, opts, recipe)
  if not ok and errors.is(err, errors.TaskError) and err.cause ~= nil then
    err = err.cause -- as from a server without threads
  end
  error(err, 0)
end

return cluster
