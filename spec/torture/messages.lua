-- Datagrams, messages, and descriptors that travel with them, some of them more than are wanted.
local curio = require "curio"
local socket = require "curio.socket"

local _ <close> = curio.timeout_after(2)

local function exchange()
  local a <close>, b = assert(socket.socketpair(nil, socket.SOCK_DGRAM))
  local _ <close> = b
  assert(a:sendmsg({ "one", "two" }, { { socket.SOL_SOCKET, socket.SCM_RIGHTS,
    string.pack("ii", 0, 1) } }))
  local data, ancillary = assert(b:recvmsg(100, socket.CMSG_SPACE(8)))
  assert(data == "onetwo")
  local first, second = string.unpack("ii", ancillary[1].data)
  assert(socket.close(first) and socket.close(second))
  assert(a:send_fds("x", { 0, 1, 2 }))
  local _, fds = assert(b:recv_fds(10, 2))
  for _, fd in ipairs(fds) do
    assert(socket.close(fd))
  end
end

local function datagrams()
  local a <close> = assert(socket.socket(nil, socket.SOCK_DGRAM))
  assert(a:bind("127.0.0.1", 0))
  local addr = assert(a:getsockname())
  assert(a:sendto("hello", addr))
  local data, from = assert(a:recvfrom(100))
  assert(data == "hello" and from == addr)
  assert(a:sendmsg({ "by", "name" }, nil, 0, "localhost", addr.port))
  assert(a:recvmsg(100) == "byname")
  assert(a:setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, { "239.255.77.1", "lo" }))
end

exchange()
datagrams()
print "ok"
