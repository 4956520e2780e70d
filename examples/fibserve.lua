-- A server of Fibonacci numbers, which are computed in worker processes: it answers others while it
-- computes, and uses all cores. When it is ended its computations end with it.
--
--     curio examples/fibserve.lua [PORT]      then: nc localhost 25000, and type numbers

local curio = require "curio"

local function fib(n)
  return n < 3 and 1 or fib(n - 1) + fib(n - 2)
end

local function fib_client(client)
  local stream = client:as_stream()
  for line in stream:lines() do
    local n = math.tointeger(tonumber(line))
    if n then
      stream:write(("%d\n"):format(curio.run_in_process(fib, n)))
    else
      stream:write "a whole number, please\n"
    end
  end
end

curio.run(curio.tcp_server, "", tonumber(arg[1] or 25000), fib_client, {
  ready = function(addr)
    print("Server listening at " .. tostring(addr))
    io.stdout:flush()
  end,
})
