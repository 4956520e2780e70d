-- Error objects, their classes, and the messages.

local curio = require "curio"
local errors = require "curio.errors"

-- The table of SPEC 2: class and parent.
local tree = {
  CurioError = false,
  CancelledError = "CurioError",
  TaskCancelled = "CancelledError",
  TaskTimeout = "CancelledError",
  TimeoutCancellationError = "CancelledError",
  UncaughtTimeoutError = "CurioError",
  TaskError = "CurioError",
  SyncIOError = "CurioError",
  AsyncOnlyError = "CurioError",
  ResourceBusy = "CurioError",
  ReadResourceBusy = "ResourceBusy",
  WriteResourceBusy = "ResourceBusy",
  Deadlock = "CurioError",
  Interrupted = "CurioError",
  OSError = "CurioError",
  ResolveError = "OSError",
  SSLError = "OSError",
  SSLCertVerificationError = "SSLError",
  CalledProcessError = "CurioError",
  AuthenticationError = "CurioError",
  WorkerDied = "CurioError",
  QueueClosed = "CurioError",
  ClosedError = "CurioError",
}

local function descends(name, from)
  while name and name ~= from do
    name = tree[name]
  end
  return name == from
end

describe("error classes", function()
  it("are those of the contract, in curio and in curio.errors", function()
    for name in pairs(tree) do
      assert.equal("table", type(errors[name]), name)
      assert.equal(errors[name], curio[name], name)
    end
  end)

  it("descend as the contract says", function()
    for name in pairs(tree) do
      local err = errors[name]("a message")
      for other in pairs(tree) do
        assert.equal(descends(name, other), curio.is(err, errors[other]), name .. " is " .. other)
      end
    end
  end)

  it("make instances with a name and a message", function()
    for name in pairs(tree) do
      local err = errors[name] "what went wrong"
      assert.equal(name, err.name)
      assert.equal("what went wrong", err.message)
      assert.equal(name .. ": what went wrong", tostring(err))
      assert.equal(name, tostring(errors[name]()))
    end
  end)

  it("make instances with fields", function()
    local err = curio.OSError { message = "refused", code = "ECONNREFUSED", errno = 111 }
    assert.equal("ECONNREFUSED", err.code)
    assert.equal(111, err.errno)
    assert.equal("OSError: refused", tostring(err))
    assert.is_true(curio.is(err, curio.OSError))
  end)

  it("take another error as the message", function()
    local inner = curio.OSError "inner"
    local err = curio.CurioError(inner)
    assert.equal("OSError", inner.name)
    assert.is_false(curio.is(err, curio.OSError))
    assert.matches("inner", tostring(err))
  end)

  it("can be made by users", function()
    local Mine = errors.class("Mine", curio.OSError)
    local Own = errors.class "Own"
    local err = Mine { message = "x", extra = 5 }
    assert.is_true(curio.is(err, Mine))
    assert.is_true(curio.is(err, curio.OSError))
    assert.is_true(curio.is(err, curio.CurioError))
    assert.is_false(curio.is(err, Own))
    assert.is_true(curio.is(Own "y", curio.CurioError))
    assert.equal("Mine", err.name)
    assert.equal(5, err.extra)
    assert.equal("Mine: x", tostring(err))
    assert.equal("Own: y", tostring(Own "y"))
  end)

  it("can be raised, caught, and raised by assert", function()
    local err = curio.ClosedError "x"
    assert.equal(err, select(2, pcall(error, err)))
    local own_assert = _G.assert
    if type(own_assert) == "function" then
      assert.equal(err, select(2, pcall(own_assert, nil, err)))
    end
  end)

  it("refuse a name or a parent that is none", function()
    for _, name in ipairs { 5, {}, true } do
      local ok, message = pcall(errors.class, name)
      assert.is_false(ok)
      assert.matches("errors%.class: .*" .. type(name), message)
    end
    assert.is_false((pcall(errors.class)))
    for _, parent in ipairs { 5, "OSError", {}, curio.OSError "an instance" } do
      local ok, message = pcall(errors.class, "X", parent)
      assert.is_false(ok)
      assert.matches("errors%.class: .*parent of X", message)
    end
  end)
end)

describe("curio.is", function()
  it("may be asked of any value", function()
    local odd = { "a string", 5, 5.5, true, false, {}, print, io.stdout, coroutine.create(print),
      setmetatable({}, {}), setmetatable({}, { __metatable = "locked" }),
      setmetatable({}, { __metatable = false }),
      setmetatable({}, { __index = function() error "asked" end }),
      setmetatable({}, { parent = curio.OSError }), curio.OSError }
    for _, value in ipairs(odd) do
      local found = curio.is(value, curio.CurioError)
      assert.equal("boolean", type(found))
      if getmetatable(value) == nil or type(value) ~= "table" then
        assert.is_false(found)
      end
    end
    assert.is_false(curio.is(nil, curio.CurioError))
  end)

  it("tells a class from its instances", function()
    assert.is_false(curio.is(curio.OSError, curio.OSError))
    assert.is_false(curio.is(curio.OSError, curio.CurioError))
  end)

  it("takes several classes", function()
    local err = curio.TaskTimeout()
    assert.is_true(curio.is(err, curio.OSError, curio.TaskTimeout))
    assert.is_true(curio.is(err, curio.CancelledError, curio.OSError))
    assert.is_false(curio.is(err, curio.OSError, curio.TaskCancelled))
    assert.is_false(curio.is(err))
  end)

  it("refuses what is no class, and names the call and the value", function()
    for _, class in ipairs { "OSError", 5, true } do
      local ok, message = pcall(curio.is, curio.OSError(), class)
      assert.is_false(ok)
      assert.matches("'[%w.]*is'.*" .. type(class), message)
    end
    assert.is_false((pcall(curio.is, curio.OSError(), nil)))
    assert.is_false((pcall(curio.is)))
  end)
end)

describe("errors of tasks", function()
  it("come as a TaskError with the cause, the task and the traceback", function()
    curio.run(function()
      local cause = { "the cause" }
      local function thrower()
        error(cause)
      end
      local task = curio.spawn { function()
        thrower()
        return 1
      end, name = "the task" }
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.is_true(curio.is(err, curio.TaskError))
      assert.equal(cause, err.cause)
      assert.equal(task, err.task)
      assert.matches("thrower", err.traceback)
      assert.matches("^TaskError: .*the task", tostring(err))
      assert.is_nil(tostring(err):find("\n", 1, true))
      assert.equal(cause, task.exception)
      assert.equal(cause, select(2, pcall(function()
        return task.result
      end)))
    end)
  end)

  it("are the same for everybody who joins", function()
    curio.run(function()
      local task = curio.spawn(error, "x", 0)
      for _ = 1, 3 do
        local _, err = pcall(task.join, task)
        assert.is_true(curio.is(err, curio.TaskError))
        assert.equal("x", err.cause)
      end
    end)
  end)

  it("tell a cancelled task from a crashed one", function()
    curio.run(function()
      local task = curio.spawn(curio.sleep, 100)
      curio.schedule()
      task:cancel { reason = "no longer needed" }
      local _, err = pcall(task.join, task)
      assert.is_true(curio.is(err.cause, curio.TaskCancelled))
      assert.equal("no longer needed", err.cause.reason)
      assert.equal(curio.current_task(), err.cause.source)
      assert.matches("no longer needed", tostring(err))
    end)
  end)

  it("may be any value", function()
    curio.run(function()
      for _, value in ipairs { 42, 4.5, "text", false, true, print, io.stdout, {} } do
        local task = curio.spawn(error, value, 0)
        local ok, err = pcall(task.join, task)
        assert.is_false(ok)
        assert.equal(value, err.cause)
        assert.equal(value, task.exception)
        assert.equal("string", type(tostring(err)))
      end
    end)
  end)

  it("may have a __tostring that fails or gives no string", function()
    curio.run(function()
      for _, result in ipairs { 5, function() error "fails" end } do
        local value = setmetatable({}, { __tostring = function()
          return type(result) == "function" and result() or result
        end })
        local task = curio.spawn(error, value)
        local ok, err = pcall(task.join, task)
        assert.is_false(ok)
        assert.is_true(curio.is(err, curio.TaskError), tostring(err))
        assert.equal(value, err.cause)
        assert.equal("string", type(tostring(err)))
      end
    end)
  end)
end)

describe("what the system refuses", function()
  it("is returned as an OSError with code, errno, op and subject", function()
    local socket = require "curio.socket"
    curio.run(function()
      local listener = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
      assert(listener:bind("127.0.0.1", 0))
      local port = listener:getsockname().port
      listener:close()
      local sock <close> = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
      local ok, err = sock:connect("127.0.0.1", port)
      assert.is_nil(ok)
      assert.is_true(curio.is(err, curio.OSError))
      assert.equal("ECONNREFUSED", err.code)
      assert.equal("connect", err.op)
      assert.equal("127.0.0.1:" .. port, err.subject)
      assert.equal("integer", math.type(err.errno))
      assert.matches("^OSError: connect 127.0.0.1:" .. port .. ".*ECONNREFUSED", tostring(err))
      assert.is_nil(tostring(err):find("\n", 1, true))
    end)
  end)

  it("is raised with the same object by assert", function()
    local socket = require "curio.socket"
    curio.run(function()
      local sock = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
      sock:close()
      local value, err = sock:recv(10)
      assert.is_nil(value)
      assert.is_true(curio.is(err, curio.ClosedError))
      assert.matches("recv", tostring(err))
    end)
  end)
end)
