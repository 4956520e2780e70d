-- One request by HTTPS, with nothing but a stream.
--
--     curio examples/https_request.lua www.python.org [PATH [PORT [CAFILE]]]

local curio = require "curio"
local ssl = require "curio.ssl"

local host, path, port, cafile = arg[1], arg[2] or "/", tonumber(arg[3] or 443), arg[4]

curio.run(function()
  local ctx = assert(ssl.create_default_context { cafile = cafile, alpn = { "http/1.1" } })
  local sock <close> = assert(curio.open_connection(host, port, { ssl = ctx, timeout = 30 }))
  local stream = sock:as_stream()
  -- By version 1.0 no page comes in chunks; httpclient.lua can put them together.
  stream:write("GET ", path, " HTTP/1.0\r\nHost: ", host, "\r\nConnection: close\r\n\r\n")
  print((assert(stream:read "l"):gsub("\r$", "")))

  local length
  for line in stream:lines() do
    if line == "\r" then
      break
    end
    length = tonumber(line:match "^[Cc]ontent%-[Ll]ength: *(%d+)") or length
  end
  -- Without a length the end of the stream is the end of the page. TLS tells it from a cut.
  io.write(assert(length and stream:read_exactly(length) or stream:readall()))
end)
