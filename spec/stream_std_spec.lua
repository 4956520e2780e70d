-- The process's own streams: what programs do with them, seen from outside. They are run by a
-- shell, on pipes, files, terminals (by script(1)), sockets, and nothing at all.

local helper = require "spec.helper"

-- Runs a shell line in which $run is this interpreter with a script; its output.
local function output_of(line, script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("local curio = require 'curio'\nlocal io_ = curio.io\ncurio.run(function()\n", script,
    "\nend)\n")
  file:close()
  local host = helper.interpreter()
  local pipe = assert(io.popen(("run=\"%s %s\"; { %s\n} 2>&1"):format(host, path, line)))
  local text = pipe:read "a"
  pipe:close()
  os.remove(path)
  return text
end

-- The flags of an open file that other processes have too; whether O_NONBLOCK is among them.
local MODES = [[
  local function nonblocking(fd)
    local flags = io.open("/proc/self/fdinfo/" .. fd):read("a"):match("flags:%s*(%d+)")
    return tonumber(flags, 8) & tonumber("4000", 8) ~= 0
  end
]]

describe("io.stdin", function()
  local ALL = [[io.write(#io_.stdin:readall(), "\n")]]

  it("reads a pipe, a file, nothing", function()
    assert.equal("300000\n", output_of("head -c 300000 /dev/zero | $run", ALL))
    assert.equal("0\n", output_of("$run </dev/null", ALL))
    local path = os.tmpname()
    assert(os.execute("head -c 300000 /dev/zero >" .. path))
    assert.equal("300000\n", output_of("$run <" .. path, ALL))
    os.remove(path)
  end)

  it("reads lines, while other tasks run", function()
    assert.equal("tick\nfirst\nsecond\nnil\n", output_of(
      "{ sleep 0.2; echo first; echo second; } | $run", [[
      curio.spawn(function() print "tick" end)
      print(io_.stdin:read())
      print(io_.stdin:read())
      print(io_.stdin:read())]]))
  end)

  it("at its end gives nil, again and again", function()
    assert.equal("nil\tnil\n\n", output_of("printf '' | $run", [[
      local stdin = io_.stdin
      print(stdin:read(), stdin:read())
      print(stdin:readall())]]))
  end)

  it("that was closed is an error that says so", function()
    assert.equal("nil\tOSError: read stdin: Bad file descriptor (EBADF)\n",
      output_of("$run <&-", [[print(io_.stdin:read())]]))
  end)

  it("goes on after Lua's own io.read", function()
    assert.equal("one\ttwo\tthree\n", output_of("printf 'one\\ntwo\\nthree\\n' | $run", [[
      local one = io.read()
      print(one, io_.stdin:read(), io_.stdin:read())]]))
  end)

  it("is the same object each time, and survives its timeouts", function()
    assert.equal("true\nnil\nlate\n", output_of("{ sleep 0.3; echo late; } | $run", [[
      print(rawequal(io_.stdin, io_.stdin))
      print(curio.ignore_after(0.01, io_.stdin.read, io_.stdin))
      print(io_.stdin:read())]]))
  end)

  it("leaves a shared pipe in blocking mode", function()
    local line = "{ echo line; sleep 0.2; echo rest; } | { $run; cat; }"
    assert.equal("line\nfalse\nrest\n", output_of(line, MODES .. [[
      print(io_.stdin:read())
      print(nonblocking(0))]]))
  end)

  it("reads a terminal, whose mode stays as it was", function()
    local out = output_of([[printf 'typed\n' | script -qec "stty -g; $run; stty -g" /dev/null]],
      MODES .. [[
      io_.stdout:write("got ", io_.stdin:read(), "\n")
      print(nonblocking(0), nonblocking(1))]])
    local lines = {}
    for line in out:gsub("\r", ""):gmatch "[^\n]+" do
      lines[#lines + 1] = line ~= "typed" and line or nil
    end
    assert.equal("got typed", lines[2])
    assert.equal("false\tfalse", lines[3])
    assert.equal(lines[1], lines[4])
  end)
end)

describe("io.stdout", function()
  it("writes to a pipe, a file, nothing, more than fits", function()
    local BIG = [[assert(io_.stdout:write(("x"):rep(1000000)))]]
    assert.equal("1000000\n", output_of("$run | { sleep 0.1; wc -c; }", BIG))
    assert.equal("", output_of("$run >/dev/null", BIG))
    local path = os.tmpname()
    assert.equal("1000000\n", output_of("$run >" .. path .. "; wc -c <" .. path, BIG))
    os.remove(path)
  end)

  it("keeps the order of what print writes", function()
    assert.equal("one\ntwo\nthree\n", output_of("$run", [[
      print "one"
      io_.stdout:write("two\n")
      print "three"]]))
  end)

  it("appends to a file that others append to", function()
    local path = os.tmpname()
    assert.equal("before\nours\nafter\n", output_of(
      ("{ echo before; $run; echo after; } >%s; cat %s; rm %s"):format(path, path, path),
      [[io_.stdout:write("ours\n")]]))
  end)

  it("leaves a shared pipe in blocking mode, and lets others run while it is full", function()
    -- What reads begins when the other task has had its turns, and has removed this file.
    local path = os.tmpname()
    local reader = ("while [ -e %s ]; do sleep 0.02; done; wc -c"):format(path)
    assert.equal("1000000\n", output_of("$run | { " .. reader .. "; }", [[
      curio.spawn(function()
        for _ = 1, 4 do
          curio.sleep(0.01)
        end
        os.remove "]] .. path .. [["
      end)
      io_.stdout:write(("x"):rep(1000000))]] .. MODES .. "assert(not nonblocking(1))"))
  end)

  it("gives EPIPE when nobody reads any more", function()
    assert.equal("EPIPE\n", output_of("{ $run 2>&3 | true; } 3>&1", [[
      local ok, err
      repeat
        ok, err = io_.stdout:write(("x"):rep(100000))
      until not ok
      io.stderr:write(err.code, "\n")]]))
  end)

  it("that was closed is an error that says so", function()
    assert.equal("nil\tOSError: write stdout: Bad file descriptor (EBADF)\n", output_of(
      "$run 3>&1 >&-", [[
      local result = table.pack(io_.stdout:write "x")
      local out = assert(io.open("/proc/self/fd/3", "w"))
      out:write(tostring(result[1]), "\t", tostring(result[2]), "\n")
      out:close()]]))
  end)
end)

describe("io.stderr", function()
  it("writes beside stdout", function()
    assert.equal("to stderr\n", output_of("$run >/dev/null", [[
      io_.stdout:write "to stdout\n"
      io_.stderr:write "to stderr\n"]]))
  end)

  it("has the number of what it stands for, and closing it leaves that open", function()
    assert.equal("0\t1\t2\nstill open\n", output_of("$run", [[
      print(io_.stdin:fileno(), io_.stdout:fileno(), io_.stderr:fileno())
      io_.stdout:close()
      print "still open"]]))
  end)
end)
