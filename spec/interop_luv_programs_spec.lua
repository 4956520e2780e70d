-- luv and curio in one thread: sockets that talk to each other, children of both, luv's thread
-- pool, programs that call uv.run themselves, and states that load luv in odd places.

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local luv = require "curio.interop.luv"

local uv = luv.uv
local run = sockets.run

local function close(handle)
  if not handle:is_closing() then
    curio.disable_cancellation(luv.await, handle.close, handle)
  end
end

local function closer(handle)
  return helper.closing(function()
    close(handle)
  end)
end

local BIG = ("x"):rep(1 << 20)

-- A server of luv's that sends back what comes; its port.
local function echo_server()
  local server = uv.new_tcp()
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen(64, function(err)
    assert(not err, err)
    local client = uv.new_tcp()
    assert(server:accept(client))
    client:read_start(function(failure, data)
      if data then
        client:write(data)
      elseif not client:is_closing() then
        client:close()
      end
      assert(not failure or failure == "ECONNRESET", failure)
    end)
  end))
  return server, server:getsockname().port
end

describe("sockets", function()
  it("of curio talk to a server of luv's", run(function()
    local server <const>, port = echo_server()
    local _ <close> = closer(server)
    local runner = curio.spawn(luv.run)
    local group = curio.TaskGroup()
    for i = 1, 10 do
      group:spawn(function()
        local client <close> = assert(curio.open_connection("127.0.0.1", port)):as_stream()
        local text = i .. BIG
        local writer = curio.spawn(client.write, client, text)
        assert(client:read_exactly(#text) == text)
        writer:join()
      end)
    end
    group:join()
    close(server)
    assert.is_false(runner:join())
  end))

  it("of luv talk to a server of curio's", run(function()
    local bound = curio.Result()
    local server = curio.spawn(curio.tcp_server, "127.0.0.1", 0, function(client)
      for chunk in client:chunks(65536) do
        client:sendall(chunk)
      end
    end, {
      ready = function(addr)
        bound:set_value(addr)
      end,
    })
    local client <const> = uv.new_tcp()
    local _ <close> = closer(client)
    assert.is_nil(luv.await(client.connect, client, "127.0.0.1", bound:unwrap().port))
    local got, done = 0, curio.Event()
    client:read_start(function(err, data)
      got = got + #assert(data, err)
      if got == #BIG then
        done:set()
      end
    end)
    local writer = curio.spawn(luv.await, client.write, client, BIG)
    local runner = curio.spawn(luv.run)
    done:wait()
    assert.is_nil(writer:join())
    close(client)
    runner:join()
    server:cancel()
  end))
end)

it("children of luv's and of curio's, side by side, are each told of to their own", run(function()
  local group = curio.TaskGroup()
  for i = 1, 20 do
    group:spawn(function()
      local child
      local code = luv.await(function(exited)
        child = assert(uv.spawn("sh", { args = { "-c", "sleep 0.01; exit " .. i } }, exited))
      end)
      close(child)
      return code
    end)
    group:spawn(function()
      local child <close> = assert(curio.subprocess.Popen { "sh", "-c", "sleep 0.01; exit " .. i })
      return child:wait()
    end)
  end
  group:join()
  for i = 1, 20 do
    assert.same({ i, i }, { group.results[2 * i - 1], group.results[2 * i] })
  end
end))

-- Work in luv's threads that ends when the pipe is opened for writing; as many as there are
-- threads.
local function occupy(path)
  local done = 0
  local work = uv.new_work(function(name)
    local file = io.open(name)
    file:close()
  end, function()
    done = done + 1
  end)
  for _ = 1, 4 do
    assert(work:queue(path))
  end
  return function()
    while done < 4 do -- whoever opens it for reading waits for a writer
      local file = assert(io.open(path, "r+"))
      curio.ignore_after(0.01, luv.run)
      file:close()
    end
  end
end

describe("luv's threads", function()
  it("work while tasks run, and tell their results", run(function()
    local results = {}
    local work = uv.new_work(function(n)
      local sum = 0
      for i = 1, n do
        sum = sum + i
      end
      return sum
    end, function(sum)
      results[#results + 1] = sum
    end)
    for i = 1, 20 do
      assert(work:queue(i))
    end
    luv.run()
    table.sort(results)
    for i = 1, 20 do
      assert.equal(i * (i + 1) // 2, results[i])
    end
  end))

  it("are not asked any more for what a cancelled task waited for", run(function()
    local path = sockets.unused_path()
    assert(os.execute("mkfifo " .. path))
    local release, answer = occupy(path), nil
    local task = helper.spawn(luv.await, {
      uv.fs_stat, "spec",
      late = function(...)
        answer = table.pack(...)
      end,
    })
    task:cancel()
    while not answer do
      curio.ignore_after(0.01, luv.run)
    end
    assert.matches("^ECANCELED", answer[1])
    release()
    os.remove(path)
  end))
end)

-- What a script prints, run by this interpreter.
local function prints(expected, script)
  assert.equal(expected .. "status 0\n", helper.child(script))
end

-- The scripts of spec/torture have allocations fail too, which luv does not survive: libuv's loop
-- is left by an error.
it("collections at any time do not disturb the bridge", function()
  if not helper.under_program then
    return -- the allocator is the program's
  end
  for i = 1, helper.fewer(7) do
    assert.equal("directory\nfailed\nfalse\nstatus 0\n", helper.child([[
      local curio = require "curio"
      local luv = require "curio.interop.luv"
      local uv = luv.uv
      local group = curio.TaskGroup()
      for _ = 1, 5 do
        group:spawn(luv.await, uv.fs_stat, ".")
      end
      local task = curio.spawn(luv.await, function() end)
      curio.sleep(0)
      task:cancel()
      group:join()
      print(group.result.type)
      local timer = uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        error({ "failed" })
      end)
      print(select(2, pcall(luv.run))[1])
      print(luv.run())]], ("env CURIO_TORTURE=gc:7+%d"):format(i)))
  end
end)

describe("a program written for luv", function()
  it("runs beside tasks when the bridge is installed", function()
    prints("tick\ntimer\ntick\nfalse\nonce\ntrue\nstopped\ntrue\n", [[
      local curio = require "curio"
      local uv = require("curio.interop.luv").install()
      local slow = 2 * (tonumber(os.getenv "CURIO_SLOW") or 1)
      local function timer(ms, fn)
        local handle = uv.new_timer()
        handle:start(ms * slow // 1 | 0, 0, function()
          fn()
          handle:close()
        end)
      end
      curio.run(function()
        curio.spawn(function()
          print "tick"
          curio.sleep(0.04 * slow)
          print "tick"
        end)
        timer(20, function() print "timer" end)
        timer(60, function() end)
        print(uv.run())
        timer(1, function() print "once" end)
        timer(10000, function() end)
        print(uv.run "once")
        timer(1, function() print "stopped" uv.stop() end)
        print(uv.run "default")
        while uv.run "nowait" do
          uv.walk(function(handle)
            if not handle:is_closing() then
              handle:close()
            end
          end)
        end
      end)]])
  end)

  it("goes on as ever outside of tasks, errors and all", function()
    if helper.under_program then
      return -- there all is in a task
    end
    local out = helper.child [[
      local uv = require("curio.interop.luv").install()
      local timer = uv.new_timer()
      timer:start(1, 0, function() print "timer" uv.stop() end)
      print(uv.run())
      print(uv.run "nowait")
      timer:start(1, 0, function() error "mine" end)
      uv.run()
    ]]
    assert.matches("^timer\nfalse\nfalse\nUncaught Error: .*mine\n.*status 255\n$", out)
  end)
end)

describe("luv", function()
  it("may be loaded by a task that has ended, of which nothing is left", function()
    prints("called\nfalse\n", [[
      local curio = require "curio"
      curio.run(function()
        local thread = coroutine.create(function()
          require "luv"
        end)
        assert(coroutine.resume(thread))
        thread = nil
        local luv = curio.spawn(function()
          return require "curio.interop.luv"
        end):join()
        for _ = 1, 3 do
          collectgarbage()
        end
        local timer = luv.uv.new_timer()
        timer:start(1, 0, function()
          collectgarbage()
          print "called"
          timer:close()
        end)
        print(luv.run())
      end)]])
  end)

  it("has a loop in each thread", function()
    local ask = assert(load [[
      local curio, luv = require "curio", require "curio.interop.luv"
      return curio.run(luv.await, luv.uv.fs_stat, ...).type]])
    curio.run(function()
      local group = curio.TaskGroup()
      for _, name in ipairs { "spec", "src", "README.md" } do
        group:spawn(curio.run_in_thread, ask, name)
      end
      group:join()
      assert.same({ "directory", "directory", "file", n = 3 }, group.results)
    end)
  end)

  it("may be left with handles when the kernel and the state end", function()
    prints("left\n", [[
      local curio = require "curio"
      local luv = require "curio.interop.luv"
      pcall(curio.run, function()
        local timer, server = luv.uv.new_timer(), luv.uv.new_tcp()
        timer:start(100000, 0, function() end)
        server:bind("127.0.0.1", 0)
        server:listen(8, function() end)
        curio.spawn(luv.run)
        curio.spawn { luv.run, daemon = true }
        curio.spawn(luv.await, luv.uv.fs_stat, ".")
        curio.sleep(0)
        print "left"
      end)]])
  end)

  it("serves one kernel after the other, also one that sleeps in it", function()
    if helper.under_program then
      return -- there is one kernel
    end
    local timer = uv.new_timer()
    timer:start(20, 0, function() end)
    local first, second <close> = curio.Kernel(), curio.Kernel()
    local task = first:run(function()
      return helper.spawn(luv.run)
    end)
    assert.equal("directory", second:run(luv.await, uv.fs_stat, "spec").type)
    assert.is_false(first:run(task.join, task))
    first:run(function()
      timer:start(20, 0, function() end)
      curio.spawn(luv.run)
      curio.sleep(0)
    end)
    second:run(function()
      assert.is_false(luv.run())
      close(timer)
    end)
    first:shutdown()
  end)
end)

it("examples/watch.lua tells what changes in a directory", run(function()
  local dir = sockets.unused_path()
  assert(os.execute("mkdir " .. dir))
  local command = { helper.interpreter(), "examples/watch.lua", dir, "2" }
  command.stdout = curio.subprocess.PIPE
  local child <close> = assert(curio.subprocess.Popen(command))
  assert.equal("Watching " .. dir, child.stdout:read())
  helper.write(dir .. "/one", "12345")
  assert.equal("one\tfile, 5 bytes", child.stdout:read())
  os.remove(dir .. "/one")
  assert.equal("one\tgone", child.stdout:read())
  assert.equal(0, child:wait())
  os.execute("rmdir " .. dir)
end))
