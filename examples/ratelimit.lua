-- A rate limiter: at most `rate` passes a second, up to `burst` at once after a pause. Who has to
-- wait is served in the order of coming, since they queue for a lock.
--
--     curio examples/ratelimit.lua

local curio = require "curio"

local RateLimit = {}
RateLimit.__index = RateLimit

local function new(rate, burst)
  return setmetatable({
    rate = rate,
    burst = burst,
    tokens = burst, -- as of `at`
    at = curio.clock(),
    lock = curio.Lock(),
  }, RateLimit)
end

function RateLimit:refill()
  local now = curio.clock()
  self.tokens = math.min(self.burst, self.tokens + (now - self.at) * self.rate)
  self.at = now
end

function RateLimit:pass()
  local _ <close> = self.lock:acquire()
  self:refill()
  while self.tokens < 1 do
    curio.sleep((1 - self.tokens) / self.rate)
    self:refill()
  end
  self.tokens = self.tokens - 1
end

local function request(i, limit, start)
  limit:pass()
  print(("request %d after %.1f s"):format(i, curio.clock() - start))
end

curio.run(function()
  local limit, start = new(10, 3), curio.clock()
  local g <close> = curio.TaskGroup()
  for i = 1, 8 do
    g:spawn(request, i, limit, start)
  end
end)
