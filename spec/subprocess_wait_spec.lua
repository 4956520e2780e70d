-- curio.subprocess: the ends of children: waited for by tasks, with pidfds and without; nobody
-- waits; other children of the process.

local core = require "curio.core"
local curio = require "curio"
local helper = require "spec.helper"
local signal = require "curio.signal"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"
local testing = require "curio.testing"

local it = testing.it(it)
local Popen, PIPE = subprocess.Popen, subprocess.PIPE

local function children()
  local list = {}
  for pid in helper.output_of "ps -o pid=,stat= --ppid $PPID":gmatch "(%d+) Z" do
    list[#list + 1] = pid
  end
  return list
end

-- Has it not even been reaped?
local function exists(pid)
  local file <close> = io.open(("/proc/%d/stat"):format(pid))
  return file ~= nil
end

-- ThreadSanitizer adds a thread of its own to the first one: here, where nobody counts.
setup(function()
  if os.getenv "CURIO_SAN" == "thread" then
    assert(Popen { "sleep", 0.2 })
    collectgarbage()
    collectgarbage()
    os.execute "sleep 1"
  end
end)

-- The thread that waited for children ends too.
local threads_before, descriptors_before

local function descriptors()
  local n = 0
  for _ in pairs(core.testing.descriptors() or {}) do
    n = n + 1
  end
  return n
end

local function remember()
  threads_before, descriptors_before = core.testing.threads() or 0, descriptors()
end

local function until_as_many_threads()
  while (core.testing.threads() or 0) > threads_before
    or descriptors() > descriptors_before do
    curio.sleep(0.01)
  end
end

-- Until no child of ours is a zombie.
local function until_reaped()
  while #children() > 0 do
    curio.sleep(0.01)
  end
end

for _, without in ipairs { false, true } do
  describe(without and "without pidfds wait" or "wait", function()
    before_each(function()
      core.process.pretend_old(without)
    end)

    after_each(function()
      core.process.pretend_old(false)
    end)

    it("gives the status of a child that ends while it sleeps", function()
      local process = assert(Popen { "sh", "-c", "read x; exit $x", stdin = PIPE })
      local _ <close> = process.stdin
      local task = curio.spawn(process.wait, process)
      sockets.until_asleep(task, "PROCESS_WAIT")
      assert(process.stdin:write "5\n")
      assert.equal(5, task:join())
    end)

    it("times out, and can be called again", function()
      local process <close> = assert(Popen { "sleep", 100 })
      sockets.raises(curio.TaskTimeout, curio.timeout_after, 0.01, process.wait, process)
      assert.is_nil(process:poll())
      process:kill()
      assert.equal(-9, process:wait())
    end)

    it("is cancelled while asleep, and leaves the child running", function()
      local process <close> = assert(Popen { "sleep", 100 })
      sockets.cancelled("PROCESS_WAIT", process.wait, process)
      assert.is_nil(process:poll())
      process:kill()
    end)

    it("goes on while its Popen is closed", function()
      local process = assert(Popen { "cat", stdin = PIPE })
      local task = curio.spawn(process.wait, process)
      sockets.until_asleep(task, "PROCESS_WAIT")
      do
        local _ <close> = process
      end
      assert.equal(0, task:join())
    end)

    it("can be called by many tasks, and each of them may be cancelled", function()
      local process = assert(Popen { "sleep", 100 })
      local tasks = {}
      for i = 1, 6 do
        tasks[i] = curio.spawn(process.wait, process)
        sockets.until_asleep(tasks[i], "PROCESS_WAIT")
      end
      tasks[1]:cancel() -- who watches
      tasks[4]:cancel()
      curio.schedule()
      tasks[2]:cancel() -- who took over
      process:kill()
      for _, i in ipairs { 3, 5, 6 } do
        assert.equal(-9, tasks[i]:join())
      end
      assert.equal(-9, process:wait())
    end)

    it("wakes when another task has asked for the end", function()
      local process = assert(Popen { "sleep", 100 })
      local task = curio.spawn(process.wait, process)
      sockets.until_asleep(task, "PROCESS_WAIT")
      process:kill()
      repeat until process:poll()
      assert.equal(-9, task:join())
    end)

    it("is no deadlock", function()
      local process = assert(Popen { "sleep", 0.05 })
      assert.equal(0, process:wait())
    end)

    it("gives all their own statuses", function()
      local group <close> = curio.TaskGroup()
      for i = 1, 40 do
        group:spawn(function()
          local process = assert(Popen { "sh", "-c", "exit " .. i })
          assert.equal(i, process:wait())
        end)
      end
    end)
  end)
end

describe("children that are killed at any moment", function()
  it("have the right status", function()
    math.randomseed(42)
    local group <close> = curio.TaskGroup()
    for _ = 1, 8 do
      group:spawn(function()
        for _ = 1, helper.fewer(12) do
          local process = assert(Popen { "sh", "-c", "while :; do :; done" })
          local waiter = curio.spawn(process.wait, process)
          curio.sleep(math.random() * 0.003)
          assert.is_true(process:kill())
          assert.equal(-9, waiter:join())
        end
      end)
    end
  end)
end)

describe("a child that nobody waits for", function()
  it("is reaped when its object has been collected before its end", function()
    remember()
    local pid
    do
      local process = assert(Popen { "sh", "-c", "read x", stdin = PIPE })
      pid = process.pid
      process = nil -- luacheck: no unused
    end
    collectgarbage()
    collectgarbage() -- the pipe is closed, so the child ends
    while exists(pid) do
      curio.sleep(0.01)
    end
    until_as_many_threads()
  end)

  it("is reaped when its object is collected after its end", function()
    local pid = assert(Popen { "true" }).pid
    helper.output_of "sleep 0.05"
    collectgarbage()
    collectgarbage()
    while exists(pid) do
      curio.sleep(0.01)
    end
  end)

  it("is no zombie for long, however many there are", function()
    remember()
    for _ = 1, 30 do
      assert(Popen { "sleep", 0.05 })
    end
    collectgarbage()
    collectgarbage()
    until_reaped()
    until_as_many_threads()
  end)

  it("is reaped without pidfds too", function()
    remember()
    core.process.pretend_old(true)
    local _ <close> = helper.closing(function()
      core.process.pretend_old(false)
    end)
    assert(Popen { "sleep", 0.05 })
    collectgarbage()
    collectgarbage()
    until_reaped()
    until_as_many_threads()
  end)
end)

describe("other children of the process", function()
  it("are left to those who started them", function()
    local group <close> = curio.TaskGroup()
    for i = 1, 4 do
      group:spawn(function()
        for _ = 1, 5 do
          assert.equal(i, assert(Popen { "sh", "-c", "exit " .. i }):wait())
        end
      end)
    end
    for _ = 1, 10 do
      local _, _, code = os.execute "exit 9"
      assert.equal(9, code)
      local out, _, _, status = helper.output_of "echo x; exit 8"
      assert.same({ "x\n", 8 }, { out, status })
      curio.schedule()
    end
  end)

  it("do not wake or disturb who listens to SIGCHLD", function()
    local queue <close> = assert(signal.SignalQueue(signal.SIGCHLD))
    assert.equal(3, assert(Popen { "sh", "-c", "exit 3" }):wait())
    assert.equal(signal.SIGCHLD, queue:get())
  end)
end)

describe("a process that was started with SIGCHLD ignored", function()
  it("gets statuses nevertheless", function()
    local out = helper.child([[
      local curio = require "curio"
      local subprocess = require "curio.subprocess"
      curio.run(function()
        print(subprocess.run({ "sh", "-c", "exit 3" }).returncode)
      end)
    ]], "env --ignore-signal=CHLD")
    assert.equal("3\nstatus 0\n", out)
  end)
end)

describe("what was ignored before curio came", function()
  it("is ignored by children too", function()
    local out = helper.child([[
      local curio = require "curio"
      local subprocess = require "curio.subprocess"
      curio.run(function()
        local status = subprocess.check_output { "cat", "/proc/self/status" }
        print(tonumber(status:match "SigIgn:%s*(%x+)", 16) & 0x7fffffff)
      end)
    ]], "env --ignore-signal=HUP")
    assert.equal("1\nstatus 0\n", out)
  end)
end)
