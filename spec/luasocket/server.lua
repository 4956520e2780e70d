-- A server of HTTP for spec/luasocket/web.lua: what it answers is in the path, and often not what
-- one would like to be told.

local curio = require "curio"

local OK = "HTTP/1.1 200 OK\r\n"

local CHUNKED = OK .. "Transfer-Encoding: chunked\r\n\r\n"

local function moved(to, code)
  return ("HTTP/1.1 %s Moved\r\nLocation: %s\r\nContent-Length: 5\r\n\r\nmoved"):format(code, to)
end

-- By the path, what is sent before the connection is closed.
local ANSWERS = {
  ["/plain"] = OK .. "Content-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nplain",
  ["/until-closed"] = OK .. "\r\nuntil it is closed",
  ["/empty"] = OK .. "Content-Length: 0\r\n\r\n",
  ["/none"] = "HTTP/1.1 204 None\r\n\r\n",
  ["/chunked"] = CHUNKED .. "5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n",
  ["/chunked-trailer"] = CHUNKED .. "1\r\nx\r\n0\r\nX-Late: 1\r\n\r\n",
  ["/chunked-short"] = CHUNKED .. "5\r\nhel",
  ["/continue"] = "HTTP/1.1 100 Continue\r\n\r\n" .. OK .. "Content-Length: 2\r\n\r\nok",
  ["/multiline"] = OK .. "X-Long: one\r\n two\r\n\tthree\r\nContent-Length: 0\r\n\r\n",
  ["/short"] = OK .. "Content-Length: 10\r\n\r\nshort",
  ["/silent"] = "",
  ["/nonsense"] = "nonsense\r\n\r\n",
  ["/old"] = "old, without a status",
  ["/not-modified"] = "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
  ["/hundred"] = "HTTP/1.1 100 Continue\r\n\r\n",
  ["/missing"] = "HTTP/1.0 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
  ["/moved"] = moved("/plain", 302),
  ["/moved-here"] = moved("plain?x=y", 301),
  ["/see-other"] = moved("/plain", 303),
  ["/loop"] = moved("/loop", 302),
  ["/moved-nowhere"] = moved("http://127.0.0.1:1/", 302),
  ["/no-location"] = "HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno",
  ["/big"] = OK .. "\r\n" .. ("x"):rep(300000),
  ["/stuck"] = OK,
  ["/stuck-body"] = OK .. "Content-Length: 10\r\n\r\nstuck",
}

-- The body of a request, by its headers.
local function read_body(stream, headers)
  local length = headers:lower():match "content%-length: (%d+)"
  if length then
    return stream:read_exactly(tonumber(length))
  end
  local parts = {}
  if headers:lower():find("transfer-encoding: chunked", 1, true) then
    repeat
      local size = tonumber(stream:read(), 16) or 0
      parts[#parts + 1] = stream:read_exactly(size + 2)
    until size == 0
  end
  return table.concat(parts)
end

local function answer(client)
  local stream = client:as_stream()
  local head = stream:read_until("\r\n\r\n", { max = 65536 })
  if not head then
    return
  end
  local method, target, headers = head:match "^(%S+) (%S+) [^\r]*\r\n(.*)$"
  local path = target:gsub("^http://[^/]*", ""):gsub("%?.*", "")
  local body = read_body(stream, headers .. "\r\n") or ""
  local text = ANSWERS[path]
  if path == "/echo" then
    text = ("%s\r\n%s %d %s"):format(OK, method, #body, body:sub(1, 20))
  elseif path == "/headers" then
    local lines = {}
    for line in headers:gmatch "[^\r\n]+" do
      lines[#lines + 1] = line:gsub("127.0.0.1:%d+", "HOST")
    end
    table.sort(lines)
    text = OK .. "\r\n" .. table.concat(lines, "\n")
  elseif method == "HEAD" then
    text = text:match "^.-\r\n\r\n"
  end
  stream:write(text)
  stream:flush()
  if path:find("/stuck", 1, true) then
    stream:read "a" -- until the other has had enough
  end
end

-- Its port, and what ends it.
return function()
  local sock = assert(curio.tcp_server_socket("127.0.0.1", 0))
  local task = curio.spawn(curio.run_server, sock, answer)
  return assert(sock:getsockname()).port, setmetatable({}, { __close = function()
    task:cancel()
  end })
end
