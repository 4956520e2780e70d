-- Libraries written for LuaSocket, as they are, in tasks: LuaSocket's own http, smtp and ftp, and
-- redis-lua; against nginx, redis-server, and small servers written here.

local curio = require "curio"
local socket = require "curio.socket"
local helper = require "spec.helper"
local servers = require "spec.servers"
local sockets = require "spec.sockets"

local run = sockets.run

local before, path

setup(function()
  before, path = {}, package.path
  for _, name in ipairs { "socket", "socket.core" } do
    before[name] = package.loaded[name] or false
  end
  package.path = package.path .. ";/usr/share/lua/5.4/?.lua;/usr/share/lua/5.3/?.lua"
  require("curio.interop.luasocket").install()
end)

teardown(function()
  for name, module in pairs(before) do
    package.loaded[name] = module or nil
  end
  package.path = path
end)

-- Runs fn(i) in n tasks; their first results.
local function together(n, fn)
  local group <close> = curio.TaskGroup()
  for i = 1, n do
    group:spawn(fn, i)
  end
  group:join()
  return group.results
end

-- A server of HTTP that answers nobody before n requests are there; at most `most` were at once.
local function meeting(n)
  local seen = { now = 0, most = 0 }
  local all_here = curio.Event()
  local port, stop = servers.lines(function(read, write)
    local request = read()
    while read() ~= "" do
      seen.headers = (seen.headers or 0) + 1
    end
    seen.now = seen.now + 1
    seen.most = math.max(seen.most, seen.now)
    if seen.now == n then
      all_here:set()
    end
    all_here:wait()
    local body = "you asked for " .. (request:match "^GET (%S+)" or "nothing")
    write("HTTP/1.0 200 OK\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
  end)
  return port, stop, seen
end

describe("LuaSocket's http", function()
  it("fetches 100 URLs through nginx, all at once", run(function()
    local http = require "socket.http"
    local backend, _ <close>, seen = meeting(100)
    local nginx <close> = servers.nginx(([[
      location /slow/ {
        proxy_pass http://127.0.0.1:%d;
        proxy_read_timeout 60s;
      }]]):format(backend))
    local bodies = together(100, function(i)
      local body, code, headers = http.request(
        ("http://127.0.0.1:%d/slow/%d"):format(nginx.port, i))
      assert.equal(200, code)
      assert.matches("nginx", headers.server)
      return body
    end)
    for i = 1, 100 do
      assert.equal("you asked for /slow/" .. i, bodies[i])
    end
    assert.equal(100, seen.most)
  end))

  it("gets files whole, and in chunks; follows redirections; sends bodies", run(function()
    local http = require "socket.http"
    local ltn12 = require "ltn12"
    local nginx <close> = servers.nginx [[
      location /moved { return 302 /file; }
      location /put { return 201 "$request_method $content_length"; }]]
    local content = sockets.BIG:sub(1, 300000)
    helper.write(nginx.dir .. "/www/file", content)
    local base = "http://127.0.0.1:" .. nginx.port
    local body, code = http.request(base .. "/file")
    assert.equal(200, code)
    assert.is_true(body == content)
    body, code = http.request(base .. "/moved")
    assert.equal(200, code)
    assert.equal(#content, #body)
    local parts = {}
    local done, status = http.request {
      url = base .. "/put", method = "PUT", headers = { ["content-length"] = 5 },
      source = ltn12.source.string "hello", sink = ltn12.sink.table(parts),
    }
    assert.equal(1, done)
    assert.equal(201, status)
    assert.equal("PUT 5", table.concat(parts))
    assert.equal(404, select(2, http.request(base .. "/nothing")))
  end))

  it("reads a chunked body", run(function()
    local http = require "socket.http"
    local port, _ <close> = servers.lines(function(read, write)
      while read() ~= "" do
        curio.schedule()
      end
      write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
      write "5\r\nhello\r\n7\r\n, world\r\n0\r\n"
    end)
    assert.equal("hello, world", (http.request("http://127.0.0.1:" .. port .. "/")))
  end))

  it("tells errors as under LuaSocket", run(function()
    local http = require "socket.http"
    local sock <close> = assert(socket.socket())
    assert(sock:bind("127.0.0.1", 0))
    local port = sock:getsockname().port
    assert.same({ nil, "connection refused" }, { http.request("http://127.0.0.1:" .. port) })
    assert(sock:listen())
    local old = http.TIMEOUT
    http.TIMEOUT = 0.05
    assert.same({ nil, "timeout" }, { http.request("http://127.0.0.1:" .. port) })
    http.TIMEOUT = old
  end))

  it("is cancelled, and leaves no connection open", run(function()
    local http = require "socket.http"
    local closed = curio.Event()
    local port, _ <close> = servers.lines(function(read)
      while read() do
        curio.schedule()
      end
      closed:set()
    end)
    collectgarbage "stop" -- that would close it, too
    local _ <close> = helper.closing(function()
      collectgarbage "restart"
    end)
    local task = curio.spawn(http.request, "http://127.0.0.1:" .. port .. "/")
    sockets.until_asleep(task, "READ_WAIT")
    task:cancel()
    assert.is_true(curio.is(task.exception, curio.TaskCancelled))
    closed:wait()
    helper.raises(curio.TaskTimeout, function()
      curio.timeout_after(0.02, http.request, "http://127.0.0.1:" .. port .. "/")
    end)
  end))
end)

describe("redis-lua", function()
  it("runs 1,000 commands over 50 tasks", run(function()
    local redis = require "redis"
    local server <close> = servers.redis()
    local function connect()
      return redis.connect("127.0.0.1", server.port)
    end
    local watcher = connect()
    local before_all = watcher:info().stats.total_commands_processed
    local here, all_here = 0, curio.Event()
    together(50, function(i)
      local client = connect()
      assert.is_true(client:ping())
      here = here + 1
      if here == 50 then
        assert.equal("51", watcher:info().clients.connected_clients)
        all_here:set()
      end
      all_here:wait()
      for _ = 1, 17 do
        client:incr "count"
      end
      client:set("key:" .. i, ("x"):rep(i * 1000))
      assert.equal(i * 1000, #client:get("key:" .. i))
      client.network.socket:close()
    end)
    local after_all = watcher:info().stats.total_commands_processed
    assert.equal(1000 + 2, after_all - before_all) -- and two of the watcher's own
    assert.equal("850", watcher:get "count")
    assert.equal(51, watcher:dbsize())
    watcher:quit()
  end))

  it("waits in one task while others go on", run(function()
    local redis = require "redis"
    local server <close> = servers.redis()
    local group <close> = curio.TaskGroup()
    for i = 1, 10 do
      group:spawn(function()
        local client = redis.connect("127.0.0.1", server.port)
        local list, item = table.unpack(client:blpop("jobs", 0))
        client:rpush("done", list .. item)
        client:quit()
        return i
      end)
    end
    local client = redis.connect("127.0.0.1", server.port)
    repeat
      local blocked = tonumber(client:info().clients.blocked_clients)
    until blocked == 10
    for i = 1, 10 do
      client:rpush("jobs", i)
    end
    group:join()
    local done = client:lrange("done", 0, -1)
    table.sort(done)
    assert.same({ "jobs1", "jobs10", "jobs2", "jobs3", "jobs4", "jobs5", "jobs6", "jobs7", "jobs8",
      "jobs9" }, done)
    client:quit()
  end))
end)

describe("LuaSocket's smtp", function()
  it("sends mail, many at once", run(function()
    local smtp = require "socket.smtp"
    local mails, all_here = {}, curio.Event()
    local talking = 0
    local port, _ <close> = servers.smtp(function()
      talking = talking + 1
      if talking == 10 then
        all_here:set()
      end
      all_here:wait()
    end, function(mail)
      mails[mail.rcpt[1]] = mail
    end)
    together(10, function(i)
      assert(smtp.send {
        from = "<me@here>", rcpt = { ("<you%d@there>"):format(i), "<all@there>" },
        source = smtp.message { headers = { subject = "mail " .. i }, body = "one\r\n.\r\nthree" },
        server = "127.0.0.1", port = port, user = "me", password = "secret",
      })
    end)
    for i = 1, 10 do
      local mail = mails[("you%d@there"):format(i)]
      assert.equal("all@there", mail.rcpt[2])
      local text = table.concat(mail.data, "\n")
      assert.matches("Subject: mail " .. i, text)
      assert.matches("\n\none\n%.%.\nthree$", text)
    end
  end))

  it("is told of refusals", run(function()
    local smtp = require "socket.smtp"
    local port, _ <close> = servers.lines(function(_, write)
      write "554 go away"
    end)
    assert.same({ nil, "554 go away" }, {
      smtp.send { from = "<a@b>", rcpt = "<c@d>", source = smtp.message { body = "x" },
        server = "127.0.0.1", port = port },
    })
  end))
end)

describe("LuaSocket's ftp", function()
  it("puts and gets files", run(function()
    local ftp = require "socket.ftp"
    local files = { hello = "hello, world\n" }
    local port, _ <close> = servers.ftp(files)
    local base = ("ftp://me:secret@127.0.0.1:%d/"):format(port)
    assert.equal("hello, world\n", assert(ftp.get(base .. "hello;type=i")))
    local content = sockets.BIG:sub(1, 200000)
    together(5, function(i)
      assert.equal(#content, assert(ftp.put(base .. i .. ";type=i", content)))
      assert.is_true(content == assert(ftp.get(base .. i .. ";type=i")))
    end)
    assert.is_true(files["3"] == content)
    assert.same({ nil, "550 no such file" }, { ftp.get(base .. "nothing") })
  end))
end)
