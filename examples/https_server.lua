-- A small HTTPS server that tells its clients about their connections. SIGHUP has it read its
-- certificate anew; connections that exist are not disturbed.
--
--     curio examples/https_server.lua cert.pem key.pem [PORT]
--     curl --cacert cert.pem https://localhost:8443/

local curio = require "curio"
local signal = require "curio.signal"
local ssl = require "curio.ssl"

local cert, key, port = arg[1], arg[2], tonumber(arg[3] or 8443)

local function respond(stream, status, body, last)
  stream:write("HTTP/1.1 ", status, "\r\nContent-Type: text/plain\r\nContent-Length: ", #body,
    last and "\r\nConnection: close" or "", "\r\n\r\n", body)
end

local function handler(client, addr)
  local stream = client:as_stream()
  while true do
    local method, path = (stream:readline("l", { max = 8000 }) or ""):match "^(%u+) (%S+) HTTP/1"
    local last = false
    repeat
      local line = stream:readline("l", { max = 8000 })
      last = last or not line or line:lower():match "^connection: *close" ~= nil
    until not line or line == "\r"
    if not method then
      break
    elseif method ~= "GET" then
      respond(stream, "405 Method Not Allowed", "GET is all there is.\n", last)
    else
      local text = "You are %s and asked for %s by %s with %s, %s session.\n"
      respond(stream, "200 OK", text:format(addr, path, client:version(), (client:cipher()),
        client:session_reused() and "resuming a" or "in a new"), last)
    end
    if last then
      break
    end
  end
end

curio.run(function()
  local ctx = assert(ssl.create_default_context {
    purpose = "server", certfile = cert, keyfile = key, alpn = { "http/1.1" },
  })
  curio.spawn { function()
    local hangups <close> = signal.SignalQueue(signal.SIGHUP)
    while hangups:get() do
      print("Certificate read:", ctx:reload())
    end
  end, daemon = true }
  curio.tcp_server("", port, handler, { ssl = ctx, ready = function(addr)
    print("Server listening at " .. tostring(addr))
    io.stdout:flush()
  end })
end)
