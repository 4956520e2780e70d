-- How a program that uses curio is tested: time is virtual, connections need no network, and a test
-- that leaves a task or a descriptor behind fails. (With busted: `local it = testing.it(it, ...)`.)
--
--     curio examples/testing.lua

local curio = require "curio"
local testing = require "curio.testing"

-- What is tested: a server that ends a session in which nothing has been said for a minute.
local function session(client)
  local stream = client:as_stream()
  while true do
    local line = curio.ignore_after { 60, stream.read, stream, "l", timeout_result = false }
    if line == false then
      return stream:write "you are asleep\n"
    elseif not line then
      return
    end
    stream:write("you said ", line, "\n")
  end
end

local function it(does, body)
  testing.run(body, { clock = testing.autojump() })
  print("ok", "a session " .. does)
end

it("answers", function()
  local ours, theirs = testing.socketpair()
  local task = curio.spawn(session, theirs)
  ours:sendall "hello\n"
  assert(ours:recv(100) == "you said hello\n")
  ours:shutdown "wr"
  task:join()
end)

it("ends after a minute of silence, which takes no time here", function()
  local ours, theirs = testing.socketpair()
  local began, task = curio.clock(), curio.spawn(session, theirs)
  assert(ours:recv(100) == "you are asleep\n")
  assert(curio.clock() - began == 60)
  task:join()
end)

it("goes on while something is said", function()
  local ours, theirs = testing.socketpair()
  local task = curio.spawn(session, theirs)
  for _ = 1, 10 do
    curio.sleep(59)
    ours:sendall "still here\n"
  end
  testing.wait_all_blocked()
  assert(not task.terminated)
  task:cancel()
end)
