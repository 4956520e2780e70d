-- A small web server for the files below a directory: GET and HEAD, connections that stay open,
-- files that the system sends without their passing through Lua.
--
--     curio examples/httpserv.lua [DIRECTORY [PORT]]

local curio = require "curio"

local directory, port = arg[1] or ".", tonumber(arg[2] or 8000)
local SECONDS = 30 -- in which a request has to come
local TYPES = { html = "text/html; charset=utf-8", txt = "text/plain; charset=utf-8",
  css = "text/css", js = "text/javascript", png = "image/png", jpg = "image/jpeg" }

local function respond(client, status, length, kind, body)
  assert(client:sendall(("HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Type: %s\r\n\r\n%s"):format(
    status, length, kind, body or "")))
end

local function refuse(client, status, method)
  respond(client, status, #status + 1, TYPES.txt, method ~= "HEAD" and status .. "\n")
end

-- The file of a path, to be closed, and its size; nil if there is none that may be read.
local function open(path)
  path = path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  local allowed = not (path .. "/"):find("/../", 1, true) and not path:find("\0", 1, true)
  local file = allowed and curio.aopen(directory .. path:gsub("/$", "/index.html"))
  if file and not select(2, file:read(1)) then -- reading a directory is an error
    return file, file:seek "end"
  end
end

local function answer(client, method, path)
  local file <close>, size = open(path)
  if method ~= "GET" and method ~= "HEAD" then
    return refuse(client, "501 Not Implemented")
  elseif not file then
    return refuse(client, "404 Not Found", method)
  end
  respond(client, "200 OK", size, TYPES[path:match "%.(%w+)$" or "html"] or "application/binary")
  if method == "GET" then
    assert(assert(client:sendfile(file, 0, size)) == size, "the file has become shorter")
  end
end

local function handle(client)
  local stream = client:as_stream()
  repeat
    local head = curio.ignore_after(SECONDS, stream.read_until, stream, "\r\n\r\n", { max = 16384 })
    local method, path, version = (head or ""):match "^(%u+) (/[^%s?]*)%S* HTTP/1%.(%d)"
    if method then
      answer(client, method, path)
    elseif head then
      return refuse(client, "400 Bad Request")
    end
  until not head or version == "0" or (head .. "\r\n"):lower():find "\r\nconnection:%s*close\r\n"
end

curio.run(curio.tcp_server, "", port, handle, { ready = function(addr)
  io.stdout:write("Server listening at ", tostring(addr), "\n"):flush()
end })
