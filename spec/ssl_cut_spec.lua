-- The peer dies at every step of a handshake and of a transfer: both ends hear of it, nobody hangs,
-- nothing is left behind. (Of most use under AddressSanitizer.)

local curio = require "curio"
local helper = require "spec.helper"
local sockets = require "spec.sockets"
local testing = require "curio.testing"
local tls = require "spec.tls"

local made = tls.certificates()
local client_ctx, server_ctx

setup(function()
  server_ctx = tls.server_context(made, { cafile = made.ca.ca, verify_mode = "required" })
  client_ctx = tls.client_context(made, { certfile = made.client.cert, keyfile = made.client.key })
end)

teardown(made.remove)

local STEP = 41 * math.max(1, helper.SLOW // 4 | 0) -- bytes between two cuts
local TRANSFER = 3000 -- bytes each way, in records of 700

-- Passes bytes on until the budget is used up; true if it was.
local function pass(from, to, budget)
  while budget > 0 do
    local data = from:recv(budget)
    if not data then
      to:shutdown "wr"
      return false
    end
    budget = budget - #data
    if not to:sendall(data) then
      return false
    end
  end
  return true
end

-- Raises the error object itself.
local function must(value, err)
  if not value then
    error(err or "the end came too soon", 0)
  end
  return value
end

local function talk(sock)
  local text = ("x"):rep(700)
  local sent, got = 0, 0
  while sent < TRANSFER do
    must(sock:sendall(text))
    sent = sent + #text
    while got < sent do
      got = got + #must(sock:recv(1000))
    end
  end
  return sock:unwrap()
end

local function answer(sock)
  while true do
    local data, err = sock:recv(1000)
    if err then
      error(err, 0)
    elseif not data then
      return sock:unwrap()
    end
    must(sock:sendall(data))
  end
end

-- One end: what became of it; what it holds is closed.
local function play(ctx, sock, part, opts)
  local wrapped, err = ctx:wrap_socket(sock, opts)
  if not wrapped then
    return nil, err
  end
  local _ <close> = wrapped
  local done, plain, problem = pcall(part, wrapped)
  if not done then
    return nil, plain
  elseif not plain then
    return nil, problem
  end
  plain:close()
  return true
end

-- Cuts one direction behind so many bytes; true if so many bytes came.
local function cut_at(budget, forward, reset)
  local a, b = sockets.tcp_pair()
  local c, d = sockets.tcp_pair()
  local client = curio.spawn(play, client_ctx, a, talk, { server_hostname = "localhost" })
  local server = curio.spawn(play, server_ctx, d, answer)
  local here = curio.spawn(pass, b, c, forward and budget or math.maxinteger)
  local there = curio.spawn(pass, c, b, forward and math.maxinteger or budget)
  local limited = forward and here or there
  limited:wait()
  for _, sock in ipairs { b, c } do
    if reset and limited.result then
      sockets.reset(sock)
    elseif limited.result then
      sock:close()
    end
  end
  curio.timeout_after(helper.PATIENCE, function()
    for _, task in ipairs { client, server, here, there } do
      task:wait()
    end
  end)
  b:close()
  c:close()
  return limited.result, client, server
end

local function check(task)
  assert.is_nil(task.exception)
  if not task.results[1] then
    local err = task.results[2]
    assert.is_true(curio.is(err, curio.OSError) or err == "the end came too soon", tostring(err))
  end
end

local function cut_everywhere(version, forward, reset)
  return function()
    testing.run(function()
      client_ctx.maximum_version = version
      local budget, cut, client, server = 0, true, nil, nil
      while cut do
        cut, client, server = cut_at(budget, forward, reset)
        check(client)
        check(server)
        if budget < 2000 then -- the handshake is not over
          assert.is_nil(client.results[1])
          assert.is_nil(server.results[1])
        end
        budget = budget + STEP
      end
      assert.is_true(client.results[1], client.results[2])
      assert.is_true(server.results[1], server.results[2])
      assert.is_true(budget > TRANSFER)
    end)
  end
end

for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
  describe(version, function()
    it("bears a server that hears no more", cut_everywhere(version, true, false))
    it("bears a server whose words are lost", cut_everywhere(version, false, false))
    it("bears a reset on the way to the server", cut_everywhere(version, true, true))
    it("bears a reset on the way to the client", cut_everywhere(version, false, true))
  end)
end
