-- peers.lua: what can be measured here: the baseline, curio, and the programs of peers/ for other
-- runtimes, as far as these are installed. Those that are not are named, once; nothing needs them.

local process = require "process"

local peers = {}

local build, here -- the directories of what is built, and of this

local ROUNDS = 3 -- of runs at most

local said = {}

local function leave_out(name, why)
  if not said[name] then
    said[name] = true
    print(("%s: %s; its rows are left out"):format(name, why))
  end
end

-- The path of a program of peers/ that is built from Go.
local function from_go(name)
  if not process.exists "go" then
    return leave_out("go", "there is no go here")
  end
  local path = ("%s/bench/%s"):format(build, name)
  local text, ok = process.capture(("go build -o %s %s/peers/%s.go 2>&1"):format(path, here, name))
  return ok and path or leave_out("go", "cannot build " .. name .. ".go: " .. text)
end

local function from_node(name)
  if not process.exists "node" then
    return leave_out("node", "there is no node here")
  end
  return ("node %s/peers/%s.js"):format(here, name)
end

-- A Lua module is a peer if lua5.4 has it.
local function from_lua(module)
  if not select(2, process.capture(("lua5.4 -e 'require %q' 2>&1"):format(module))) then
    return leave_out(module, "not installed for lua5.4")
  end
  return ("lua5.4 %s/peers/echo_%s.lua"):format(here, module)
end

-- The first Python that has the module: the system's may have what another on the path has not.
local function from_python(module)
  for _, python in ipairs {"python3", "/usr/bin/python3"} do
    if select(2, process.capture(("%s -c 'import %s' 2>&1"):format(python, module))) then
      return ("%s %s/peers/echo_asyncio.py %s"):format(python, here, module)
    end
  end
  return leave_out(module, "no Python has it")
end

local function add(list, name, command)
  if command then
    list[#list + 1] = {name = name, command = command, peer = true, rounds = ROUNDS}
  end
end

function peers.init(build_directory, bench_directory)
  build, here = build_directory, bench_directory
end

-- Echo servers, the C baseline first, then curio.
function peers.echo(with_peers)
  local list, c, curio = {}, build .. "/bench/echo_server", build .. "/bin/curio"
  assert(process.exists(c) and process.exists(curio), "build first: make bench")
  list[1] = {name = "C epoll", command = c}
  list[2] = {name = "curio", command = ("%s %s/echo.lua"):format(curio, here)}
  list[3] = {name = "bare Lua", command = build .. "/bench/echo_bare", peer = true}
  if with_peers then
    add(list, "Go", from_go "echo_go")
    add(list, "node", from_node "echo_node")
    add(list, "luv", from_lua "luv")
    add(list, "cqueues", from_lua "cqueues")
    add(list, "uvloop", from_python "uvloop")
    add(list, "asyncio", from_python "asyncio")
  end
  return list
end

-- Others that echo by TLS; they are given the files of a certificate and its key.
function peers.tls_peers(files)
  local list = {}
  for _, peer in ipairs {{"Go", from_go "tls_go"}, {"node", from_node "tls_node"},
    {"uvloop", from_python "uvloop"}, {"asyncio", from_python "asyncio"}} do
    add(list, peer[1], peer[2] and peer[2] .. " " .. files)
  end
  return list
end

-- What starts children by Go's os/exec; nil without Go.
function peers.spawn_peer()
  return from_go "spawn_go"
end

return peers
