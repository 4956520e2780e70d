-- The layering rule of ARCHITECTURE.md, read off the #includes and requires.

local helper = require "spec.helper"

local read = helper.read

local function list(pattern)
  local pipe = io.popen("ls " .. pattern .. " 2>/dev/null")
  local paths = {}
  for path in pipe:lines() do
    paths[#paths + 1] = path
  end
  pipe:close()
  return paths
end

-- "src/taskX.c" -> { "kernel.h", ... }
local function includes_of(path)
  local own, system = {}, {}
  for quote, name in ("\n" .. read(path)):gmatch('\n%s*#%s*include%s*([<"])([^>"]+)') do
    local into = quote == '"' and own or system
    into[#into + 1] = name
  end
  return own, system
end

local function without_comments(text)
  return (text:gsub("%-%-%[%[.-%]%]", ""):gsub("%-%-[^\n]*", ""))
end

-- "lua/curio/x.lua" -> the modules it requires, at once or inside a function.
local function requires_of(path)
  local found = {}
  for line in (without_comments(read(path)) .. "\n"):gmatch("([^\n]*)\n") do
    for name in line:gmatch("require%s*%(?%s*[\"']([%w_.]+)[\"']") do
      if name:sub(-1) ~= "." then -- a name put together
        found[#found + 1] = name
      end
    end
  end
  return found
end

-- A cycle in the graph node -> list of nodes, as text; nil if there is none.
local function cycle_in(graph)
  local state = {}
  local function visit(node, path)
    if state[node] == "done" or not graph[node] then
      return nil
    end
    path = path .. " -> " .. node
    if state[node] then
      return path
    end
    state[node] = "open"
    for _, to in ipairs(graph[node]) do
      local found = visit(to, path)
      if found then
        return found
      end
    end
    state[node] = "done"
  end
  for node in pairs(graph) do
    local found = visit(node, "")
    if found then
      return found
    end
  end
end

-- The C files that know Lua besides the bindings; all others are plain C.
local knows_lua = {
  ["kernel"] = true, ["task"] = true, ["block"] = true, ["lib"] = true, ["main"] = true,
}

local c_files = list("src/*.[ch]")
local lua_files = list("lua/curio/*.lua lua/curio/*/*.lua lua/curio/*/*/*.lua")

local function stem(path)
  return (path:match("([^/]+)%.[ch]$"))
end

local function is_binding(path)
  return stem(path):match("lib$") ~= nil
end

describe("the C sources", function()
  it("are found", function()
    assert.is_true(#c_files > 20)
  end)

  it("include only headers that exist", function()
    for _, path in ipairs(c_files) do
      for _, name in ipairs((includes_of(path))) do
        assert(io.open("src/" .. name), path .. " includes " .. name):close()
      end
    end
  end)

  it("do not know Lua where they are plain C", function()
    -- What includes kernel.h or task.h is not plain: these show lua_State.
    local lua_headers = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true }
    local reaches = {}
    local function reaches_lua(name, seen)
      local path = "src/" .. name
      if reaches[name] ~= nil or seen[name] then
        return reaches[name]
      end
      seen[name] = true
      local own, system = includes_of(path)
      local found = false
      for _, header in ipairs(system) do
        found = found or lua_headers[header] or false
      end
      for _, header in ipairs(own) do
        found = reaches_lua(header, seen) or found
      end
      reaches[name] = found
      return found
    end
    local plain = {
      "list.h", "heap.c", "heap.h", "clock.c", "clock.h", "poller.h", "poller_epoll.c",
      "poller_poll.c", "poller_kqueue.c", "wake.c", "wake.h", "loop.c", "loop.h", "errcode.c",
      "errcode.h", "addr.c", "addr.h", "net.c", "net.h", "tls.c", "tls.h", "tls_bio.c", "tls_bio.h",
      "tls_context.c", "tls_context.h", "tls_error.c", "tls_error.h", "tls_names.c", "tls_names.h",
      "tls_sessions.c", "tls_sessions.h", "tls_store.c", "tls_store.h", "ossl.c", "ossl.h",
      "pool.c", "pool.h", "resolve.c", "resolve.h", "fs.c", "fs.h", "proc.c", "proc.h",
      "universal.c", "universal.h", "msg.c", "msg.h", "mcast.c", "mcast.h", "scope.c", "scope.h",
      "alloc.c", "alloc.h", "scan.c", "scan.h", "fsjob.c", "fsjob.h", "disown.c", "sigtake.c",
      "sigtake.h", "buffer.c", "buffer.h", "fdio.c", "fdio.h", "splice.c", "splice.h", "thread.c",
      "thread.h", "nudge.c", "nudge.h",
      "frame.c", "frame.h", "waiter.c", "waiter.h", "universalqueue.c",
      "universalimpl.h", "pack.c", "pack.h", "message.c", "message.h", "seen.c", "seen.h",
    }
    for _, name in ipairs(plain) do
      local file = io.open("src/" .. name)
      if file then
        file:close()
        assert.is_false(reaches_lua(name, {}), name .. " knows Lua")
      end
    end
  end)

  it("do not use the API of Lua where they do not include it", function()
    for _, path in ipairs(c_files) do
      local _, system = includes_of(path)
      local text = read(path):gsub("/%*.-%*/", "")
      if text:match("%f[%w_]luaL_%w+%s*%(") then
        local own = table.concat((includes_of(path)), " ")
        local direct = table.concat(system, " "):match("lauxlib%.h")
        assert(direct or own:match("lib%.h"), path .. " uses lauxlib without including it")
      end
    end
  end)

  it("of the bindings do not include one another's sources", function()
    for _, path in ipairs(c_files) do
      for _, name in ipairs((includes_of(path))) do
        assert.is_nil(name:match("%.c$"), path .. " includes " .. name)
      end
    end
  end)

  it("below the bindings do not include their headers, lib.h aside", function()
    for _, path in ipairs(c_files) do
      if not is_binding(path) then
        for _, name in ipairs((includes_of(path))) do
          assert(name == "lib.h" or not name:match("lib%.h$"), path .. " includes " .. name)
        end
      end
    end
  end)

  it("in plain C do not include the kernel, tasks or lib.h", function()
    local upper = { ["kernel.h"] = true, ["task.h"] = true, ["block.h"] = true, ["lib.h"] = true,
      ["group.h"] = true, ["inspect.h"] = true, ["sig.h"] = true }
    local plain = {
      "heap", "clock", "poller_epoll", "poller_poll", "poller_kqueue", "wake", "loop", "errcode",
      "addr", "net", "msg", "mcast", "tls", "tls_bio", "tls_context", "tls_error", "tls_names",
      "tls_sessions", "tls_store", "ossl", "pool", "resolve", "scope", "alloc", "scan", "fs",
      "fsjob", "buffer", "fdio", "splice", "pack", "message", "seen", "waiter", "universal",
      "universalqueue", "thread", "nudge", "frame",
    }
    for _, name in ipairs(plain) do
      for _, header in ipairs((includes_of("src/" .. name .. ".c"))) do
        assert.is_nil(upper[header], name .. ".c includes " .. header)
      end
    end
  end)

  it("have no cycle among their headers", function()
    local graph = {}
    for _, path in ipairs(c_files) do
      if path:match("%.h$") then
        graph[path:match("[^/]+$")] = (includes_of(path))
      end
    end
    assert.is_nil(cycle_in(graph))
  end)

  it("that show lua_State say so by including lua.h, directly or by a header", function()
    for name in pairs(knows_lua) do
      local path = io.open("src/" .. name .. ".c") and "src/" .. name .. ".c"
        or "src/" .. name .. ".h"
      assert.is_true(#includes_of(path) > 0 or #select(2, includes_of(path)) > 0)
    end
  end)

  it("stay below 600 lines", function()
    for _, path in ipairs(c_files) do
      local _, lines = read(path):gsub("\n", "\n")
      assert(lines <= 600, path .. " has " .. lines .. " lines")
    end
  end)
end)

it("no Lua file and no spec has 600 lines or more", function()
  local found = helper.output_of "find lua spec examples bench tools types -name '*.lua'"
  for path in found:gmatch "%S+" do
    local _, lines = read(path):gsub("\n", "\n")
    assert(lines < 600, path .. " has " .. lines .. " lines")
  end
end)

describe("the Lua modules", function()
  local layers = {
    ["curio.core"] = 0, ["curio.errors"] = 1, ["curio.report"] = 1, ["curio.traps"] = 1,
    ["curio.sched"] = 1, ["curio.time"] = 1, ["curio.task"] = 1, ["curio.meta"] = 1,
    ["curio.group"] = 2, ["curio.sync"] = 2, ["curio.queue"] = 2, ["curio.socket"] = 2,
    ["curio.ssl.context"] = 2, ["curio.ssl.connection"] = 2, ["curio.ssl.tunnel"] = 2,
    ["curio.ssl.plain"] = 2, ["curio.ssl"] = 2, ["curio.ssl.attach"] = 3, ["curio.signal"] = 2,
    ["curio.io"] = 2,
    ["curio.file"] = 2, ["curio.network"] = 3, ["curio.subprocess"] = 3, ["curio.thread"] = 2,
    ["curio.workers"] = 3, ["curio.network.cluster"] = 2, ["curio.workers.process"] = 3,
    ["curio.channel"] = 4, ["curio.channel.connection"] = 3, ["curio.monitor"] = 3,
    ["curio.debug"] = 3, ["curio.subprocess.order"] = 2, ["curio.subprocess.talk"] = 3,
    ["curio.network.systemd"] = 3, ["curio.interop.luasocket"] = 4,
    ["curio.interop.luasocket.limits"] = 2,
    ["curio.interop.luasocket.except"] = 2, ["curio.interop.luasocket.dns"] = 3,
    ["curio.interop.luasocket.options"] = 3, ["curio.interop.luasocket.object"] = 3,
    ["curio.interop.luasocket.tcp"] = 3, ["curio.interop.luasocket.udp"] = 3,
    ["curio.interop.luv"] = 2,
    ["curio.interop.cqueues"] = 4,
    ["curio.interop.cqueues.made"] = 3, ["curio.interop.cqueues.unwind"] = 3,
    ["curio.interop.luasocket.select"] = 3, ["curio.interop.luasocket.stream"] = 3,
    ["curio.interop.luasocket.datagram"] = 3, ["curio.interop.luasocket.unix"] = 3,
    ["curio.interop.luasec"] = 4, ["curio.interop.luasec.connection"] = 3,
    ["curio.kernel"] = 4, ["curio.testing"] = 4, ["curio.program"] = 4, ["curio"] = 5,
    ["curio.program.repl"] = 5,
  }

  local function module_of(path)
    local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", ".")
    return (name:gsub("%.init$", ""))
  end

  -- What bridges require of others, when they are used.
  local foreign = {
    ["cqueues"] = true, ["cqueues.condition"] = true, ["cqueues.socket"] = true, ["luv"] = true,
    ["ssl"] = true,
  }

  it("require only what exists", function()
    local there = setmetatable({ ["curio.core"] = true }, { __index = foreign })
    for _, path in ipairs(lua_files) do
      there[module_of(path)] = true
    end
    for _, path in ipairs(lua_files) do
      for _, required in ipairs(requires_of(path)) do
        assert(there[required], path .. " requires " .. required)
      end
    end
  end)

  it("require downward only", function()
    local upward = {}
    for _, path in ipairs(lua_files) do
      local name = module_of(path)
      for _, required in ipairs(requires_of(path)) do
        local from, to = layers[name], layers[required]
        if from and to and to > from then
          upward[#upward + 1] = name .. " requires " .. required
        end
      end
    end
    assert.same({}, upward)
  end)

  it("have no cycle", function()
    local graph = {}
    for _, path in ipairs(lua_files) do
      local to = {}
      for _, required in ipairs(requires_of(path)) do
        to[#to + 1] = required
      end
      graph[module_of(path)] = to
    end
    assert.is_nil(cycle_in(graph))
  end)

  it("do not require the kernel, who is nobody's business", function()
    local found = {}
    for _, path in ipairs(lua_files) do
      local name = module_of(path)
      for _, required in ipairs(requires_of(path)) do
        if layers[name] < layers["curio.kernel"] and required == "curio.kernel" then
          found[#found + 1] = name
        end
      end
    end
    assert.same({}, found)
  end)

  it("can each be required alone, by a fresh interpreter", function()
    local first = 0
    while arg[first - 1] do
      first = first - 1
    end
    for _, path in ipairs(lua_files) do
      local name = module_of(path)
      if name ~= "curio.program" then
        local command = "LUA_PATH='%s' LUA_CPATH='%s' '%s' -e 'print(type(require [[%s]]))' 2>&1"
        local pipe = io.popen(command:format(package.path, package.cpath, arg[first], name))
        assert.equal("table\n", pipe:read("a"), name)
        pipe:close()
      end
    end
  end)

  it("leave no globals behind", function()
    local before = {}
    for key in pairs(_G) do
      before[key] = true
    end
    for _, path in ipairs(lua_files) do
      local name = module_of(path)
      if name ~= "curio.program" then
        require(name)
      end
    end
    for key in pairs(_G) do
      assert(before[key], "a global " .. tostring(key) .. " was made")
    end
  end)
end)

describe("the face", function()
  local curio = require "curio"

  it("has every public name of the first slice", function()
    local names = [[run Kernel spawn sleep clock timeout_after ignore_after current_task schedule
      disable_cancellation check_cancellation set_cancellation TaskGroup Event Result Lock RLock
      Semaphore BoundedSemaphore Condition Queue LifoQueue PriorityQueue tcp_server unix_server
      open_connection open_unix_connection run_server tcp_server_socket unix_server_socket
      is pcall xpcall group started Local log aopen]]
    for name in names:gmatch("%S+") do
      assert(curio[name] ~= nil, "curio." .. name .. " is missing")
    end
  end)

  it("lists no name that its module does not have", function()
    local text = without_comments(read("lua/curio/init.lua"))
    local homes = text:match("local homes = (%b{})")
    assert.is_string(homes)
    for module, names in homes:gmatch("(%w+) = (%b{})") do
      for name in names:gmatch('"([%w_]+)"') do
        assert(require("curio." .. module)[name] ~= nil, "curio." .. module .. " has no " .. name)
        assert(curio[name] ~= nil, "curio." .. name .. " is missing")
      end
    end
  end)

  it("misses no name that curio 1.6 exports from these modules", function()
    local homes = { kernel = { "run", "Kernel" }, time = { "clock" } }
    for module, names in pairs(homes) do
      for _, name in ipairs(names) do
        assert.equal(require("curio." .. module)[name], curio[name])
      end
    end
  end)

  it("gives the modules too, and nil for what it does not know", function()
    local names = "errors task time sync queue io socket ssl network file subprocess signal thread"
      .. " workers channel monitor debug meta traps sched testing"
    for name in names:gmatch "%a+" do
      assert.equal(require("curio." .. name), curio[name])
    end
    assert.is_nil(curio.no_such_name)
    assert.is_nil(curio[5])
  end)

  it("loads modules only when they are used", function()
    local first = 0
    while arg[first - 1] do
      first = first - 1
    end
    local script = "require [[curio]]; for _, n in ipairs { [[network]], [[queue]], [[sync]],"
      .. " [[group]], [[socket]] } do print(package.loaded[ [[curio.]] .. n ]) end"
    local pipe = io.popen(("LUA_PATH='%s' LUA_CPATH='%s' '%s' -e '%s' 2>&1")
      :format(package.path, package.cpath, arg[first], script))
    assert.equal(("nil\n"):rep(5), pipe:read("a"))
    pipe:close()
  end)
end)
