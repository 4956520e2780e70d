-- Channels and Python's multiprocessing.connection, in both roles.

local channel = require "curio.channel"
local curio = require "curio"
local helper = require "spec.helper"
local subprocess = require "curio.subprocess"

local task_it = helper.task_it(it)

local KEY = "a key"

local function bound()
  local ch = channel.Channel { "127.0.0.1", 0 }
  assert(ch:bind())
  return ch
end

describe("Python's multiprocessing.connection", function()
  -- One that has msgpack; a machine may have several.
  local interpreter
  setup(function()
    for _, name in ipairs { "/usr/bin/python3", "python3" } do
      if not interpreter and os.execute(name .. " -c 'import msgpack' 2>/dev/null") then
        interpreter = name
      end
    end
    assert(interpreter, "there is no python3 with msgpack")
  end)

  -- A Python program, with `arg` in its sys.argv.
  local function python(program, ...)
    local order = { interpreter, "-c", program, ... }
    order.stdout = subprocess.PIPE
    return assert(subprocess.Popen(order))
  end

  local function within(fn, ...)
    return curio.timeout_after(helper.PATIENCE, fn, ...)
  end

  local function output(child)
    local out = within(child.communicate, child)
    return out, child.returncode
  end

  task_it("connects to us, with the right key and the wrong one", function()
    local ch <close> = bound()
    local client = [[
import sys
from multiprocessing.connection import Client
from multiprocessing import AuthenticationError
try:
    with Client(("127.0.0.1", int(sys.argv[1])), authkey=sys.argv[2].encode()) as c:
        c.send_bytes(c.recv_bytes()[::-1])
        c.send_bytes(b"x" * 100000)
        print("exchanged")
except AuthenticationError:
    print("refused")
]]
    local child <close> = python(client, tostring(ch.address.port), KEY)
    local c <close> = assert(within(ch.accept, ch, { authkey = KEY, allow_md5 = true }))
    c:send_bytes "stressed"
    assert.equal("desserts", c:recv_bytes())
    assert.equal(100000, #c:recv_bytes())
    assert.equal("exchanged\n", (output(child)))

    local other <close> = python(client, tostring(ch.address.port), "wrong")
    local refused, err = within(ch.accept, ch, { authkey = KEY, allow_md5 = true })
    assert.is_nil(refused)
    assert.is_true(curio.is(err, curio.AuthenticationError))
    assert.equal("refused\n", (output(other)))
  end)

  task_it("accepts us, with the right key and the wrong one", function()
    local listener = [[
import sys
from multiprocessing.connection import Listener
from multiprocessing import AuthenticationError
with Listener(("127.0.0.1", 0), authkey=sys.argv[1].encode()) as l:
    print(l.address[1], flush=True)
    try:
        with l.accept() as c:
            c.send_bytes(c.recv_bytes()[::-1])
    except AuthenticationError:
        print("refused")
]]
    for _, key in ipairs { KEY, "wrong" } do
      local child <close> = python(listener, KEY)
      local port = tonumber((within(child.stdout.readline, child.stdout)))
      local ch = channel.Channel { "127.0.0.1", port }
      local c, err = ch:connect { authkey = key, allow_md5 = true }
      if key == KEY then
        assert(c, err):send_bytes "drawer"
        assert.equal("reward", c:recv_bytes())
        c:close()
        assert.equal("", (output(child)))
      else
        assert.is_nil(c)
        assert.is_true(curio.is(err, curio.AuthenticationError))
        assert.equal("refused\n", (output(child)))
      end
    end
  end)

  task_it("of the version that knows SHA-256 understands us", function()
    -- deliver_challenge and answer_challenge of 3.12, in the words of their documentation
    local modern = [[
import sys, hmac, os
from multiprocessing.connection import Client
key = sys.argv[2].encode()
def deliver(c):
    message = b"{sha256}" + os.urandom(40)
    c.send_bytes(b"#CHALLENGE#" + message)
    answer = c.recv_bytes(256)
    assert answer == b"{sha256}" + hmac.new(key, message, "sha256").digest()
    c.send_bytes(b"#WELCOME#")
def answer(c):
    message = c.recv_bytes(256)[len(b"#CHALLENGE#"):]
    assert message.startswith(b"{sha256}")
    c.send_bytes(b"{sha256}" + hmac.new(key, message, "sha256").digest())
    assert c.recv_bytes(256) == b"#WELCOME#"
with Client(("127.0.0.1", int(sys.argv[1]))) as c:
    answer(c)
    deliver(c)
    c.send_bytes(b"modern")
]]
    local ch <close> = bound()
    local child <close> = python(modern, tostring(ch.address.port), KEY)
    local c <close> = assert(within(ch.accept, ch, { authkey = KEY }))
    assert.equal("modern", c:recv_bytes())
    assert.equal(0, select(2, output(child)))
  end)

  task_it("sends values by msgpack", function()
    local ch <close> = bound()
    local child <close> = python([[
import sys, msgpack
from multiprocessing.connection import Client
with Client(("127.0.0.1", int(sys.argv[1]))) as c:
    value = {"list": [1, -2, 3.5, None, True], "text": "\u00fc", "bytes": b"\x00\xff",
             "big": 2**63 - 1}
    c.send_bytes(msgpack.packb(value))
    print(msgpack.unpackb(c.recv_bytes()) == {"answer": [1, 2, 3], "deep": {"er": "\u00fc"}})
]], tostring(ch.address.port))
    local c <close> = assert(within(ch.accept, ch))
    local value = c:recv()
    assert.same({ 1, -2, 3.5, nil, true }, value.list)
    assert.equal("ü", value.text)
    assert.equal("\0\255", value.bytes)
    assert.equal(math.maxinteger, value.big)
    c:send { answer = { 1, 2, 3 }, deep = { er = "ü" } }
    assert.equal("True\n", (output(child)))
  end)
end)
