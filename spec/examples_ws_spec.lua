-- The example ws_server.lua, talked to with bytes made here.

local curio = require "curio"
local example = require "spec.example"
local testing = require "curio.testing"

local it = testing.it(it)

local KEY, ANSWER = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" -- those of RFC 6455
local REQUEST = "GET /chat HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
  .. "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: %s\r\n\r\n"

-- A frame as clients send it. `first` is its first byte: 0x80 ends the message, then the kind.
local function frame(first, data, key)
  key = key or "\x11\x22\x33\x44"
  local masked = {}
  for i = 1, #data do
    masked[i] = string.char(data:byte(i) ~ key:byte((i - 1) % 4 + 1))
  end
  local n = #data
  local length = n < 126 and ("B"):pack(n | 0x80) or n < 65536 and (">BI2"):pack(254, n)
    or (">BI8"):pack(255, n)
  return string.char(first) .. length .. key .. table.concat(masked)
end

-- First byte and data of a frame as servers send it.
local function receive(stream)
  local first, n = assert(stream:read_exactly(2)):byte(1, 2)
  if n == 126 then
    n = (">I2"):unpack(assert(stream:read_exactly(2)))
  elseif n == 127 then
    n = (">I8"):unpack(assert(stream:read_exactly(8)))
  end
  return first, n > 0 and assert(stream:read_exactly(n)) or ""
end

local function connect(port)
  local sock = assert(curio.open_connection("127.0.0.1", port))
  local stream = sock:as_stream()
  stream:write(REQUEST:format(KEY, 13))
  local head = assert(stream:read_until "\r\n\r\n")
  assert.matches("^HTTP/1.1 101 Switching Protocols\r\n", head)
  assert.is_truthy(head:find("\r\nSec-WebSocket-Accept: " .. ANSWER, 1, true))
  return stream
end

describe("examples/ws_server.lua", function()
  local function echoes(stream, first, data)
    stream:write(frame(first, data))
    local kind, answer = receive(stream)
    assert.equal(first, kind)
    assert.is_true(answer == data)
  end

  local function is_closed(stream, code)
    local first, data = receive(stream)
    assert.equal(0x88, first)
    assert.equal(code, (">I2"):unpack(data))
    assert.is_nil(stream:read_exactly(1))
    stream:close()
  end

  it("echoes messages of all lengths, text and binary", function()
    local port, _ <close> = example.serve("ws_server", "0")
    local stream <close> = connect(port)
    for _, n in ipairs { 0, 1, 2, 3, 4, 125, 126, 127, 65535, 65536, 300000 } do
      echoes(stream, 0x81, ("abcde"):rep(n // 5 + 1):sub(1, n))
      echoes(stream, 0x82, ("\0\xff\xfe"):rep(n // 3 + 1):sub(1, n))
    end
    echoes(stream, 0x81, "grüße")
    stream:write(frame(0x88, "\x03\xe8"))
    is_closed(stream, 1000)
  end)

  it("puts together what comes in parts, and answers pings between them", function()
    local port, _ <close> = example.serve("ws_server", "0")
    local stream <close> = connect(port)
    stream:write(frame(0x01, "gr\xc3"), frame(0x89, "are you there?"), frame(0x8a, "unasked"),
      frame(0x00, "\xbc"), frame(0x80, "n"))
    assert.same({ 0x8a, "are you there?" }, { receive(stream) })
    assert.same({ 0x81, "grün" }, { receive(stream) })
    echoes(stream, 0x82, "still there")
  end)

  it("closes with the code of what is wrong", function()
    local port, _ <close> = example.serve("ws_server", "0")
    local wrong = {
      { 1002, frame(0xc1, "x") },                        -- a bit that is reserved
      { 1002, "\x81\x01x" },                             -- no mask
      { 1002, frame(0x83, "x") },                        -- a kind there is not
      { 1002, frame(0x8b, "x") },
      { 1002, frame(0x80, "x") },                        -- goes on with nothing
      { 1002, frame(0x01, "x") .. frame(0x81, "y") },    -- begins anew in the middle
      { 1002, frame(0x09, "x") },                        -- a ping in parts
      { 1002, frame(0x89, ("x"):rep(126)) },
      { 1007, frame(0x81, "\xff") },
      { 1009, (">BBI8"):pack(0x82, 0xff, 1 << 40) },
      { 1009, (">BBI8"):pack(0x82, 0xff, 1 << 63) },
      { 1009, frame(0x02, "x") .. (">BBI8"):pack(0x80, 0xff, 1 << 20) },
    }
    for _, case in ipairs(wrong) do
      local stream = connect(port)
      stream:write(case[2])
      is_closed(stream, case[1])
    end
  end)

  it("refuses other versions and what is no handshake", function()
    local port, _ <close> = example.serve("ws_server", "0")
    for _, text in ipairs { REQUEST:format(KEY, 8), "GET / HTTP/1.1\r\n\r\n", "rubbish\r\n\r\n" } do
      local sock <close> = assert(curio.open_connection("127.0.0.1", port))
      sock:sendall(text)
      assert.matches("^HTTP/1.1 426 Upgrade Required\r\n.*Version: 13\r\n",
        sock:as_stream():readall())
    end
  end)
end)
