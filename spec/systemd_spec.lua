-- Socket activation and notification, as systemd does them: descriptors from 3 on, and a datagram
-- socket for what the program tells. The child is a process of its own.

local curio = require "curio"
local socket = require "curio.socket"
local subprocess = require "curio.subprocess"
local helper = require "spec.helper"
local sockets = require "spec.sockets"

local run = sockets.run

-- The program started with these variables by a shell that knows its process id, with descriptors
-- from 3 on; what it prints.
local function child(script, variables, fds)
  local path = os.tmpname()
  local _ <close> = helper.closing(function()
    os.remove(path)
  end)
  helper.write(path, script)
  local redirect, passed = "", {}
  for i, fd in ipairs(fds or {}) do
    if math.type(fd) then
      redirect = ("%s %d<&%d"):format(redirect, i + 2, fd)
      passed[#passed + 1] = fd
    else
      redirect = ("%s %d<%s"):format(redirect, i + 2, fd)
    end
  end
  local program = (os.getenv "CURIO_BUILD" or "build") .. "/bin/curio"
  local line = ([[
    exec %s
    export %s
    export LISTEN_PID=${MINE:-$$} WATCHDOG_PID=$$
    exec %s %s]]):format(redirect, variables, helper.quote(program), path)
  return subprocess.check_output { -- not sh: that knows descriptors up to 9 only
    "/bin/bash", "-c", line, pass_fds = passed, timeout = helper.PATIENCE,
  }
end

describe("curio.network.systemd_sockets", function()
  local SCRIPT = [[
    local network = require "curio.network"
    local list = assert(network.systemd_sockets())
    print(#list, list.web == list[1], list.admin == list[2], network.systemd_sockets() == list)
    for _, sock in ipairs(list) do
      local client <close> = assert(sock:accept())
      client:sendall("hello from " .. sock:getsockname().port)
    end
  ]]

  it("gives what systemd has opened, by number and by name", run(function()
    local one <close> = assert(curio.tcp_server_socket("127.0.0.1", 0))
    local two <close> = assert(curio.tcp_server_socket("127.0.0.1", 0))
    local heard = {}
    local group <close> = curio.TaskGroup()
    for i, sock in ipairs { one, two } do
      group:spawn(function()
        local addr = sock:getsockname()
        local client <close> = assert(socket.create_connection(addr.host, addr.port))
        heard[i] = client:recv()
      end)
    end
    local out = assert(child(SCRIPT, "LISTEN_FDS=2 LISTEN_FDNAMES=web:admin",
      { one:fileno(), two:fileno() }))
    group:join()
    assert.equal("2\ttrue\ttrue\ttrue\n", out)
    assert.equal("hello from " .. one:getsockname().port, heard[1])
    assert.equal("hello from " .. two:getsockname().port, heard[2])
  end))

  it("gives nothing where it is meant for another process, or nobody", run(function()
    local script = [[print(#assert(require("curio.network").systemd_sockets()))]]
    assert.equal("0\n", assert(child(script, "LISTEN_FDS=2 MINE=1")))
    assert.equal("0\n", assert(child(script, "A=1")))
  end))

  it("tells what is no socket", run(function()
    local script = [[print(select(2, require("curio.network").systemd_sockets()).code)]]
    assert.equal("ENOTSOCK\n", assert(child(script, "LISTEN_FDS=1", { "/dev/null" })))
  end))
end)

describe("curio.network.systemd", function()
  local systemd = require "curio.network.systemd"

  it("tells that the program is ready, and that it lives", run(function()
    local abstract = "\0" .. sockets.unused_path()
    for _, name in ipairs { sockets.unused_path(), abstract } do
      local sock <close> = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
      assert(sock:bind { name })
      local script = [[
        local systemd = require "curio.network.systemd"
        assert(systemd.notify "READY=1\nSTATUS=there" == true)
        systemd.watchdog()
      ]]
      local task = curio.spawn(child, script,
        ("NOTIFY_SOCKET='%s' WATCHDOG_USEC=1000"):format((name:gsub("%z", "@"))))
      local heard = {}
      for i = 1, 4 do
        heard[i] = assert(sock:recv())
      end
      task:cancel() -- ends the child
      assert.same({ "READY=1\nSTATUS=there", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1" }, heard)
      os.remove(name)
    end
  end))

  it("says when nobody asks", run(function()
    assert.is_false(systemd.notify "READY=1")
    assert.is_false(systemd.watchdog())
    assert.error_matches(function()
      systemd.notify(1)
    end, "the state must be a string, got number")
  end))
end)

-- Who is told, here: a socket of ours at NOTIFY_SOCKET. (The environment itself cannot be changed.)
describe("telling systemd", function()
  local systemd = require "curio.network.systemd"

  -- A socket where os.getenv says that it is, and what ends this.
  local function listener(variables)
    local path, real = sockets.unused_path(), os.getenv
    local sock = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    assert(sock:bind { path })
    rawset(os, "getenv", function(name)
      if name == "NOTIFY_SOCKET" then
        return path
      end
      return variables and variables[name] or real(name)
    end)
    return sock, helper.closing(function()
      rawset(os, "getenv", real)
      sock:close()
      os.remove(path)
    end)
  end

  -- Sends to it until nothing more goes in.
  local function fill(sock)
    local filler <close> = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    assert(filler:connect(sock:getsockname()))
    local task
    repeat
      task = helper.spawn(filler.send, filler, "before")
    until not task.terminated
    task:cancel()
  end

  -- What it receives next that is not of fill.
  local function heard(sock)
    local text
    repeat
      text = assert(sock:recv())
    until text ~= "before"
    return text
  end

  it("waits for room, and goes on when there is some", run(function()
    local sock, _ <close> = listener()
    fill(sock)
    local task = helper.spawn(systemd.notify, "STATUS=patient")
    assert.equal("WRITE_WAIT", task.state)
    assert.equal("STATUS=patient", heard(sock))
    assert.is_true(task:join())
  end))

  it("times out, or is cancelled, while it waits for room", run(function()
    local sock, _ <close> = listener()
    fill(sock)
    local fd = helper.lowest_fd()
    helper.can_be_interrupted("WRITE_WAIT", systemd.notify, "STATUS=impatient")
    helper.is_cancellation_point(systemd.notify, "STATUS=late")
    assert.equal(fd, helper.lowest_fd())
    local rest <close> = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    assert(rest:connect(sock:getsockname()))
    local task = curio.spawn(rest.send, rest, "last")
    assert.equal("last", heard(sock)) -- and nothing of what was given up
    task:join()
  end))

  it("is told when who listens goes away meanwhile", run(function()
    local sock, _ <close> = listener()
    fill(sock)
    local task = helper.spawn(systemd.notify, "STATUS=alone")
    assert.equal("WRITE_WAIT", task.state)
    sock:close()
    task:join()
    assert.is_nil(task.results[1])
    assert.is_true(curio.is(task.results[2], curio.OSError))
    sockets.is_os_error("ECONNREFUSED", "sendto", systemd.notify "STATUS=nobody")
  end))

  it("again and again ends by an outer deadline, or when cancelled", run(function()
    local sock, _ <close> = listener { WATCHDOG_USEC = "100000000" } -- each 50 s
    helper.can_be_interrupted("TIME_SLEEP", systemd.watchdog)
    helper.is_cancellation_point(systemd.watchdog)
    assert.equal("WATCHDOG=1", heard(sock))
    fill(sock)
    helper.can_be_interrupted("WRITE_WAIT", systemd.watchdog)
  end))

  it("again and again ends with an error when nobody listens any more", run(function()
    local sock, _ <close> = listener { WATCHDOG_USEC = "2000" } -- each millisecond
    local task = curio.spawn(systemd.watchdog)
    assert.equal("WATCHDOG=1", heard(sock))
    assert.equal("WATCHDOG=1", heard(sock))
    sock:close()
    task:join()
    assert.is_nil(task.results[1])
    assert.is_true(curio.is(task.results[2], curio.OSError))
  end))

  it("is not done without pause where the time is none", run(function()
    local _, _ <close> = listener { WATCHDOG_USEC = "0" }
    assert.is_false(systemd.watchdog())
  end))

  it("is not for another process's watchdog", run(function()
    local _, _ <close> = listener { WATCHDOG_USEC = "2000", WATCHDOG_PID = "1" }
    assert.is_false(systemd.watchdog())
  end))
end)
