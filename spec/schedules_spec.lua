-- The property test: thousands of random schedules over every primitive, checked against a model.
--
-- A schedule is a handful of tasks that do random things to one object (take and give back, put and
-- get, give up after some time), while others are cancelled at random; ready tasks run in random
-- order, the clock is virtual. Everything random comes from the seed, so a seed that fails
-- reproduces. The model is told of each call before it is made and knows what must come of it:
--
--   * mutual exclusion: nobody has what another has;
--   * strict order: what is given back goes to whoever has waited longest of those still waiting;
--   * no lost wake-up: all tasks end (else the kernel would raise Deadlock), all is given back;
--   * no lost or doubled item.
--
-- CURIO_SCHEDULES: how many for each kind. CURIO_SEED: only this one.

local curio = require "curio"
local testing = require "curio.testing"
local new_rwlock = require "examples.rwlock"

local checkpoint = curio.traps.checkpoint

local SCHEDULES = tonumber(os.getenv "CURIO_SCHEDULES") or 500
local ONLY = tonumber(os.getenv "CURIO_SEED")

-- A generator of its own: (seed) -> function (n) that gives 1..n.
local function generator(seed)
  local state = seed * 2654435761 + 88172645463325252
  return function(n)
    state = state ~ (state << 13)
    state = state ~ (state >> 7)
    state = state ~ (state << 17)
    return (state >> 1) % n + 1
  end
end

-- ---- what models are made of ----

-- The tasks that sleep in a verb, in the order of their coming; `state` is what they show
-- meanwhile. One that was cancelled, or whose time is up, shows another state from that moment on.
local Line = {}
Line.__index = Line

local function new_line(state)
  return setmetatable({ state = state }, Line)
end

function Line:join(what)
  local place = { task = curio.current_task(), what = what }
  self[#self + 1] = place
  return place
end

function Line:leave(place)
  for i, other in ipairs(self) do
    if other == place then
      table.remove(self, i)
      return
    end
  end
end

-- Whoever is first of those that still wait, taken out of the line; nil: nobody.
function Line:next()
  while self[1] do
    local place = table.remove(self, 1)
    if place.task.state == self.state then
      place.given = true
      return place
    end
  end
end

-- Calls the blocking verb. `place`: where the task will stand if it has to wait. What it gives if
-- it comes back; an error is raised again.
local function call(line, place, verb, ...)
  local results = table.pack(pcall(verb, ...))
  line:leave(place)
  if not results[1] then
    assert(not place.given, "a task was given something and interrupted all the same")
    error(results[2], 0)
  end
  return table.unpack(results, 2, results.n)
end

-- ---- the kinds ----

-- Each makes an object and its model; it gives one step of a worker, the check at the end, and
-- where tasks may sleep until somebody else does something, what wakes some of them.

local kinds = {}

-- What one task has at a time (Lock, RLock, Condition's lock), or `limit` tasks.
local function counted(object, state, limit)
  local line, inside = new_line(state), 0
  local model = { line = line }
  function model.acquire()
    local place = line:join()
    local must_wait = inside == limit
    call(line, place, object.acquire, object)
    if must_wait then
      assert(place.given, "a task came in without its turn")
    else
      inside = inside + 1
    end
    assert(inside <= limit, "too many are inside")
  end
  function model.release()
    local heir = line:next()
    object:release()
    if heir then
      assert(heir.task.state ~= state, "the first in line was not woken")
    else
      inside = inside - 1
    end
  end
  function model.check()
    assert(inside == 0, "something was not given back")
    assert(not line[1], "somebody is still in line")
  end
  return model
end

local hold_meta = {
  __close = function(hold)
    hold.release()
  end,
}

local function hold(model)
  model.acquire()
  return setmetatable({ release = model.release }, hold_meta)
end

local function linger(random)
  for _ = 1, random(3) - 1 do
    curio.schedule()
  end
  if random(4) == 1 then
    curio.sleep(random(3) / 1000)
  end
end

function kinds.Lock()
  local lock = curio.Lock()
  local model = counted(lock, "LOCK_ACQUIRE", 1)
  return function(random)
    local _ <close> = hold(model)
    assert(lock:locked())
    linger(random)
  end, function()
    model.check()
    assert(not lock:locked())
  end
end

function kinds.RLock()
  local lock = curio.RLock()
  local model = counted(lock, "LOCK_ACQUIRE", 1)
  return function(random)
    local _ <close> = hold(model)
    for _ = 1, random(3) - 1 do
      local _ <close> = lock:acquire()
      linger(random)
    end
  end, function()
    model.check()
    assert(not lock:locked())
  end
end

local function semaphore(class)
  return function(random)
    local n = random(3)
    local sema = class(n)
    local model = counted(sema, "SEMA_ACQUIRE", n)
    return function(random_)
      local _ <close> = hold(model)
      linger(random_)
    end, function()
      model.check()
      assert(sema.value == n)
    end
  end
end

kinds.Semaphore = semaphore(curio.Semaphore)
kinds.BoundedSemaphore = semaphore(curio.BoundedSemaphore)

function kinds.Event()
  local event, line = curio.Event(), new_line "EVENT_WAIT"
  local function set()
    repeat
      local place = line:next() -- all are woken
    until not place
    event:set()
  end
  return function(random)
    local what = random(6)
    if what == 1 then
      set()
    elseif what == 2 then
      event:clear()
    elseif what == 3 then
      linger(random)
    else
      local place, is_set = line:join(), event:is_set()
      call(line, place, event.wait, event)
      assert(is_set or place.given, "a wait ended though nobody set the event")
    end
  end, function()
    assert(not line[1])
  end, set
end

function kinds.Condition()
  local cond = curio.Condition()
  local waiters = new_line "COND_WAIT"
  local owner
  local function take()
    cond:acquire()
    assert(not owner, "two tasks hold the lock")
    owner = curio.current_task()
  end
  local function give()
    owner = nil
    cond:release()
  end
  local function wait()
    local place = waiters:join()
    owner = nil
    local ok, err = pcall(cond.wait, cond)
    waiters:leave(place)
    assert(not owner, "two tasks hold the lock after a wait")
    owner = curio.current_task()
    assert(ok == (place.given == true), "a notified task was interrupted, or another one not")
    if not ok then
      error(err, 0)
    end
  end
  local function notify(n)
    local count = #waiters
    for _ = 1, n do
      waiters:next()
    end
    if n > count then
      cond:notify_all()
    else
      cond:notify(n)
    end
  end
  local function step(random)
    take()
    local _ <close> = setmetatable({ release = give }, hold_meta)
    if random(2) == 1 then
      wait()
    else
      notify(random(3))
    end
    linger(random)
  end
  return step, function()
    assert(not owner and not waiters[1] and not cond:locked())
  end, function()
    take()
    notify(1000)
    give()
  end
end

-- How each kind of queue keeps its items.
local stores = {
  Queue = table.insert,
  LifoQueue = function(items, item)
    table.insert(items, 1, item)
  end,
  PriorityQueue = function(items, item)
    local at = #items + 1
    while at > 1 and item.priority < items[at - 1].priority do
      at = at - 1
    end
    table.insert(items, at, item)
  end,
}

local function by_priority(a, b)
  return a.priority < b.priority
end

local function queue(kind)
  return function(random_)
    local size, store = random_(4) - 1, stores[kind]
    local q = curio[kind](size, kind == "PriorityQueue" and { less = by_priority } or nil)
    local items, put, got, last = {}, 0, 0, 0
    local getters, putters = new_line "QUEUE_GET", new_line "QUEUE_PUT"
    local function is_full()
      return size > 0 and #items >= size
    end
    local function new_item(random)
      last = last + 1
      return { number = last, priority = random(3) }
    end
    -- The item enters: it has found its getter or its place.
    local function enters(item)
      put = put + 1
      local getter = getters:next()
      if getter then
        getter.what = item
      else
        store(items, item)
      end
    end
    local function leaves()
      local item = table.remove(items, 1)
      local putter = putters:next()
      if putter then
        enters(putter.what)
      end
      return item
    end
    local function check(item, expected)
      got = got + 1
      assert(item == expected, ("got item %s, not %s"):format(item and item.number,
        expected and expected.number))
    end
    local steps = {
      function(random)
        local item = new_item(random)
        checkpoint() -- so that the call below is not interrupted before it has begun
        if is_full() then
          call(putters, putters:join(item), q.put, q, item)
        else
          enters(item)
          q:put(item)
        end
      end,
      function()
        checkpoint()
        if items[1] then
          local expected = leaves()
          check(q:get(), expected)
        else
          local place = getters:join()
          local item = call(getters, place, q.get, q)
          check(item, place.what)
        end
      end,
      function(random)
        local item, room = new_item(random), not is_full()
        if room then
          enters(item)
        end
        assert(q:try_put(item) == room)
      end,
      function()
        local some = items[1] ~= nil
        local expected = some and leaves()
        local ok, item = q:try_get()
        assert(ok == some)
        if some then
          check(item, expected)
        end
      end,
      linger,
    }
    return function(random)
      steps[random(#steps)](random)
      assert(q:size() == #items and q:full() == is_full() and q:empty() == (#items == 0))
    end, function()
      while items[1] do
        local expected = leaves()
        check(select(2, q:try_get()), expected)
      end
      assert(put == got and q:empty(), "items were lost")
    end, function(random) -- so that nobody sleeps for ever
      steps[#getters > 0 and 3 or 4](random)
    end
  end
end

for kind in pairs(stores) do
  kinds[kind] = queue(kind)
end

function kinds.RWLock()
  local lock = new_rwlock()
  local reading, writing = 0, 0
  return function(random)
    if random(3) == 1 then
      local _ <close> = lock:write()
      writing = writing + 1
      assert(writing == 1 and reading == 0, "a writer is not alone")
      local _ <close> = setmetatable({
        release = function()
          writing = writing - 1
        end,
      }, hold_meta)
      linger(random)
    else
      local _ <close> = lock:read()
      reading = reading + 1
      assert(writing == 0, "a reader beside a writer")
      local _ <close> = setmetatable({
        release = function()
          reading = reading - 1
        end,
      }, hold_meta)
      linger(random)
    end
  end, function()
    assert(reading == 0 and writing == 0 and lock.reading == 0 and not lock.writing)
    assert(#lock.readers == 0 and #lock.writers == 0)
  end
end

-- ---- a schedule ----

local function worker(random, step)
  for _ = 1, random(8) do
    if random(3) == 1 then
      local ok, err = pcall(curio.timeout_after, random(4) / 1000, step, random)
      if not ok and not curio.is(err, curio.TaskTimeout) then
        error(err, 0)
      end
    else
      step(random)
    end
  end
end

local function all_done(tasks)
  for _, task in ipairs(tasks) do
    if not task.terminated then
      return false
    end
  end
  return true
end

local function fail_on_errors(tasks)
  for _, task in ipairs(tasks) do
    local err = task.terminated and task.exception or nil
    if err ~= nil and not curio.is(err, curio.TaskCancelled) then
      error(tostring(err) .. "\n" .. tostring(task.error_traceback), 0)
    end
  end
end

local function schedule(kind, seed)
  local random = generator(seed)
  testing.shuffle(seed)
  local step, check, nudge = kinds[kind](random)
  local tasks <const> = {}
  local group <close> = curio.TaskGroup { errors = "collect" }
  for i = 1, 2 + random(6) do
    tasks[i] = group:spawn(worker, random, step)
  end
  for _ = 1, random(20) do
    linger(random)
    if random(4) == 1 then
      tasks[random(#tasks)]:cancel { blocking = false }
    end
  end
  for round = 1, math.huge do
    if all_done(tasks) then
      break
    end
    assert(round < 1000, "somebody sleeps for ever")
    curio.sleep(0.01)
    testing.wait_all_blocked()
    if nudge then
      nudge(random)
    end
    fail_on_errors(tasks)
  end
  fail_on_errors(tasks)
  check()
end

local function run(kind, seed)
  local ok, err = pcall(curio.run, { schedule, kind, seed, clock = testing.autojump() })
  if not ok then
    error(("%s, schedule %d: %s\n(CURIO_SEED=%d runs it again)"):format(kind, seed, tostring(err),
      seed), 0)
  end
end

local names = {}
for kind in pairs(kinds) do
  names[#names + 1] = kind
end
table.sort(names)

-- A lock that gives itself back first and wakes somebody then.
function kinds.broken()
  local lock = { taken = false, waiting = curio.sched.SchedFIFO() }
  function lock:acquire()
    while self.taken do
      self.waiting:suspend "LOCK_ACQUIRE"
    end
    self.taken = true
  end
  function lock:release()
    self.taken = false
    self.waiting:wake()
  end
  local model = counted(lock, "LOCK_ACQUIRE", 1)
  return function(random)
    local _ <close> = hold(model)
    linger(random)
  end, model.check
end

describe("In any schedule", function()
  for _, kind in ipairs(names) do
    it("the promises of " .. kind .. " hold", function()
      for seed = ONLY or 1, ONLY or SCHEDULES do
        run(kind, seed)
      end
    end)
  end

  it("a lock that breaks them is found out, and its seed finds it out again", function()
    local seed, ok, first = 0, true, nil
    while ok do
      seed = seed + 1
      ok, first = pcall(run, "broken", seed)
      assert.is_true(seed < 100)
    end
    assert.matches(("broken, schedule %d: .*%%(CURIO_SEED=%d runs it again%%)"):format(seed, seed),
      first)
    assert.equal(first, select(2, pcall(run, "broken", seed)))
  end)
end)
