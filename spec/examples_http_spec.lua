-- The examples that speak HTTP, and WebSocket.

local curio = require "curio"
local example = require "spec.example"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local subprocess = require "curio.subprocess"
local testing = require "curio.testing"
local tls = require "spec.tls"

local it = testing.it(it)
local base = "http://127.0.0.1:%d"

-- A directory with these files, and what removes it.
local function directory(files)
  local path = assert(subprocess.check_output { "mktemp", "-d" }):match "[^\n]+"
  for name, text in pairs(files) do
    subprocess.run { "mkdir", "-p", (path .. "/" .. name):match "^(.*)/" }
    helper.write(path .. "/" .. name, text)
  end
  return path, helper.closing(function()
    os.execute("rm -rf " .. helper.quote(path))
  end)
end

-- A server that says this to any request; its URL, and what ends it.
local function answering(...)
  local answers, turn = { ... }, 0
  local listener, addr = sockets.listener()
  local server = curio.spawn(curio.run_server, listener, function(client)
    client:as_stream():read_until "\r\n\r\n"
    turn = turn + 1
    client:sendall(answers[turn] or answers[#answers])
  end)
  return "http://" .. tostring(addr), helper.closing(function()
    server:cancel()
  end)
end

describe("examples/httpserv.lua", function()
  local big = ("0123456789abcdef"):rep(100000)
  local function served()
    local path, removing = directory { ["index.html"] = "home\n", ["a b.txt"] = "text",
      ["sub/big.bin"] = big, ["empty.css"] = "" }
    local port, ending = example.serve("httpserv", path, "0")
    return base:format(port), helper.closing(function()
      local _ <close> = removing
      local _ <close> = ending
    end)
  end

  local function curl(...)
    return assert(subprocess.check_output { "curl", "-sS", "--max-time", "20", ... })
  end

  it("gives its files, several over one connection", function()
    local url, _ <close> = served()
    assert.equal("home\ntexthome\n", curl(url .. "/", url .. "/a%20b.txt", url .. "/?x=1"))
    assert.is_true(curl(url .. "/sub/big.bin") == big)
    assert.equal("200 0 1", curl("-w", "%{http_code} %{size_download} %{num_connects}",
      url .. "/empty.css"))
    assert.matches("0$", curl("-w", "%{num_connects}", "-o", "/dev/null", url .. "/", "-o",
      "/dev/null", url .. "/"))
  end)

  it("tells types and lengths, and to HEAD nothing else", function()
    local url, _ <close> = served()
    local head = curl("-I", url .. "/sub/big.bin")
    assert.matches("^HTTP/1.1 200 OK\r\n", head)
    assert.matches("Content%-Length: 1600000\r\n", head)
    assert.matches("Content%-Type: application/binary\r\n", head)
    assert.matches("Content%-Type: text/plain; charset=utf%-8\r\n", curl("-I", url .. "/a%20b.txt"))
    assert.matches("404.*200", curl("-I", url .. "/none", url .. "/"))
  end)

  it("refuses what is not there, lies elsewhere, or is no request", function()
    local url, _ <close> = served()
    local function status(...)
      return curl("-o", "/dev/null", "-w", "%{http_code}", "--path-as-is", ...)
    end
    assert.equal("404", status(url .. "/none"))
    assert.equal("404", status(url .. "/sub"))
    assert.equal("404", status(url .. "/../../../../../../etc/passwd"))
    assert.equal("404", status(url .. "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd"))
    assert.equal("404", status(url .. "/index.html%00"))
    assert.equal("501", status("-X", "DELETE", url .. "/"))
    assert.equal("400", status("-X", "bad", url .. "/"))
  end)
end)

describe("examples/fetch.lua", function()
  local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    .. "6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n"

  it("prints pages in the order asked for, of all kinds of length", function()
    local one, _ <close> = answering(CHUNKED)
    local two, _ <close> = answering "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n, and more"
    local three, _ <close> = answering "HTTP/1.0 200 OK\r\n\r\n to its end\n"
    local text, status = example.run("fetch", two, one, three)
    assert.equal(", hello world to its end\n", text)
    assert.equal(0, status)
  end)

  it("follows redirects, and not for ever", function()
    local aim, _ <close> = answering "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Y:  z \r\n\r\naim\n"
    local way, _ <close> = answering(
      "HTTP/1.1 302 Found\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 302 Found\r\nLocation: " .. aim .. "/there\r\nContent-Length: 0\r\n\r\n")
    local text, status = example.run("fetch", "-i", way)
    assert.matches("^200\t" .. aim:gsub("%p", "%%%0") .. "/there\n", text)
    assert.matches("x%-y: z\n", text)
    assert.matches("\n\naim\n$", text)
    assert.equal(0, status)
    local circle, _ <close> = answering(
      "HTTP/1.1 301 Moved\r\nLocation: next\r\nContent-Length: 0\r\n\r\n")
    text, status = example.run("fetch", circle)
    assert.equal(circle .. ": too many redirects\n", text)
    assert.equal(1, status)
  end)

  it("says what is wrong", function()
    local cut, _ <close> = answering "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"
    local strange, _ <close> = answering "220 mail ready\r\n"
    local missing, _ <close> = answering "HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nno\n"
    local text, status = example.run("fetch", "gopher://x", cut, strange, missing)
    assert.equal(1, status)
    assert.matches("gopher://x: no URL of http or https\n", text)
    assert.matches("ended after 5 of 9 bytes\n", text)
    assert.matches("that is not HTTP\n", text)
    assert.matches("no\n", text)
  end)

  it("speaks TLS, and trusts whom it is told to", function()
    local made = tls.certificates()
    local _ <close> = helper.closing(made.remove)
    local port, _ <close> = example.serve("https_server", made.server.cert, made.server.key, "0")
    local url = ("https://localhost:%d/page"):format(port)
    local text, status = example.run_with({ env = { CAFILE = made.ca.ca } }, "fetch", url)
    assert.matches("^You are %S+ and asked for /page by TLSv1.3", text)
    assert.equal(0, status)
    text, status = example.run("fetch", url)
    assert.matches("SSLCertVerificationError", text)
    assert.equal(1, status)
  end)
end)

describe("examples/crawler.lua", function()
  it("gets every page of a site once, and tells where links are broken", function()
    local path, _ <close> = directory {
      ["index.html"] = [[<a href="one.html">1</a> <A HREF='/sub/'>s</A> <a href="#top">t</a>
        <a href="mailto:x@y">m</a> <a href="http://elsewhere.invalid/">e</a>]],
      ["one.html"] = [[<a href="sub/../index.html">back</a> <a href="gone.html">gone</a>]],
      ["sub/index.html"] = [[<a href="../one.html#part">1</a> <a href="data.txt">d</a>]],
      ["sub/data.txt"] = [[<a href="never.html">no HTML</a>]],
    }
    local port, _ <close> = example.serve("httpserv", path, "0")
    local url = base:format(port)
    local text, status = example.run("crawler", url, "3")
    local lines = {}
    for line in text:gmatch "[^\n]+" do
      lines[#lines + 1] = line:gsub("\t+$", "")
    end
    table.sort(lines)
    assert.same({
      "200\t" .. url .. "/",
      "200\t" .. url .. "/index.html",
      "200\t" .. url .. "/one.html",
      "200\t" .. url .. "/sub/",
      "200\t" .. url .. "/sub/data.txt",
      "404\t" .. url .. "/gone.html\tlinked from " .. url .. "/one.html",
    }, lines)
    assert.equal(0, status)
  end)
end)

describe("examples/requests.lua", function()
  it("fetches all pages at the same time", function()
    local here, all_here = 0, curio.Event()
    local listener, addr = sockets.listener()
    local server = curio.spawn(curio.run_server, listener, function(client)
      client:as_stream():read_until "\r\n\r\n"
      here = here + 1
      if here == 20 then
        all_here:set()
      end
      all_here:wait() -- nobody is answered before all have asked
      client:sendall "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    end)
    local urls = {}
    for i = 1, 20 do
      urls[i] = ("http://%s/%d"):format(addr, i)
    end
    local text, status = example.run("requests", table.unpack(urls))
    assert.equal(20, select(2, text:gsub("200       2 bytes  http://%S+/%d+\n", "")))
    assert.equal(0, status)
    server:cancel()
    assert.matches("^failed: connection refused  ", (example.run("requests", urls[1])))
  end)
end)
