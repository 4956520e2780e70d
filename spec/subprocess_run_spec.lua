-- curio.subprocess: talking to a child through both pipes, running it to its end, giving it up.

local curio = require "curio"
local helper = require "spec.helper"
local signal = require "curio.signal"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"
local testing = require "curio.testing"

local it = testing.it(it)
local Popen, PIPE = subprocess.Popen, subprocess.PIPE
local raises = sockets.raises

local function is_alive(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then
    return false
  end
  local _ <close> = file
  return not file:read("a"):find(") Z ", 1, true)
end

local function until_gone(pid)
  while is_alive(pid) do
    curio.sleep(0.005)
  end
end

-- Writes to both pipes, then says who holds them, and sleeps.
local HOLDERS = "echo out; echo err >&2; sleep 100 & echo $!; wait"

describe("communicate", function()
  it("gives the input and collects both outputs", function()
    local process = assert(Popen { "sh", "-c", "cat; echo err >&2; exit 3",
      stdin = PIPE, stdout = PIPE, stderr = PIPE })
    local out, err = process:communicate "text"
    assert.same({ "text", "err\n", 3 }, { out, err, process.returncode })
  end)

  it("moves more than the pipes hold, both ways at once", function()
    local text = ("0123456789abcdef"):rep(256 * 1024)
    local process = assert(Popen { "cat", stdin = PIPE, stdout = PIPE })
    assert.is_true(process:communicate(text) == text)
  end)

  it("takes the input in pieces, and hands on the output in pieces", function()
    local process = assert(Popen { "cat", stdin = PIPE, stdout = PIPE })
    local sent, got = 0, 0
    local function source()
      if sent < 1024 then
        sent = sent + 1
        return ("x"):rep(1024)
      end
    end
    local out, err = process:communicate(source, { stdout = function(chunk)
      got = got + #chunk
    end })
    assert.same({ 1024 * 1024, 0 }, { got, process.returncode })
    assert.is_nil(out)
    assert.is_nil(err)
  end)

  it("does not mind a child that leaves its input unread", function()
    local process = assert(Popen { "true", stdin = PIPE, stdout = PIPE })
    assert.equal("", process:communicate(("x"):rep(1024 * 1024)))
    assert.equal(0, process.returncode)
  end)

  it("only waits where there are no pipes", function()
    local process = assert(Popen { "true" })
    local out, err = process:communicate()
    assert.is_nil(out)
    assert.is_nil(err)
    assert.equal(0, process.returncode)
  end)

  it("refuses what it cannot give", function()
    local process <close> = assert(Popen { "true", stdout = PIPE })
    assert.matches("no pipe to the child", select(2, pcall(process.communicate, process, "x")))
    assert.matches("must be a string, or a function",
      select(2, pcall(process.communicate, process, 1)))
    assert.matches("known: stdout, stderr",
      select(2, pcall(process.communicate, process, nil, { x = 1 })))
  end)

  it("raises what a sink raises, and ends no child", function()
    local process = assert(Popen { "sh", "-c", "echo x; exec sleep 100", stdout = PIPE })
    local failure = {}
    local ok, err = pcall(process.communicate, process, nil, { stdout = function()
      error(failure)
    end })
    assert.is_false(ok)
    assert.equal(failure, err)
    assert.is_nil(process:poll())
    process.stdout:close()
    process:kill()
    process:wait()
  end)

  it("timing out leaves the child running, and another one goes on", function()
    local process = assert(Popen { "sh", "-c", "cat; echo end", stdin = PIPE, stdout = PIPE })
    local function slowly()
      local n = 0
      return function()
        n = n + 1
        if n == 2 then
          curio.sleep(helper.LONG)
        end
        return n < 3 and "first\n" or nil
      end
    end
    local err = raises(curio.TaskTimeout, curio.timeout_after, 0.2 * helper.SLOW,
      process.communicate, process, slowly())
    assert.equal("first\n", err.stdout)
    assert.is_nil(process:poll())
    assert.equal("first\nend\n", process:communicate())
    assert.equal(0, process.returncode)
  end)

  it("cancelled leaves the child running and tells what it has read", function()
    local process = assert(Popen { "sh", "-c", "echo out; echo err >&2; exec sleep 100",
      stdout = PIPE, stderr = PIPE })
    local task = curio.spawn(process.communicate, process)
    while not (process._got.stdout and process._got.stdout[1] and process._got.stderr[1]) do
      curio.sleep(0.005)
    end
    task:cancel()
    assert.same({ "out\n", "err\n" }, { task.exception.stdout, task.exception.stderr })
    assert.is_nil(process:poll())
    local _ <close> = process
    process:kill()
  end)

  it("ends with the child's pipes closed under it", function()
    local process = assert(Popen { "sleep", 100, stdout = PIPE })
    local task = helper.started(process.communicate, process)
    curio.sleep(0)
    process.stdout:close()
    process:kill()
    task:join()
    sockets.is_closed_error(task.results[1], task.results[2])
  end)

  it("does not wait for those to whom the child left its pipes, once they are silent", function()
    local process = assert(Popen { "sh", "-c", "sleep 100 & echo $!", stdout = PIPE })
    local pid = tonumber((process:communicate()))
    assert.equal(0, process.returncode)
    assert.is_true(is_alive(pid))
    process.stdout:close()
    assert(subprocess.run { "kill", pid })
  end)

  it("waits for them as long as they write", function()
    local process <close> = assert(Popen { "sh", "-c",
      "(for i in 1 2 3; do sleep 0.1; echo $i; done) &", stdout = PIPE })
    assert.equal("1\n2\n3\n", process:communicate())
  end)

  it("speaks with a terminal", function()
    local process = assert(Popen { "sh", "-c", "stty -echo; cat", pty = true })
    curio.sleep(0.1)
    assert.matches("hello\r\n", process:communicate "hello\n")
    assert.equal(0, process.returncode)
  end)
end)

describe("a terminal for some of a child's streams", function()
  it("is not hung up while the child runs", function()
    local result = assert(subprocess.run { "sh", "-c", "sleep 0.05; tty <&0 >/dev/null && echo yes",
      pty = true, stdout = PIPE })
    assert.same({ "yes\n", 0 }, { result.stdout, result.returncode })
  end)

  it("is stderr's stream where stdout has one of its own", function()
    local result = assert(subprocess.run { "sh", "-c", "seq 5000 >&2; echo out", pty = true,
      stdout = PIPE, timeout = helper.LONG })
    assert.equal("out\n", result.stdout)
    assert.matches("\n5000\r\n$", result.stderr)
    local process = assert(Popen { "sh", "-c", "cat; echo err >&2", pty = true, stdin = PIPE,
      stdout = PIPE })
    assert.same({ "text", "err\r\n" }, { process:communicate "text" })
  end)

  it("ends input that does not end in a newline", function()
    local result = assert(subprocess.run { "cat", pty = true, input = "text",
      timeout = helper.LONG })
    assert.equal(0, result.returncode)
    local pieces = { "in ", "pieces" }
    result = assert(subprocess.run { "cat", pty = true, timeout = helper.LONG, input = function()
      return table.remove(pieces, 1)
    end })
    assert.equal(0, result.returncode)
  end)
end)

describe("misuse", function()
  local function refuses(pattern, fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    assert.matches(pattern, tostring(err))
  end

  it("is refused in plain words", function()
    refuses("gave a boolean", subprocess.run, { "cat", input = function()
      return true
    end })
    refuses("'timeout'", subprocess.run, { "true", timeout = 0 / 0 })
    refuses("one table", Popen, { "true" }, { stdout = PIPE })
    refuses("one table", subprocess.run, { "true" }, { check = true })
    local process <close> = assert(Popen { "true" })
    refuses("seconds", process.terminate, process, 0 / 0)
  end)
end)

describe("run", function()
  it("runs a program to its end", function()
    local result = assert(subprocess.run { "sh", "-c", "exit 4" })
    assert.same({ 4, nil, nil }, { result.returncode, result.stdout, result.stderr })
    assert.equal("CompletedProcess(sh, returncode 4)", tostring(result))
    assert.same({ "sh", "-c", "exit 4" }, result.args)
  end)

  it("gives input and captures output", function()
    local result = assert(subprocess.run { "sh", "-c", "cat; echo err >&2", input = "in",
      capture_output = true })
    assert.same({ 0, "in", "err\n" }, { result.returncode, result.stdout, result.stderr })
  end)

  it("raises with check, by status and by signal", function()
    local err = raises(curio.CalledProcessError, subprocess.run,
      { "sh", "-c", "echo out; echo err >&2; exit 2", check = true, capture_output = true })
    assert.same({ 2, "out\n", "err\n" }, { err.returncode, err.stdout, err.stderr })
    assert.equal("sh", err.args[1])
    assert.equal("CalledProcessError: sh ended with status 2", tostring(err))
    err = raises(curio.CalledProcessError, subprocess.run,
      { "sh", "-c", "kill -TERM $$", check = true })
    assert.equal("CalledProcessError: sh was ended by SIGTERM", tostring(err))
    assert.equal(-signal.SIGTERM, err.returncode)
  end)

  it("returns why a program could not be started", function()
    local result, err = subprocess.run { "/no/such/program", check = true }
    assert.is_nil(result)
    assert.equal("ENOENT", err.code)
  end)

  it("refuses options that contradict each other", function()
    for pattern, opts in pairs {
      ["'stdin' cannot be given together with 'input'"] = { input = "", stdin = PIPE },
      ["'stdout' cannot be given"] = { capture_output = true, stdout = PIPE },
      ["'timeout' must be a number"] = { timeout = "1" },
      ["must be a string, or a function"] = { input = 1 },
      ["known: input, capture_output, check, timeout, stdin"] = { foo = 1 },
    } do
      opts[1] = "true"
      local ok, err = pcall(subprocess.run, opts)
      assert.is_false(ok)
      assert.matches(pattern, tostring(err))
    end
  end)

  it("does not change the table it is called with", function()
    local t = { "cat", input = "x", capture_output = true }
    assert.equal("x", assert(subprocess.run(t)).stdout)
    assert.equal("x", assert(subprocess.run(t)).stdout)
  end)

  it("timing out kills the child, and tells what it has written", function()
    local err = raises(curio.TaskTimeout, subprocess.run,
      { "sh", "-c", HOLDERS, capture_output = true, timeout = 0.3 * helper.SLOW })
    assert.matches("^out\n%d+\n$", err.stdout)
    assert.equal("err\n", err.stderr)
    assert(subprocess.run { "kill", err.stdout:match "%d+" }) -- not in a group of its own
  end)

  it("timing out kills the whole group of a session's leader", function()
    local err = raises(curio.TaskTimeout, subprocess.run, { "sh", "-c", HOLDERS,
      capture_output = true, start_new_session = true, timeout = 0.3 * helper.SLOW })
    assert.matches("^out\n%d+\n$", err.stdout)
    until_gone(tonumber(err.stdout:match "%d+"))
  end)

  it("in a scope that expires does the same", function()
    local err = raises(curio.TaskTimeout, curio.timeout_after, 0.3 * helper.SLOW, subprocess.run,
      { "sh", "-c", "echo out; exec sleep 100", capture_output = true })
    assert.equal("out\n", err.stdout)
  end)

  it("cancelled kills the child, and is over when that is gone", function()
    local path = os.tmpname()
    local _ <close> = helper.closing(function()
      os.remove(path)
    end)
    local task = curio.spawn(subprocess.run, { "sh", "-c", "echo $$ >$0; echo out; exec sleep 100",
      path, capture_output = true })
    local pid
    repeat
      curio.sleep(0.01)
      local file <close> = assert(io.open(path))
      pid = file:read "n"
    until pid
    task:cancel()
    assert.is_false(is_alive(pid))
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    assert.equal("out\n", task.exception.stdout)
  end)

  it("lets many run at once", function()
    local group <close> = curio.TaskGroup()
    for i = 1, 20 do
      group:spawn(function()
        assert.equal(i .. "\n", subprocess.check_output { "echo", i })
      end)
    end
  end)
end)

describe("check_output", function()
  it("gives what a program writes", function()
    assert.equal("x\n", assert(subprocess.check_output { "echo", "x" }))
    assert.equal("in", assert(subprocess.check_output { "cat", input = "in" }))
  end)

  it("raises when it fails", function()
    local err = raises(curio.CalledProcessError, subprocess.check_output,
      { "sh", "-c", "echo out; exit 1" })
    assert.equal("out\n", err.stdout)
  end)

  it("returns why it could not be started", function()
    local out, err = subprocess.check_output { "/no/such/program" }
    assert.is_nil(out)
    assert.equal("ENOENT", err.code)
  end)

  it("has no use for some options", function()
    assert.matches("unknown option 'capture_output'",
      tostring(select(2, pcall(subprocess.check_output, { "true", capture_output = true }))))
  end)
end)

describe("closing a Popen", function()
  it("closes its pipes and waits", function()
    local process = assert(Popen { "cat", stdin = PIPE, stdout = PIPE })
    do
      local _ <close> = process
    end
    assert.equal(0, process.returncode)
    sockets.is_closed_error(process.stdin:write "x")
  end)

  it("by an error kills", function()
    local process = assert(Popen { "sleep", 100 })
    pcall(function()
      local _ <close> = process
      error "x"
    end)
    assert.equal(-9, process.returncode)
  end)

  it("by an error kills the group that it leads", function()
    local process = assert(Popen { "sh", "-c", "sleep 100 & echo $!; wait", stdout = PIPE,
      start_new_session = true })
    local pid = process.stdout:read "n"
    pcall(function()
      local _ <close> = process
      error "x"
    end)
    assert.equal(-9, process.returncode)
    until_gone(pid)
  end)

  it("cancelled while it waits kills", function()
    local process = assert(Popen { "sleep", 100 })
    local task = curio.spawn(function()
      local _ <close> = process
    end)
    sockets.until_asleep(task, "PROCESS_WAIT")
    task:cancel()
    assert.equal(-9, process.returncode)
  end)
end)

describe("terminate", function()
  it("asks to end", function()
    local process = assert(Popen { "sleep", 100 })
    assert.is_true(process:terminate())
    assert.equal(-signal.SIGTERM, process:wait())
  end)

  it("with a grace waits", function()
    local process = assert(Popen { "sleep", 100 })
    assert.equal(-signal.SIGTERM, process:terminate(helper.LONG))
  end)

  it("kills who does not heed it, also where cancellation is held back", function()
    local process = assert(Popen { "sh", "-c", "trap '' TERM; echo; while :; do sleep 0.01; done",
      stdout = PIPE })
    local _ <close> = process.stdout
    process.stdout:read "l"
    assert.equal(-9, curio.disable_cancellation(process.terminate, process, 0.05))
  end)

  it("reaches the whole group, where asked", function()
    local process = assert(Popen { "sh", "-c", "sleep 100 & echo $!; wait", stdout = PIPE,
      start_new_session = true })
    local _ <close> = process.stdout
    local pid = process.stdout:read "n"
    assert.equal(-signal.SIGTERM, process:terminate(helper.LONG, { group = true }))
    until_gone(pid)
  end)
end)
