-- STARTTLS: a mail server is asked in plain text to go on by TLS, on the same connection.
--
--     curio examples/starttls.lua mail.example.org [PORT [CAFILE]]

local curio = require "curio"
local ssl = require "curio.ssl"

local host, port, cafile = arg[1], tonumber(arg[2] or 25), arg[3]

-- A reply may have several lines; all but the last have a dash behind the code.
local function reply(sock)
  local text = ""
  while not text:match "%f[^\n\0]%d%d%d [^\n]*\n$" do
    text = text .. assert(sock:recv(1000), "the server has gone")
  end
  return text
end

local function ask(sock, line)
  assert(sock:sendall(line .. "\r\n"))
  return reply(sock)
end

curio.run(function()
  local ctx = assert(ssl.create_default_context { cafile = cafile })
  local plain <close> = assert(curio.open_connection(host, port, { timeout = 30 }))
  print("In the clear: " .. reply(plain):match "[^\r\n]*")
  assert(ask(plain, "EHLO localhost"):find "STARTTLS", "the server does not offer STARTTLS")
  assert(ask(plain, "STARTTLS"):find "^220", "the server refuses STARTTLS")

  -- What has been read so far ends with the reply: nothing of TLS can have been lost.
  local sock <close> = assert(ctx:wrap_socket(plain, { server_hostname = host }))
  print(("By %s: %s"):format(sock:version(), ask(sock, "EHLO localhost"):match "[^\r\n]*"))
  ask(sock, "QUIT")
end)
