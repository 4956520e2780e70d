-- curio.subprocess: starting a child, what it is given, what it ends with.

local curio = require "curio"
local helper = require "spec.helper"
local signal = require "curio.signal"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"
local testing = require "curio.testing"

local it, own = testing.it(it), testing.it(helper.under_valgrind and pending or it)
local Popen, PIPE, STDOUT, DEVNULL = subprocess.Popen, subprocess.PIPE, subprocess.STDOUT,
  subprocess.DEVNULL

-- What a shell script prints, run with these options.
local function sh(script, opts)
  local t = { "/bin/sh", "-c", script, stdout = PIPE }
  for name, value in pairs(opts or {}) do
    t[name] = value
  end
  return assert(subprocess.run(t)).stdout
end

local function fails(op, code, subject, t)
  local process, err = Popen(t)
  assert.is_nil(process)
  assert.is_true(curio.is(err, curio.OSError), tostring(err))
  assert.same({ op, code, subject }, { err.op, err.code, err.subject })
  assert.matches(code, tostring(err))
end

local function refuses(pattern, fn, t)
  local ok, err = pcall(fn, t)
  assert.is_false(ok)
  assert.matches(pattern, tostring(err))
end

-- A file with this text that is gone when the block ends.
local function file_of(text, mode)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  assert(os.execute(("chmod %s %s"):format(mode or "600", path)))
  return path, helper.closing(function()
    os.remove(path)
  end)
end

describe("Popen", function()
  it("starts a program, whose end can be waited for", function()
    local process = assert(Popen { "sh", "-c", "exit 7" })
    assert.is_true(math.type(process.pid) == "integer")
    assert.equal(7, process:wait())
    assert.equal(7, process.returncode)
    assert.equal(7, process:wait())
    assert.equal(7, process:poll())
    assert.same({ "sh", "-c", "exit 7" }, process.args)
  end)

  it("tells the signal that ended it as a negative returncode", function()
    local process = assert(Popen { "sleep", 100 })
    assert.is_nil(process:poll())
    assert.is_nil(process.returncode)
    assert.is_true(process:kill())
    assert.equal(-9, process:wait())
    assert.is_false(process:kill())
    assert.is_false(process:send_signal(signal.SIGTERM))
    assert.is_false(process:terminate())
    assert.equal(-9, process:terminate(1))
  end)

  it("says how it is", function()
    local process <close> = assert(Popen { "cat", stdin = PIPE })
    assert.equal(("Popen(cat, pid %d, running)"):format(process.pid), tostring(process))
    process.stdin:close()
    process:wait()
    assert.equal(("Popen(cat, pid %d, ended with 0)"):format(process.pid), tostring(process))
  end)

  it("returns what the system refuses, with what failed and why", function()
    fails("exec", "ENOENT", "no-such-program", { "no-such-program" })
    fails("exec", "ENOENT", "/no/such/program", { "/no/such/program" })
    fails("exec", "EACCES", "/etc/passwd", { "/etc/passwd" })
    fails("exec", "ENOTDIR", "/etc/passwd/x", { "/etc/passwd/x" })
    fails("exec", "EACCES", "/", { "/" })
    fails("exec", "ENOENT", "", { "" })
    fails("chdir", "ENOENT", "/no/such/place", { "true", cwd = "/no/such/place" })
    fails("chdir", "ENOTDIR", "/etc/passwd", { "true", cwd = "/etc/passwd" })
  end)

  own("returns it when it is found late, too", function()
    fails("exec", "E2BIG", "true", { "true", ("x"):rep(8 * 1024 * 1024) })
    local path, _ <close> = file_of("no program\n", "755")
    fails("exec", "ENOEXEC", path, { path })
  end)

  it("counts a file that may not be run more than places where there is none", function()
    local path, _ <close> = file_of("no program\n")
    local dir, name = path:match "^(.*)/([^/]*)$"
    fails("exec", "EACCES", name, { name, env = { PATH = "/no/such/place:" .. dir .. ":/bin" } })
  end)

  it("leaves nothing behind when it fails", function()
    for _ = 1, 50 do
      fails("exec", "ENOENT", "nowhere", { "nowhere", stdin = PIPE, stdout = PIPE, stderr = PIPE })
    end
    fails("exec", "ENOENT", "nowhere", { "nowhere", pty = true })
  end)

  it("refuses what makes no sense", function()
    refuses("Popen: a table with the program", Popen, "ls")
    refuses("Popen: no program is named", Popen, {})
    refuses("Popen: argument 2 is nil", Popen, { "ls", nil, "x" })
    refuses("Popen: argument 2 must be a string, got table", Popen, { "ls", {} })
    refuses("Popen: argument 1 has a zero byte", Popen, { "l\0s" })
    refuses("Popen: unknown option 'foo' %(known: stdin, stdout", Popen, { "ls", foo = 1 })
    refuses("option 'stdin' must be PIPE", Popen, { "ls", stdin = true })
    refuses("option 'stdout' must be PIPE", Popen, { "ls", stdout = STDOUT })
    refuses("option 'cwd' must be a path", Popen, { "ls", cwd = 1 })
    refuses("option 'shell' must be true or false", Popen, { "ls", shell = 1 })
    refuses("option 'umask' must be an integer", Popen, { "ls", umask = 512 })
    refuses("no variable of the environment can be called a=b", Popen,
      { "ls", env = { ["a=b"] = "c" } })
    refuses("the variable A must be a string", Popen, { "ls", env = { A = {} } })
    refuses("unknown limit foo %(known: as, core", Popen, { "ls", rlimits = { foo = 1 } })
    refuses("option 'rlimits' must be", Popen, { "ls", rlimits = { cpu = -1 } })
    refuses("option 'pass_fds' must be", Popen, { "ls", pass_fds = 3 })
    refuses("option 'user' must be a name or a number", Popen, { "ls", user = -1 })
    refuses("subprocess_spec.lua", Popen, { "ls", foo = 1 }) -- with the place
    local process <close> = assert(Popen { "true" })
    refuses("a signal's number is expected", process.send_signal, process)
    refuses("a number of seconds is expected", function()
      process:terminate "x"
    end)
    refuses("leads a group", function()
      process:kill { group = true }
    end)
  end)
end)

describe("numbers", function()
  it("beyond what the system takes are refused, not cut to size", function()
    for option, big in pairs { user = 1 << 33, group = (1 << 32) - 1, stdin = 1 << 32 } do
      refuses("'" .. option .. "'", Popen, { "true", [option] = big })
    end
  end)

  it("may be floats, where they are whole", function()
    assert.equal("9\n2000\n", sh("ulimit -t; ulimit -f", {
      rlimits = { cpu = 9.0, fsize = 1024e3 },
    }))
    assert.equal("0022\n", sh("umask", { umask = 18.0 }))
    refuses("'rlimits'", Popen, { "true", rlimits = { cpu = 0.5 } })
  end)
end)

describe("a child is given", function()
  it("its working directory", function()
    assert.equal("/\n", sh("pwd", { cwd = "/" }))
  end)

  it("its environment, instead of ours", function()
    local found = sh("/usr/bin/env", { env = { A = "1", B = 2 } })
    local lines = {}
    for line in found:gmatch "[^\n]+" do
      lines[line] = true
    end
    assert.is_true(lines["A=1"] and lines["B=2"])
    assert.is_nil(found:find("HOME=", 1, true))
    assert.equal("", assert(subprocess.check_output { "env", env = {} }))
  end)

  it("the search path of its environment", function()
    local path, _ <close> = file_of("#!/bin/sh\necho found\n", "755")
    local dir, name = path:match "^(.*)/([^/]*)$"
    assert.equal("found\n", assert(subprocess.check_output { name, env = { PATH = dir } }))
  end)

  it("its umask", function()
    assert.equal("0027\n", sh("umask", { umask = 23 }))
  end)

  own("its limits", function()
    assert.equal("50\n60\n", sh("ulimit -Sn; ulimit -Hn", { rlimits = { nofile = { 50, 60 } } }))
    assert.equal("0\n", sh("ulimit -Hc", { rlimits = { core = 0 } }))
  end)

  it("a session of its own, where asked", function()
    local ours = sh "ps -o sid= -p $$" -- a child's, as ours
    local pid, sid = sh("echo $$; cut -d ' ' -f 6 /proc/$$/stat", { start_new_session = true })
      :match "(%d+)\n(%d+)\n"
    assert.equal(pid, sid)
    assert.is_not.equal(tonumber(ours), tonumber(sid))
  end)

  it("another user's identity, where that is permitted", function()
    if sh "id -u" ~= "0\n" then
      return fails("setuid", "EPERM", "true", { "true", user = 0 })
    end
    assert.equal("65534 65534 65534\n", sh("echo $(id -u) $(id -g) $(id -G)", { user = "nobody" }))
    assert.equal("0 65534\n", sh("echo $(id -u) $(id -g)", { group = 65534 }))
    fails("exec", "ENOENT", "/no/such/program", { "/no/such/program", user = "nobody" })
    local process, err = Popen { "true", user = "no such user" }
    assert.is_nil(process)
    assert.equal("ENOENT", err.code)
  end)

  it("a shell, where asked", function()
    assert.equal("a b\n", assert(subprocess.check_output { "echo $1 $2", "sh", "a", "b",
      shell = true }))
  end)

  it("all signals unblocked, with their default actions", function()
    local _ <close> = signal.ignore(signal.SIGUSR1)
    local queue <close> = assert(signal.SignalQueue(signal.SIGUSR2, signal.SIGPIPE))
    local status = assert(subprocess.check_output { "cat", "/proc/self/status" })
    for _, field in ipairs { "SigBlk", "SigCgt" } do
      assert.equal(0, tonumber(status:match(field .. ":%s*(%x+)"), 16), field)
    end
    local ignored = tonumber(status:match "SigIgn:%s*(%x+)", 16)
    assert.equal(0, ignored & 1 << signal.SIGUSR1 - 1)
    assert.equal(0, ignored & 1 << signal.SIGPIPE - 1)
    assert.is_truthy(queue)
  end)

  it("no descriptors but the first three", function()
    local a, b, _ <close> = sockets.pair()
    local file <close> = assert(io.open "/dev/null") -- the C library does not close these on exec
    assert.equal("0\n1\n2\n", sh("for n in 0 1 2 3 4 5 6 7 8 9; do "
      .. "[ ! -e /proc/$$/fd/$n ] || echo $n; done", { stdin = DEVNULL }))
    assert.is_truthy(a and b and file)
  end)

  it("further descriptors, where asked, under their numbers", function()
    local path, _ <close> = file_of "text\n"
    local file <close> = assert(io.open(path))
    local a, b, _ <close> = sockets.pair()
    local fd = a:fileno()
    local out = sh(("[ -e /proc/$$/fd/%d ] && echo here; [ -e /proc/$$/fd/%d ] || echo not"):format(
      fd, b:fileno()), { pass_fds = { a, file, fd } })
    assert.equal("here\nnot\n", out)
    fails("pass_fds", "EBADF", "true", { "true", pass_fds = { 999 } })
  end)
end)

describe("stdin, stdout and stderr", function()
  it("can be pipes", function()
    local process <close> = assert(Popen { "sh", "-c", "read x; echo out $x; echo err >&2",
      stdin = PIPE, stdout = PIPE, stderr = PIPE })
    assert(process.stdin:write "in\n")
    assert.equal("out in", process.stdout:read "l")
    assert.equal("err", process.stderr:read "l")
    assert.is_nil(process.stdout:read "l")
  end)

  it("can be nothing", function()
    assert.equal("", sh("cat", { stdin = DEVNULL }))
    assert.equal(0, assert(subprocess.run { "echo", "x", stdout = DEVNULL }).returncode)
  end)

  it("can be one", function()
    assert.equal("out\nerr\n", sh("echo out; echo err >&2", { stderr = STDOUT }))
  end)

  it("can be Lua's files, which are written out first", function()
    local file <close> = assert(io.tmpfile())
    file:write "before\n"
    assert.equal(0, assert(subprocess.run { "echo", "after", stdout = file }).returncode)
    file:seek "set"
    assert.equal("before\nafter\n", file:read "a")
  end)

  it("can be descriptors and sockets, which are made blocking for it", function()
    local a, b, _ <close> = sockets.pair()
    local process <close> = assert(Popen { "cat", stdin = b, stdout = b:fileno() })
    b:close()
    assert(a:sendall "through")
    assert.equal("through", a:recv(100))
    a:shutdown "wr"
    assert.equal(0, process:wait())
  end)

  it("can be the pipe of another child", function()
    local first <close> = assert(Popen { "echo", "hello", stdout = PIPE })
    local second <close> = assert(Popen { "tr", "a-z", "A-Z", stdin = first.stdout, stdout = PIPE })
    first.stdout:close()
    assert.equal("HELLO\n", second:communicate())
  end)

  it("must not be closed", function()
    local a, b, _ <close> = sockets.pair()
    a:close()
    local process, err = Popen { "cat", stdin = a }
    assert.is_nil(process)
    assert.is_true(curio.is(err, curio.ClosedError))
    assert.is_truthy(b)
  end)
end)

describe("what is no stream", function()
  it("is refused, other than a closed one", function()
    refuses("'stdin'", Popen, { "true", stdin = {} })
    refuses("'pass_fds'", Popen, { "true", pass_fds = { {} } })
    local file = assert(io.open "/dev/null")
    file:close()
    local process, err = Popen { "true", pass_fds = { file } }
    assert.is_nil(process)
    assert.is_true(curio.is(err, curio.ClosedError))
  end)
end)

describe("a terminal", function()
  it("is the child's stdin, stdout and stderr, and its controlling one", function()
    local process <close> = assert(Popen { "sh", "-c",
      "test -t 0 && test -t 1 && test -t 2 && stty size && echo hi >/dev/tty; read x; echo got $x",
      pty = true })
    assert.equal(process.stdin, process.stdout)
    assert.equal("24 80", (process.stdout:read "l":gsub("\r", "")))
    assert.equal("hi", (process.stdout:read "l":gsub("\r", "")))
    assert(process.stdin:write "you\n")
    assert.equal("you", (process.stdout:read "l":gsub("\r", ""))) -- the echo
    assert.equal("got you", (process.stdout:read "l":gsub("\r", "")))
    assert.is_nil(process.stdout:read "l")
  end)

  it("leaves room for pipes", function()
    local process <close> = assert(Popen { "sh", "-c", "test -t 0 && echo yes", pty = true,
      stdout = PIPE })
    assert.equal("yes", process.stdout:read "l")
  end)

  it("is of no use where all three are given", function()
    refuses("option 'pty' is of no use", Popen, { "true", pty = true, stdin = DEVNULL,
      stdout = DEVNULL, stderr = DEVNULL })
  end)
end)
