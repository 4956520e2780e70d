-- LuaSocket's smtp and ftp against small servers: under both implementations of `socket` they ought
-- to come to the same. The servers' ports are in the environment.

local socket = ...
local ftp = require "socket.ftp"
local ltn12 = require "ltn12"
local smtp = require "socket.smtp"
local shown = require "spec.luasocket.show"
local show, try = shown.show, shown.try

local SMTP_PORT, FTP_PORT = os.getenv "SMTP_PORT", os.getenv "FTP_PORT"

-- ---- smtp ----

local function send(t)
  t.server, t.port = t.server or "127.0.0.1", t.port or SMTP_PORT
  t.from = t.from or "<me@here>"
  show(smtp.send(t))
end

local function mail(body)
  return smtp.message { headers = { subject = "s", date = "d" }, body = body }
end

send { rcpt = "<one@there>", source = mail "hello" }
send { rcpt = { "<one@there>", "<two@there>" }, source = mail "one\r\n.\r\n..two\r\n" }
send { rcpt = { "<one@there>", "<nobody@there>" }, source = mail "x" }
send { rcpt = "<one@there>", source = mail "rubbish" }
send { rcpt = "<one@there>", source = mail(("0123456789"):rep(20000)) }
send { rcpt = "<one@there>", source = mail "x", user = "me", password = "secret" }
send { rcpt = "<one@there>", source = mail { preamble = "p", epilogue = "e",
  { headers = { ["content-type"] = "text/plain" }, body = "part one" }, { body = "part two" } } }
send { rcpt = "<one@there>", source = function() return nil, "the source fails" end }
send { rcpt = "<one@there>", source = mail "x", port = "1" }
send { rcpt = "<one@there>", source = mail "x", create = function() return nil, "none" end }
try(smtp.send, { rcpt = "<one@there>", server = "127.0.0.1", port = SMTP_PORT })
smtp.TIMEOUT = 0.05
local silent = assert(socket.bind("127.0.0.1", 0))
send { rcpt = "<one@there>", source = mail "x", port = select(2, silent:getsockname()) }
silent:close()

-- ---- ftp ----

local base = ("ftp://me:secret@127.0.0.1:%s/"):format(FTP_PORT)

show(ftp.get(base .. "hello"))
show(ftp.get(base .. "hello;type=i"))
show(ftp.get(base .. "hello;type=a"))
show(ftp.get(base .. "nothing"))
show(ftp.get(base .. "empty"))
show(ftp.put(base .. "mine", "of my own"))
show(ftp.get(base .. "mine"))
show(ftp.put(base .. "big", ("0123456789"):rep(20000)))
show(#ftp.get(base .. "big"))
local parts = {}
show(ftp.get { host = "127.0.0.1", port = FTP_PORT, user = "me", password = "secret",
  path = "hello", sink = ltn12.sink.table(parts) })
show(table.concat(parts))
show(ftp.get { host = "127.0.0.1", port = FTP_PORT, path = "hello",
  sink = function() return nil, "the sink fails" end })
show(ftp.put { host = "127.0.0.1", port = FTP_PORT, path = "mine",
  source = function() return nil, "the source fails" end })
show(ftp.get { host = "127.0.0.1", port = 1, path = "hello", sink = ltn12.sink.null() })
show(ftp.command { host = "127.0.0.1", port = FTP_PORT, command = "noop", check = 200 })
show(ftp.command { host = "127.0.0.1", port = FTP_PORT, command = "noop", check = 500 })
try(ftp.get, "http://127.0.0.1/")
try(ftp.get, {})
try(ftp.put, base .. "mine")
