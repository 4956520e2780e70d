-- A small HTTP client for fetch.lua and crawler.lua: get(url, ssl_context) gives a table with
-- status, headers (in lower case) and body, or nil and why not. Time limits are the caller's.

local curio = require "curio"

local LONGEST = 64 << 20 -- bytes of a body

local function need(value, what) return value or error(what or "the server has gone", 0) end

local function parse(url)
  local scheme, where, path = url:match "^(https?)://([^/?#]+)([^#]*)"
  local secure = need(scheme, "no URL of http or https") == "https"
  local host, port = where:match "^(.*):(%d+)$"
  return (host or where):gsub("[][]", ""), tonumber(port or secure and 443 or 80), secure, where,
    path:find "^/" and path or "/" .. path
end

local function line_of(stream)
  return (need(stream:readline("l", { max = 16384 })):gsub("\r$", ""))
end

local function headers_of(stream)
  local headers, header = {}, "^([^:]+):[ \t]*(.-)[ \t]*$"
  for name, value in function() return line_of(stream):match(header) end do
    headers[name:lower()] = value
  end
  return headers
end

local function exactly(stream, n, room)
  return need(n and n <= room, "it is too long") and n == 0 and "" or need(stream:read_exactly(n))
end

local function body_of(stream, headers)
  if (headers["transfer-encoding"] or ""):lower() ~= "chunked" then
    local length = headers["content-length"]
    return length and exactly(stream, tonumber(length), LONGEST) or need(stream:readall())
  end
  local body = ""
  repeat
    local size = tonumber(line_of(stream):match "^%x*", 16)
    body = body .. exactly(stream, size, LONGEST - #body)
  until line_of(stream) ~= "" or size == 0
  return body
end

local function get(url, ctx)
  local host, port, secure, where, path = parse(url)
  local sock <close> = assert(curio.open_connection(host, port, { ssl = secure and (ctx or true) }))
  local stream = sock:as_stream()
  assert(stream:write("GET ", path, " HTTP/1.1\r\nHost: ", where, "\r\nConnection: close\r\n\r\n"))
  local status = need(line_of(stream):match "^HTTP/1%.%d (%d%d%d)", "that is not HTTP")
  local headers = headers_of(stream)
  return { status = tonumber(status), headers = headers, body = body_of(stream, headers) }
end

return function(url, ctx)
  local ok, result = curio.pcall(get, url, ctx)
  return ok and result or nil, not ok and result or nil
end
