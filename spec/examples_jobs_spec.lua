-- The job system of examples/jobs: its programs as processes of their own, with a real redis-server
-- that is asked through redis-lua what became of the jobs.

local curio = require "curio"
local helper = require "spec.helper"
local servers = require "spec.servers"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"

local run = sockets.run

local redis, before, path

setup(function()
  before, path = {}, package.path
  for _, name in ipairs { "socket", "socket.core" } do
    before[name] = package.loaded[name] or false
  end
  package.path = package.path .. ";/usr/share/lua/5.3/?.lua"
  require("curio.interop.luasocket").install()
  redis = require "redis"
  for name in ("xadd xlen xrange xpending xclaim xgroup"):gmatch "%a+" do
    redis.commands[name] = redis.command(name)
  end
end)

teardown(function()
  for name, module in pairs(before) do
    package.loaded[name] = module or nil
  end
  package.path = path
end)

-- ---- the stage: a server of Redis, workers, handlers ----

local Stage = {}
Stage.__index = Stage

function Stage.__close(stage)
  for _, process in ipairs(stage.processes) do
    process:kill()
    process:wait()
  end
  stage.server:__close()
end

-- `settings` are the programs' variables; of `handlers`, the source of a file.
local function new_stage(settings, handlers)
  settings = settings or {}
  local self = setmetatable({ processes = {}, env = settings }, Stage)
  self.server = servers.redis(settings.durable)
  self.handlers = handlers and helper.write(self.server.dir .. "/handlers.lua", handlers)
  for _, name in ipairs { "PATH", "ASAN_OPTIONS", "TSAN_OPTIONS", "CURIO_POLLER" } do
    self.env[name] = os.getenv(name)
  end
  self.env.LUA_PATH, self.env.LUA_CPATH = package.path, package.cpath
  self.env.REDIS_PORT, self.env.durable = tostring(self.server.port), nil
  return self
end

function Stage:start(program, ...)
  local command = { helper.interpreter(), "examples/jobs/" .. program, ... }
  command.env, command.stdout, command.stderr = self.env, subprocess.PIPE, subprocess.STDOUT
  local process = assert(subprocess.Popen(command))
  table.insert(self.processes, process)
  return process
end

function Stage:worker(name)
  self.env.JOBS_NAME = name
  return self:start("worker.lua", self.handlers)
end

-- All that a program prints, and its status.
function Stage:finish(program, ...)
  local process = self:start(program, ...)
  return process:communicate(), process.returncode
end

function Stage:produce(count, kind)
  local out, status = self:finish("producer.lua", tostring(count), kind)
  assert.equal(("added %d jobs\n"):format(count), out)
  assert.equal(0, status)
end

-- When no job is left: what the report tells.
function Stage:report(count)
  local out, status = self:finish("report.lua", tostring(count), "--wait")
  local told = { status = status, text = out }
  told.done, told.given_up, told.lost = out:match "jobs: (%d+) done, (%d+) given up, (%d+) lost\n"
  told.more, told.extra = out:match "(%d+) of them done more than once, (%d+) times too often"
  for name, value in pairs(told) do
    told[name] = tonumber(value) or value
  end
  return told
end

function Stage:client()
  local client = redis.connect("127.0.0.1", self.server.port)
  return client, helper.closing(function()
    client.network.socket:close()
  end)
end

local function eventually(fn)
  while not fn() do
    curio.sleep(0.002)
  end
end

local function terminate(process)
  process:terminate()
  return (process:wait())
end

local function kill(process)
  process:kill()
  assert.equal(-9, process:wait())
end

-- ---- what is shown ----

describe("examples/jobs", function()
  it("does 10,000 jobs by 4 workers, 2 of which are killed at random", run(function()
    local count = helper.fewer(10000)
    local stage <close> = new_stage { JOBS_LEASE = "1", JOBS_TRIES = "20" }
    local client, _ <close> = stage:client()
    stage:produce(count)
    local workers = {}
    for i = 1, 4 do
      workers[i] = stage:worker("worker " .. i)
    end
    math.randomseed(9)
    for _, at in ipairs { math.random(count // 2), math.random(count // 2, count * 9 // 10) } do
      eventually(function()
        return client:hlen "jobs:done" >= at
      end)
      kill(table.remove(workers, math.random(#workers)))
    end
    local report = stage:report(count)
    assert.equal(0, report.status)
    assert.same({ count, 0, 0 }, { report.done, report.given_up, report.lost })
    local times = 0
    for number, n in pairs(client:hgetall "jobs:done") do
      assert.is_true(tonumber(number) >= 1 and tonumber(number) <= count)
      times = times + n
    end
    assert.equal(times, count + report.extra) -- the duplicates, told as they were
    assert.is_true(report.more <= report.extra)
    assert.equal(0, client:xlen "jobs")
    assert.equal(0, client:xpending("jobs", "workers")[1])
    for _, worker in ipairs(workers) do
      assert.equal(0, terminate(worker))
    end
  end))

  local HOLD = [[
    local call = require "broker"
    return {
      hold = function(job)
        local try = call("incr", "tries")
        while try <= tonumber(os.getenv "HELD") and not call("blpop", "go", 1) do end
        call("hincrby", "jobs:done", job.number, 1)
      end,
    }]]

  -- Until the handlers have been called so often in all.
  local function until_tried(client, n)
    eventually(function()
      return tonumber(client:get "tries" or 0) >= n
    end)
  end

  it("has another worker do what a killed one had begun", run(function()
    local stage <close> = new_stage({ JOBS_LEASE = "0.3", HELD = "3" }, HOLD)
    local client, _ <close> = stage:client()
    stage:produce(10, "hold")
    stage.env.JOBS_TASKS = "3"
    local first = stage:worker "first"
    until_tried(client, 3)
    kill(first)
    assert.is_true(client:xpending("jobs", "workers")[1] >= 3)
    stage:worker "second"
    local report = stage:report(10)
    assert.same({ 10, 0, 0, 0 }, { report.done, report.given_up, report.lost, report.more })
  end))

  it("does again what was done but not acknowledged, and tells so", run(function()
    local stage <close> = new_stage({ JOBS_LEASE = "0.3" }, [[
      local call = require "broker"
      return {
        die = function(job)
          if call("hincrby", "jobs:done", job.number, 1) == 1 and job.number == "2" then
            os.execute "kill -9 $PPID"
          end
        end,
      }]])
    stage:produce(3, "die")
    assert.equal(-9, stage:worker("first"):wait())
    stage:worker "second"
    local report = stage:report(3)
    assert.equal(0, report.status)
    assert.same({ 3, 0, 0 }, { report.done, report.given_up, report.lost })
    assert.is_true(report.more >= 1)
  end))

  it("gives up a job that fails each time, with its error", run(function()
    local stage <close> = new_stage({ JOBS_LEASE = "0.1", JOBS_TRIES = "3" }, [[
      local call = require "broker"
      return {
        fail = function(job)
          call("hincrby", "tries", job.number, 1)
          error("cannot do number " .. job.number)
        end,
        count = function(job)
          call("hincrby", "jobs:done", job.number, 1)
        end,
      }]])
    local client, _ <close> = stage:client()
    stage:produce(2, "fail")
    client:xadd("jobs", "*", "kind", "count", "number", 3)
    client:xadd("jobs", "*", "kind", "unheard of", "number", 4)
    stage:worker()
    local report = stage:report(4)
    assert.equal(0, report.status)
    assert.same({ 1, 3, 0 }, { report.done, report.given_up, report.lost })
    assert.matches("number 1 was given up: [^\n]*cannot do number 1\n", report.text)
    assert.matches("number 4 was given up: [^\n]*no handler for this kind of job\n", report.text)
    assert.equal(3, client:xlen "jobs:dead")
    local tries = client:hgetall "tries"
    assert.is_true(tonumber(tries["1"]) >= 3 and tonumber(tries["2"]) >= 3)
  end))

  it("gives up a job that says of itself what only the queue knows, and one without a number",
    run(function()
      local stage <close> = new_stage { JOBS_LEASE = "0.1", JOBS_TRIES = "2" }
      local client, _ <close> = stage:client()
      stage:produce(1)
      client:xadd("jobs", "*", "kind", "fail", "id", "not one of Redis's")
      client:xadd("jobs", "*", "kind", "fail", "tries", "none", "number", 2)
      stage:worker()
      local report = stage:report(2)
      assert.equal(0, report.status)
      assert.same({ 1, 1, 0 }, { report.done, report.given_up, report.lost })
      assert.equal(2, client:xlen "jobs:dead")
    end))

  it("gives up a job that takes each of its workers along", run(function()
    local stage <close> = new_stage({ JOBS_LEASE = "0.1", JOBS_TRIES = "2" }, [[
      return {
        crash = function()
          os.execute "kill -9 $PPID"
        end,
      }]])
    stage:produce(1, "crash")
    assert.equal(-9, stage:worker():wait())
    assert.equal(-9, stage:worker():wait())
    stage:worker()
    local report = stage:report(1)
    assert.equal(1, report.given_up)
    assert.matches("number 1 was given up: [^\n]*its worker was lost each time\n", report.text)
  end))

  it("renews its lease while a job takes long", run(function()
    local stage <close> = new_stage({ JOBS_LEASE = "1", HELD = "1" }, HOLD)
    local client, _ <close> = stage:client()
    stage:produce(1, "hold")
    stage:worker()
    until_tried(client, 1)
    local renewed, last = 0, 0
    eventually(function()
      local one = client:xpending("jobs", "workers", "-", "+", 1)[1]
      local time = one and one[3] or 0
      renewed, last = time < last and renewed + 1 or renewed, time
      return renewed >= 3
    end)
    client:rpush("go", 1)
    local report = stage:report(1)
    assert.same({ 1, 0, 0 }, { report.done, report.lost, report.more })
  end))

  it("ends in order on SIGTERM: what has begun is finished, the rest is handed back", run(function()
    local stage <close> = new_stage({ JOBS_LEASE = "60", JOBS_TRIES = "1", HELD = "2" }, HOLD)
    local client, _ <close> = stage:client()
    stage:produce(6, "hold")
    stage.env.JOBS_TASKS = "2"
    local first = stage:worker "first"
    until_tried(client, 2)
    first:terminate()
    client:rpush("go", 1, 2)
    assert.equal(0, first:wait())
    assert.equal(2, client:hlen "jobs:done")
    assert.equal(4, client:xlen "jobs")
    assert.same({}, client:xpending("jobs", "workers", "-", "+", 10, "first"))
    stage:worker "second" -- has them at once, and they do not count as tried
    local report = stage:report(6)
    assert.same({ 6, 0, 0, 0 }, { report.done, report.given_up, report.lost, report.more })
  end))

  it("waits for Redis from the start, and can be ended then, too", run(function()
    local stage <close> = new_stage()
    stage.server:kill()
    local worker = stage:worker()
    assert.matches("trying again: [^\n]*could not connect", worker.stdout:read())
    assert.equal(-15, terminate(worker))
    worker = stage:worker()
    assert.matches("trying again: [^\n]*could not connect", worker.stdout:read())
    stage.server:start_again()
    stage:produce(3)
    assert.equal(3, stage:report(3).done)
    assert.equal(0, terminate(worker))
  end))

  it("outlives Redis", run(function()
    local stage <close> = new_stage { durable = true, JOBS_LEASE = "1", JOBS_TRIES = "20" }
    local count = helper.fewer(500)
    stage:produce(count)
    local workers = { stage:worker "first", stage:worker "second" }
    do
      local client, _ <close> = stage:client()
      eventually(function()
        return client:hlen "jobs:done" >= count // 4
      end)
    end
    stage.server:kill()
    for _, worker in ipairs(workers) do
      assert.matches("trying again", worker.stdout:read())
    end
    stage.server:start_again()
    local report = stage:report(count)
    assert.equal(0, report.status)
    assert.same({ count, 0, 0 }, { report.done, report.given_up, report.lost })
    for _, worker in ipairs(workers) do
      assert.equal(0, terminate(worker))
    end
  end))
end)
