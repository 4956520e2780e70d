-- luahttp.lua: lua-http beside tasks: its server and its client, as they are, in one program with a
-- ticker. HTTP/2 over TLS, with a certificate that the server makes for itself.
--
--     curio examples/luahttp.lua [PORT]      with a port it serves until it is interrupted

-- Debian has lua-http's pure Lua in the directories of earlier versions.
package.path = package.path .. ";/usr/share/lua/5.3/?.lua;/usr/share/lua/5.2/?.lua"

local bridge = require "curio.interop.cqueues"
local curio = require "curio"
local http_headers = require "http.headers"
local http_request = require "http.request"
local http_server = require "http.server"
local http_tls = require "http.tls"

local function answer(_, stream) -- in a coroutine of cqueues
  local path = stream:get_headers():get ":path"
  bridge.await(curio.sleep, 0.05) -- what is curio's is done by a task
  local headers = http_headers.new()
  headers:append(":status", "200")
  stream:write_headers(headers, false)
  stream:write_chunk("this is " .. path, true)
end

local function serve(port, address)
  local server = assert(http_server.listen {
    host = "127.0.0.1", port = port, tls = true, onstream = answer,
  })
  assert(server:listen())
  local _, host, number = server:localname()
  address:set_value(("https://%s:%d"):format(host, number))
  assert(server:loop())
end

local function fetch(url)
  local request = http_request.new_from_uri(url)
  request.ctx = http_tls.new_client_context()
  request.ctx:setVerify(0) -- nobody has signed that certificate
  local headers, stream = assert(request:go())
  return ("%s %s by HTTP/%g"):format(headers:get ":status", stream:get_body_as_string(),
    stream.connection.version)
end

curio.run(function()
  local ticks, address = 0, curio.Result()
  curio.spawn { function()
    while curio.sleep(0.01) do
      ticks = ticks + 1
    end
  end, daemon = true }
  local server = curio.spawn(bridge.run, serve, tonumber(arg[1] or 0), address)
  local base, group <close> = address:unwrap(), curio.TaskGroup()
  for i = 1, 3 do
    group:spawn(bridge.run, fetch, base .. "/" .. i)
  end
  group:join()
  print(table.concat(group.results, "\n"))
  print("and a task has ticked meanwhile:", ticks > 0)
  return arg[1] and server:join() or server:cancel()
end)
