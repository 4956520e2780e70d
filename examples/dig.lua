-- Asks a name server: by UDP, again when no answer comes, and by TCP when the answer is too long
-- for a datagram. (What programs want as a rule is curio.socket.getaddrinfo.)
--
--     curio examples/dig.lua NAME [TYPE [SERVER [PORT]]]      else A, and as resolv.conf has it

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path -- for its neighbour

local curio = require "curio"
local dnsmessage = require "dnsmessage"
local socket = require "curio.socket"

local TRIES, SECONDS = 3, 2

local function default_server()
  local file <close> = assert(io.open "/etc/resolv.conf")
  return assert(("\n" .. file:read "a"):match "\nnameserver%s+(%S+)", "no server in resolv.conf")
end

-- What is no answer to the question is passed over: anybody may send datagrams.
local function receive(sock, query)
  while true do
    local ok, lines, cut, code = pcall(dnsmessage.read, assert(sock:recv(4096)), query)
    if ok then
      return lines, cut, code
    end
  end
end

local function by_udp(addr, query)
  local sock <close> = assert(socket.socket(addr.family, socket.SOCK_DGRAM))
  assert(sock:connect(addr))
  for _ = 1, TRIES do
    assert(sock:send(query))
    local lines, cut, code = curio.ignore_after(SECONDS, receive, sock, query)
    if lines then
      return lines, cut, code
    end
  end
  error("no answer from " .. tostring(addr), 0)
end

local function by_tcp(addr, query)
  local sock <close> = assert(curio.open_connection(addr.host, addr.port, { timeout = SECONDS }))
  assert(sock:sendall((">s2"):pack(query)))
  local stream = sock:as_stream()
  local length = (">I2"):unpack(assert(stream:read_exactly(2)))
  local lines, _, code = dnsmessage.read(assert(stream:read_exactly(length)), query)
  return lines, code
end

curio.run(function(name, kind, server, port)
  local addr = assert(socket.getaddrinfo(server or default_server(), port or 53))[1].addr
  local query = dnsmessage.query(math.random(0, 65535), name, (kind or "A"):upper())
  local lines, cut, code = by_udp(addr, query)
  if cut then
    lines, code = by_tcp(addr, query)
  end
  print(code == 0 and table.concat(lines, "\n") or ("no answer: code %d"):format(code))
end, assert(arg[1], "which name?"), table.unpack(arg, 2))
