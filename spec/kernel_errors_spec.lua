-- Errors that are nil, errors inside __close, finalisers: the kernel stays in order.

local curio = require "curio"
local helper = require "spec.helper"

local closing = helper.closing
local child = helper.child

-- A kernel in a process of its own may be made under the program too.
local function kernel_script(text)
  return child("local curio = require 'curio'\nlocal log = {}\n" .. text)
end

describe("an error that is nil", function()
  it("fails the task", function()
    curio.run(function()
      local task = curio.spawn(error)
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskError))
      assert.is_nil(err.cause)
      assert.equal(task, err.task)
      assert.is_false((pcall(function()
        return task.result
      end)))
    end)
  end)

  it("fails the group", function()
    curio.run(function()
      local group = curio.TaskGroup()
      local sibling = group:spawn(curio.sleep, 0.05)
      group:spawn(error)
      local ok, err = pcall(group.join, group)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskError))
      assert.is_true(curio.is(sibling.exception, curio.TaskCancelled))
    end)
  end)

  it("fails the block of a group", function()
    curio.run(function()
      assert.is_false((pcall(function()
        local group <close> = curio.TaskGroup()
        group:spawn(error)
      end)))
      assert.is_false((pcall(curio.group, function(group)
        group:spawn(error)
        curio.sleep(0.05)
      end)))
    end)
  end)
end)

describe("an error inside __close", function()
  it("takes the place of the first one, as in Lua", function()
    curio.run(function()
      local seen
      local task = curio.spawn(function()
        local _ <close> = closing(function(_, err)
          seen = err
          curio.sleep(0)
          error("second", 0)
        end)
        error("first", 0)
      end)
      task:wait()
      assert.equal("first", seen)
      assert.equal("second", task.exception)
    end)
  end)

  it("does not keep the outer handlers from running, nor from blocking", function()
    local log = {}
    curio.run(function()
      local task = curio.spawn(function()
        local _ <close> = closing(function(_, err)
          curio.disable_cancellation(curio.sleep, 0)
          log[#log + 1] = "outer " .. tostring(err)
        end)
        local _ <close> = closing(function(_, err)
          log[#log + 1] = "inner " .. err.name
          error("from close", 0)
        end)
        curio.sleep(100)
      end)
      curio.schedule()
      task:cancel()
      assert.equal("from close", task.exception)
    end)
    assert.same({ "inner TaskCancelled", "outer from close" }, log)
  end)

  it("may be blocked in while an error unwinds the main task", function()
    local log = {}
    local err = {}
    local ok, got = pcall(curio.run, function()
      local _ <close> = closing(function()
        curio.sleep(0.001)
        log[#log + 1] = "closed"
      end)
      error(err)
    end)
    assert.is_false(ok)
    assert.equal(err, got)
    assert.same({ "closed" }, log)
  end)
end)

describe("finalisers", function()
  it("may spawn tasks", function()
    assert.equal("true\nstatus 0\n", kernel_script [[
      collectgarbage("setpause", 0)
      collectgarbage("setstepmul", 1000)
      print(curio.run(function()
        local made, ran = 0, 0
        local function body()
          ran = ran + 1
          curio.schedule()
        end
        for i = 1, 20000 do
          setmetatable({}, { __gc = function()
            made = made + 1
            curio.spawn(body)
          end })
          curio.spawn(body)
          made = made + 1
          if i % 50 == 0 then
            curio.schedule()
          end
        end
        collectgarbage("restart")
        while ran < made do
          curio.schedule()
        end
        return ran == made
      end))
    ]])
  end)

  it("may spawn, cancel and wake while the kernel is between two tasks", function()
    assert.equal("done\nstatus 0\n", kernel_script [[
      collectgarbage("generational")
      curio.run(function()
        local event = curio.Event()
        local tasks = {}
        for i = 1, 200 do
          tasks[i] = curio.spawn(function()
            event:wait()
            curio.sleep(0.001)
          end)
        end
        for i = 1, 200 do
          setmetatable({}, { __gc = function()
            tasks[i]:cancel { blocking = false }
            event:set()
          end })
          curio.schedule()
        end
        collectgarbage()
        for i = 1, 200 do
          tasks[i]:wait()
        end
      end)
      print("done")
    ]])
  end)

  it("cannot run a kernel inside a running one", function()
    curio.run(function()
      local ok, message
      setmetatable({}, { __gc = function()
        ok, message = pcall(coroutine.wrap(function()
          return curio.Kernel():run(print)
        end))
      end })
      collectgarbage()
      collectgarbage()
      assert.is_false(ok)
      assert.matches("kernel:run: a kernel is running", message)
    end)
  end)
end)
