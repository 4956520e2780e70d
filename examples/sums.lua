-- Two programs that talk through a channel: one adds up the lists of numbers that it is sent, the
-- other sends them. Who does not know the key is refused. Values are MessagePack and the frames are
-- those of Python's multiprocessing.connection, so either may be written in another language.
--
--     curio examples/sums.lua serve 127.0.0.1 7000
--     curio examples/sums.lua ask 127.0.0.1 7000 1 2 3.5

local curio = require "curio"

local KEY = os.getenv "SUMS_KEY" or "a secret of both"

local function sum(list)
  local total = 0
  for _, number in ipairs(list) do
    total = total + number
  end
  return total
end

-- Answers until the peer hangs up; whatever it sends that is no list of numbers is told so.
local function answer(connection)
  local _ <close> = connection
  while true do
    local list, err, received = connection:recv()
    if not received then
      return err and print("gone: " .. tostring(err))
    end
    local ok, total = pcall(sum, list)
    connection:send(ok and { total = total } or { error = "send a list of numbers" })
  end
end

local function serve(channel)
  assert(channel:bind())
  print("serving at " .. tostring(channel.address))
  io.stdout:flush()
  while true do
    local connection, err = channel:accept { authkey = KEY }
    if connection then
      curio.spawn { answer, connection, daemon = true }
    elseif curio.is(err, curio.AuthenticationError) then
      print("refused: " .. err.message)
      io.stdout:flush()
    else
      error(err)
    end
  end
end

local function ask(channel, ...)
  local connection <close> = assert(channel:connect { authkey = KEY, timeout = 10 })
  assert(connection:send { ... })
  local reply = assert(connection:recv())
  print(reply.total or reply.error)
end

local mode, host, port = arg[1], arg[2] or "127.0.0.1", math.tointeger(arg[3] or 7000)
local run = assert(({ serve = serve, ask = ask })[mode], "serve or ask?")
curio.run(run, curio.Channel { host, port }, table.unpack(arg, 4))
