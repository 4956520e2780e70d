-- Who runs when: ready tasks first in, first out; timers in order; I/O that never waits gives way.

local curio = require "curio"
local socket = require "curio.socket"
local testing = require("curio.core").testing
local traps = require "curio.traps"

local function pair()
  local a, b = assert(socket.socketpair())
  return a, b
end

-- Calls `start`, whose tasks fall asleep for less than `seconds`: for exact times, as the clock
-- stands meanwhile. Then lets all these times pass without the kernel's looking.
local function all_late(seconds, start)
  local kernel = traps.get_kernel()
  testing.jump(kernel, true)
  local clock = curio.clock()
  start()
  curio.schedule()
  testing.jump(kernel, false)
  while curio.clock() <= clock + seconds do
    collectgarbage("step")
  end
end

-- Does a task that only goes round get its turn while fn runs?
local function gives_way(fn)
  local turns, done = 0, false
  local during
  curio.spawn { function()
    while not done do
      turns = turns + 1
      curio.schedule()
    end
  end, daemon = true }
  curio.schedule()
  local before = turns
  fn()
  during = turns - before
  done = true
  return during
end

describe("ready tasks", function()
  it("run first in, first out", function()
    local log = {}
    curio.run(function()
      local group <close> = curio.TaskGroup()
      for id = 1, 4 do
        group:spawn(function()
          for i = 1, 3 do
            log[#log + 1] = i .. "." .. id
            curio.schedule()
          end
        end)
      end
      log[1] = "spawner goes on"
    end)
    assert.same({ "spawner goes on", "1.1", "1.2", "1.3", "1.4", "2.1", "2.2", "2.3", "2.4",
      "3.1", "3.2", "3.3", "3.4" }, log)
  end)

  it("run in the order in which they were woken, not in which they were spawned", function()
    local log = {}
    curio.run(function()
      local group <close> = curio.TaskGroup()
      local events = {}
      for id = 1, 4 do
        events[id] = curio.Event()
        group:spawn(function()
          events[id]:wait()
          log[#log + 1] = id
        end)
      end
      curio.schedule()
      for _, id in ipairs { 3, 1, 4, 2 } do
        events[id]:set()
      end
      log[#log + 1] = "waking does not switch"
    end)
    assert.same({ "waking does not switch", 3, 1, 4, 2 }, log)
  end)

  it("are many, and still take turns in order", function()
    local log = {}
    curio.run(function()
      local group <close> = curio.TaskGroup()
      for id = 1, 500 do
        group:spawn(function()
          log[#log + 1] = id
          curio.schedule()
          log[#log + 1] = id
        end)
      end
    end)
    assert.equal(1000, #log)
    for i = 1, 1000 do
      assert.equal((i - 1) % 500 + 1, log[i])
    end
  end)

  it("take turns with those in generators", function()
    local log = {}
    curio.run(function()
      local group <close> = curio.TaskGroup()
      for id = 1, 3 do
        group:spawn(coroutine.wrap(function()
          for i = 1, 2 do
            log[#log + 1] = i .. "." .. id
            curio.sleep(0)
          end
        end))
      end
    end)
    assert.same({ "1.1", "1.2", "1.3", "2.1", "2.2", "2.3" }, log)
  end)

  it("do not keep descriptors and timers from being looked at", function()
    local log = {}
    curio.run(function()
      local a, b = pair()
      local done = 0
      local group <close> = curio.TaskGroup()
      group:spawn(function()
        assert(a:recv(10))
        log[#log + 1] = "received"
        done = done + 1
      end)
      group:spawn(function()
        curio.sleep(0.001)
        log[#log + 1] = "slept"
        done = done + 1
      end)
      for _ = 1, 3 do
        group:spawn(function()
          while done < 2 do
            curio.schedule()
          end
        end)
      end
      curio.schedule()
      b:sendall("x")
    end)
    table.sort(log)
    assert.same({ "received", "slept" }, log)
  end)
end)

describe("timers", function()
  it("fire in the order of their times, however late", function()
    local log = {}
    curio.run(function()
      local group <close> = curio.TaskGroup()
      all_late(0.01, function()
        for _, ms in ipairs { 5, 2, 9, 1, 7, 3, 8, 6, 4 } do
          group:spawn(function()
            curio.sleep(ms / 1000)
            log[#log + 1] = ms
          end)
        end
      end)
    end)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, log)
  end)

  it("of equal length fire in the order they were set", function()
    local log, expected = {}, {}
    curio.run(function()
      local group <close> = curio.TaskGroup()
      for id = 1, 300 do
        expected[id] = id
        group:spawn(function()
          curio.sleep(0.002)
          log[#log + 1] = id
        end)
      end
    end)
    assert.same(expected, log)
  end)

  it("that never fire are out of the way", function()
    local log = {}
    curio.run(function()
      for id = 1, 100 do
        curio.spawn(curio.sleep, 100 + id)
      end
      for id = 1, 100 do
        curio.timeout_after(50, curio.sleep, 0)
        log[id] = id
      end
      local cancelled = curio.spawn(curio.sleep, 0.001)
      curio.schedule()
      cancelled:cancel()
      curio.sleep(0.003)
      log[#log + 1] = "woken"
    end)
    assert.equal("woken", log[101])
  end)

  it("and deadlines that have passed are all seen before any task runs", function()
    local log = {}
    curio.run(function()
      local group <close> = curio.TaskGroup()
      all_late(0.004, function()
        group:spawn(function()
          curio.sleep(0.001)
          log[#log + 1] = "sleeper"
        end)
        group:spawn(function()
          curio.ignore_after(0.002, curio.sleep, 100)
          log[#log + 1] = "deadline"
        end)
        group:spawn(function()
          curio.sleep(0.003)
          log[#log + 1] = "late sleeper"
        end)
      end)
    end)
    assert.same({ "sleeper", "deadline", "late sleeper" }, log)
  end)
end)

describe("I/O that never has to wait gives way:", function()
  local data = ("x"):rep(20000)

  it("recv", function()
    curio.run(function()
      local a, b = pair()
      b:sendall(data)
      assert.is_true(gives_way(function()
        for _ = 1, 1000 do
          a:recv(1)
        end
      end) >= 5)
    end)
  end)

  it("send and sendall", function()
    curio.run(function()
      local a, b = pair()
      assert.is_true(gives_way(function()
        for _ = 1, 100 do
          a:send("x")
        end
        for _ = 1, 100 do
          a:sendall("x")
        end
      end) >= 1)
      b:close()
    end)
  end)

  it("send to a socket that is closed", function()
    curio.run(function()
      local a, b = pair()
      b:close()
      assert.is_true(gives_way(function()
        for _ = 1, 500 do
          a:recv(1)
        end
      end) >= 3)
    end)
  end)

  it("chunks", function()
    curio.run(function()
      local a, b = pair()
      b:sendall(data)
      b:close()
      assert.is_true(gives_way(function()
        for _ in a:chunks(10) do
          assert(true)
        end
      end) >= 5)
    end)
  end)

  it("accept", function()
    curio.run(function()
      local listener <close> = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
      assert(listener:bind("127.0.0.1", 0))
      assert(listener:listen(128))
      local addr = listener:getsockname()
      local clients = {}
      for i = 1, 100 do
        clients[i] = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        assert(clients[i]:connect(addr.host, addr.port))
      end
      assert.is_true(gives_way(function()
        for i = 1, 100 do
          assert(listener:accept()):close()
          clients[i]:close()
        end
      end) >= 1)
    end)
  end)

  it("inside generators, too", function()
    curio.run(function()
      local a, b = pair()
      b:sendall(data)
      assert.is_true(gives_way(function()
        coroutine.wrap(function()
          for _ = 1, 1000 do
            a:recv(1)
          end
        end)()
      end) >= 5)
    end)
  end)

  it("a ping-pong with itself", function()
    curio.run(function()
      local a, b = pair()
      assert.is_true(gives_way(function()
        for _ = 1, 300 do
          a:sendall("ping")
          assert.equal("ping", b:recv(10))
        end
      end) >= 3)
    end)
  end)

  it("queues, events and locks", function()
    curio.run(function()
      local queue, event, lock = curio.Queue(), curio.Event(), curio.Lock()
      event:set()
      assert.is_true(gives_way(function()
        for i = 1, 1000 do
          queue:put(i)
          assert.equal(i, queue:get())
          event:wait()
          lock:acquire()
          lock:release()
        end
      end) >= 5)
    end)
  end)
end)

describe("a cancellation raised again", function()
  it("first gives way to other ready tasks", function()
    local turns = 0
    curio.run(function()
      local task = curio.spawn(function()
        for _ = 1, 5 do
          pcall(curio.sleep, 100)
        end
      end)
      curio.spawn(function()
        while not task.terminated do
          turns = turns + 1
          curio.schedule()
        end
      end)
      curio.schedule()
      task:cancel()
    end)
    assert.is_true(turns >= 4)
  end)
end)
