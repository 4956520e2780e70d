-- Other people's servers, for the specs that talk with them: each with its files in a temporary
-- directory, on a free port of 127.0.0.1, ended by its pid.

local curio = require "curio"
local socket = require "curio.socket"
local subprocess = require "curio.subprocess"
local helper = require "spec.helper"
local sockets = require "spec.sockets"

local M = {}

local function free_port()
  local sock <close> = assert(socket.socket())
  assert(sock:bind("127.0.0.1", 0))
  return assert(sock:getsockname()).port
end

local Server = {}
Server.__index = Server

function Server.__close(server)
  if server.process then
    server.process:terminate()
    server.process:wait()
  end
  os.execute("rm -rf " .. helper.quote(server.dir))
end

-- Waits until it accepts connections: true; false if it has ended, as when the port was taken.
local function answers(server)
  while not server.process:poll() do
    local sock = socket.create_connection("127.0.0.1", server.port)
    if sock then
      sock:close()
      return true
    end
    curio.sleep(0.02)
  end
  return false
end

-- Whether it has come up.
local function try(server)
  local args = server.command(server.dir, server.port)
  args.stdin = subprocess.DEVNULL
  args.stdout = assert(io.open(server.dir .. "/log", "w"))
  args.stderr = subprocess.STDOUT
  server.process = assert(subprocess.Popen(args))
  args.stdout:close()
  if curio.timeout_after(helper.PATIENCE, answers, server) then
    return true
  end
  server.process:wait()
  server.process = nil
  return false
end

-- command(dir, port) gives the command. Somebody else may take the port meanwhile, so it tries
-- again with another.
local function start(command)
  local server = setmetatable({ dir = helper.output_of("mktemp -d"):match "[^\n]+" }, Server)
  server.command = command
  local given = false
  local _ <close> = helper.closing(function()
    if not given then
      Server.__close(server)
    end
  end)
  for _ = 1, 5 do
    server.port = free_port()
    given = try(server)
    if given then
      return server
    end
  end
  error("it does not start: " .. helper.read(server.dir .. "/log"))
end

-- Ends it without a chance to put anything in order.
function Server:kill()
  self.process:kill()
  self.process:wait()
  self.process = nil
end

-- Starts it once more where it was, with what it had. If the port is somebody else's for the
-- moment, as a connection's own may be, it goes on trying.
function Server:start_again()
  curio.timeout_after(helper.PATIENCE, function()
    while not try(self) do
      curio.sleep(0.05)
    end
  end)
end

local NGINX = [[
daemon off;
master_process off;
pid %s/pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %s/body;
  proxy_temp_path %s/proxy;
  fastcgi_temp_path %s/fastcgi;
  uwsgi_temp_path %s/uwsgi;
  scgi_temp_path %s/scgi;
  server {
    listen 127.0.0.1:PORT %s backlog=511;
    root %s/www;
%s
  }
}
]]

-- nginx, with these lines in its server { }, and words after its port such as "ssl". Its documents
-- are in server.dir .. "/www".
function M.nginx(lines, words)
  return start(function(dir, port)
    local text = NGINX:format(dir, dir, dir, dir, dir, dir, words or "", dir, lines or "")
    helper.write(dir .. "/conf", (text:gsub("PORT", port)))
    os.execute("mkdir -p " .. helper.quote(dir .. "/www"))
    return { "/usr/sbin/nginx", "-p", dir, "-e", "stderr", "-c", dir .. "/conf" }
  end)
end

-- redis-server, which keeps nothing; or with `durable` has everything on disk before it answers.
-- Its directory has a Unix socket, too.
function M.redis(durable)
  return start(function(dir, port)
    return {
      "redis-server", "--port", tostring(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "",
      "--appendonly", durable and "yes" or "no", "--appendfsync", "always",
      "--unixsocket", dir .. "/socket",
    }
  end)
end

-- A server written here: handler(lines) is given a function that reads a line, and one that writes
-- one. Its port, and what ends it.
function M.lines(handler)
  local sock = assert(curio.tcp_server_socket("127.0.0.1", 0))
  local task = curio.spawn(curio.run_server, sock, function(client)
    local stream = client:as_stream()
    handler(function()
      local line = stream:read()
      return line and line:gsub("\r$", "")
    end, function(text)
      stream:write(text, "\r\n")
      stream:flush()
    end)
  end)
  return assert(sock:getsockname()).port, helper.closing(function()
    task:cancel()
  end)
end

-- A small SMTP server: begin() is called for each connection, done(mail) for each mail. It refuses
-- recipients with "nobody" in them, and mails with "rubbish".
function M.smtp(begin, done)
  return M.lines(function(read, write)
    local mail = { rcpt = {}, data = {} }
    begin()
    write "220 here"
    for line in read do
      local verb = line:match "^%a+":upper()
      if verb == "EHLO" then
        write "250-here\r\n250 AUTH PLAIN"
      elseif verb == "RCPT" and line:find "nobody" then
        write "550 nobody of that name"
      elseif verb == "RCPT" then
        table.insert(mail.rcpt, line:match "<(.-)>")
        write "250 ok"
      elseif verb == "DATA" then
        write "354 go on"
        for text in read do
          if text == "." then
            break
          end
          table.insert(mail.data, text)
        end
        done(mail)
        write(table.concat(mail.data):find "rubbish" and "554 rubbish" or "250 ok")
      elseif verb == "QUIT" then
        write "221 bye"
        return
      else
        write "250 ok"
      end
    end
  end)
end

-- A small FTP server: files is a table of what it has.
function M.ftp(files)
  return M.lines(function(read, write)
    local listener <close> = assert(curio.tcp_server_socket("127.0.0.1", 0))
    write "220 here"
    for line in read do
      local verb, argument = line:match "^(%a+) ?(.*)$"
      verb = verb:upper()
      if verb == "USER" then
        write "331 and?"
      elseif verb == "EPSV" then
        write(("229 there (|||%d|)"):format(listener:getsockname().port))
      elseif verb == "PASV" then
        local port = listener:getsockname().port
        write(("227 there (127,0,0,1,%d,%d)"):format(port // 256, port % 256))
      elseif verb == "RETR" and not files[argument] then
        write "550 no such file"
      elseif verb == "RETR" or verb == "STOR" then
        write "150 coming"
        local data <close> = assert(listener:accept())
        if verb == "RETR" then
          data:sendall(files[argument])
        else
          files[argument] = sockets.receive_all(data)
        end
        data:close()
        write "226 done"
      elseif verb == "QUIT" then
        write "221 bye"
        return
      elseif verb == "PASS" then
        write "230 welcome"
      else
        write "200 ok"
      end
    end
  end)
end

return M
