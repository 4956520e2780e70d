-- LuaSocket's http against a server that answers by the path: under both implementations of
-- `socket` it ought to come to the same. Its port is in the environment.

local socket = ...
local http = require "socket.http"
local ltn12 = require "ltn12"
local shown = require "spec.luasocket.show"
local show, try = shown.show, shown.try

http.USERAGENT = "me"

local base = "http://127.0.0.1:" .. os.getenv "HTTP_PORT"

local function hide(text)
  return type(text) == "string" and text:gsub(":%d%d%d+", ":PORT") or text
end

local function headers_of(headers)
  local list = {}
  for name, value in pairs(headers or {}) do
    list[#list + 1] = name .. "=" .. hide(value)
  end
  table.sort(list)
  return table.concat(list, ",")
end

-- The simple form.
local function get(path, body)
  local text, code, headers, status = http.request(base .. path, body)
  show(path, hide(text), code, headers_of(type(headers) == "table" and headers), status)
end

-- The general form.
local function request(t)
  local parts = {}
  t.url, t.sink = base .. t.url, t.sink or ltn12.sink.table(parts)
  local done, code, headers, status = http.request(t)
  show(done, code, headers_of(headers), status, hide(table.concat(parts)))
end

for path in ("/plain /until-closed /empty /none /chunked /chunked-trailer /chunked-short /continue "
  .. "/multiline /short /silent /nonsense /old /not-modified /hundred /missing /moved /moved-here "
  .. "/loop /moved-nowhere /see-other /no-location"):gmatch "%S+" do
  get(path)
end
get("/echo", "the body")
get("/echo", "")
get("/moved", "posted")
request { url = "/plain", method = "HEAD" }
request { url = "/moved", redirect = false }
request { url = "/loop", maxredirects = 2 }
request { url = "/echo", method = "PUT", source = ltn12.source.string(("x"):rep(10000)),
  headers = { ["content-length"] = 10000 } }
request { url = "/echo", method = "PUT", source = ltn12.source.string "chunked" }
request { url = "/echo", method = "DELETE" }
request { url = "/headers", headers = { ["X-Mine"] = "1", ["user-agent"] = "you" } }
request { url = "/headers", user = "me", password = "secret" }
request { url = "/plain", proxy = base }
request { url = "/plain", proxy = "http://127.0.0.1:1" }
request { url = "/echo", method = "PUT", source = function() return nil, "the source fails" end }
request { url = "/big", sink = function(chunk) return not chunk, "the sink fails" end }
request { url = "/big", step = function(source, sink)
  local chunk, err = source()
  local done, failure = sink(chunk and "step", err)
  return chunk and done, err or failure
end }
request { url = "/plain", create = function()
  return socket.tcp()
end }
request { url = "/plain", create = function()
  return nil, "no more sockets"
end }
try(http.request, "http://127.0.0.1:1/")
try(http.request, "gopher://127.0.0.1/")
try(http.request, "no url")
try(http.request, {})
try(http.request)
show(http.request("http://me:secret@" .. base:sub(8) .. "/headers"))
http.PROXY = base
get "/plain"
http.PROXY = nil
http.TIMEOUT = 0.05
get "/stuck"
get "/stuck-body"
