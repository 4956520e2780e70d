-- The methods of plain sockets by TLS: all are there, and work or say why not.

local core = require "curio.core"
local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local tls = require "spec.tls"

local run = sockets.run
local file_of = helper.file_of
local BIG = sockets.BIG
local ends = tls.ends(setup, teardown)
local pair = ends.pair

-- The same over streams.
local function tunnels()
  local a, b = sockets.tcp_pair()
  local accepting = curio.spawn(ends.server.wrap_socket, ends.server, b:as_stream())
  local client = assert(ends.client:wrap_socket(a:as_stream(), { server_hostname = "localhost" }))
  local server = assert(accepting:join())
  return client, server, sockets.closer(client, server)
end

local kinds = { ["over a socket"] = pair, ["over a stream"] = tunnels }

for kind, connect in pairs(kinds) do
  describe("A TLS socket " .. kind, function()
    it("has every method that a plain one has", run(function()
      local a, _, _ <close> = connect()
      for name in pairs(core.socket.methods) do
        assert(name:find "^_" or type(a[name]) == "function", name .. " is missing")
      end
    end))

    it("says why it does not do some", run(function()
      local a, _, _ <close> = connect()
      for _, name in ipairs { "accept", "bind", "clients", "connect", "detach", "listen",
        "recv_fds", "recvfrom", "recvmsg", "send_fds", "sendmsg", "sendto" } do
        assert.error_matches(function()
          a[name](a, "x", 1)
        end, name .. ": not by TLS: %w+")
      end
    end))

    it("sends a file, or a part of it, and leaves its position", run(function()
      local a, b, _ <close> = connect()
      local file <close>, _tmp = file_of(BIG)
      local _ <close> = _tmp
      file:seek("set", 3)
      local reader = curio.spawn(sockets.receive_all, b)
      assert.equal(4, a:sendfile(file, 2, 4))
      assert.equal(0, a:sendfile(file, #BIG + 5))
      assert.equal(0, a:sendfile(file, 0, 0))
      assert.equal(#BIG - 1, a:sendfile(file, 1))
      a:shutdown "wr"
      assert.is_true(BIG:sub(3, 6) .. BIG:sub(2) == reader:join())
      assert.equal(3, file:seek())
    end))

    it("tells how much of a file was sent when it is cancelled", run(function()
      local a, b, _ <close> = connect()
      local file <close>, _tmp = file_of(BIG)
      local _ <close> = _tmp
      local task = curio.spawn(a.sendfile, a, file)
      local _ = b:recv(1)
      sockets.until_asleep(task, "WRITE_WAIT")
      task:cancel()
      local sent = task.exception.bytes_sent
      assert.is_true(curio.is(task.exception, curio.TaskCancelled))
      assert.is_true(sent > 0 and sent < #BIG)
    end))

    it("refuses to send what is no file, and returns what the system refuses", run(function()
      local a, b, _ <close> = connect()
      local file <close>, _tmp = file_of "text"
      local _ <close> = _tmp
      assert.error_matches(function() a:sendfile "name" end, "descriptor or object with fileno")
      assert.error_matches(function() a:sendfile(file, -1) end, "the offset must be 0 or more")
      assert.error_matches(function() a:sendfile(file, 0, -1) end, "bytes must be 0 or more")
      local directory <close> = assert(io.open "/tmp")
      assert.equal(0, sockets.is_os_error("EISDIR", "sendfile", a:sendfile(directory)).bytes_sent)
      a:close()
      assert.equal(0, sockets.is_closed_error(a:sendfile(file)).bytes_sent)
      sockets.is_closed_error(a:sendall "")
      b:close()
    end))
  end)
end

describe("sendfile by TLS", function()
  it("is woken by closing with nil and ClosedError", run(function()
    local a, _, _ <close> = pair()
    local file <close>, _tmp = file_of(BIG)
    local _ <close> = _tmp
    assert.is_true(sockets.closed("WRITE_WAIT", a, "sendfile", file).bytes_sent > 0)
  end))

  it("notices that the file is closed meanwhile", run(function()
    local a, b, _ <close> = pair()
    local file, _tmp = file_of(BIG)
    local _ <close> = _tmp
    local task = curio.spawn(a.sendfile, a, file)
    sockets.until_asleep(task, "WRITE_WAIT")
    file:close()
    local reader = curio.spawn(sockets.receive_all, b)
    task:join()
    local err = sockets.is_closed_error(task.results[1], task.results[2])
    a:shutdown "wr"
    assert.equal(err.bytes_sent, #reader:join())
  end))
end)
