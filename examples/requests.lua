-- LuaSocket's own http module, unchanged, fetches all these pages at the same time: put on curio's
-- sockets it suspends the task where it used to block the program.
--
--     curio examples/requests.lua URL ...

local curio = require "curio"
require("curio.interop.luasocket").install() -- before anybody requires "socket"

local http = require "socket.http"

local function fetch(url)
  local body, status = http.request(url)
  print(body and ("%d  %6d bytes  %s"):format(status, #body, url)
    or ("failed: %s  %s"):format(status, url))
end

curio.run(function()
  io.stdout:setvbuf "line"
  local group <close> = curio.TaskGroup { limit = 100 }
  for _, url in ipairs(arg) do
    group:spawn(fetch, url)
  end
end)
