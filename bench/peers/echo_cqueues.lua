-- echo_cqueues.lua: the echo server of bench/ on cqueues, for comparison: a coroutine a connection,
-- unbuffered. Prints "listening HOST PORT".

local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local function echo(client)
  client:setmode("bn", "bn")
  while true do
    local data = client:xread(-100000)
    if not data or not client:xwrite(data) then
      break
    end
  end
  client:close()
end

local server = assert(socket.listen { host = "127.0.0.1", port = 0, nodelay = true })
local loop = cqueues.new()
loop:wrap(function()
  while true do
    local client = server:accept()
    if client then
      loop:wrap(echo, client)
    end
  end
end)

assert(server:listen())
local _, host, port = server:localname()
io.write("listening ", host, " ", port, "\n")
io.flush()
assert(loop:loop())
