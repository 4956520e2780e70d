-- io.copy from a pipe to a TCP socket: what arrived just after the system had said that there was
-- nothing was taken for a sign that the socket was full, and the copy waited for room for ever.

local curio = require "curio"
local sockets = require "spec.sockets"

describe("io.copy from a process that writes many small pieces", function()
  it("copies them all to a TCP socket", sockets.run(function()
    local a, b, _ <close> = sockets.tcp_pair()
    local reader = curio.spawn(sockets.receive_all, b)
    local pipe <close> = assert(io.popen "i=0; while [ $i -lt 20000 ]; do echo x; i=$((i+1)); done")
    assert.equal(40000, curio.io.copy(pipe, a))
    a:shutdown("wr")
    assert.equal(("x\n"):rep(20000), reader:join())
  end))
end)
