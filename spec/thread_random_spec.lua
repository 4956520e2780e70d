-- Thousands of jobs in threads, some cancelled, some timed out, at random moments: each runs at
-- most once, each that is not given up is answered once and by its own result.
--
-- CURIO_JOBS=100000 runs that many; a failure names the seed, which CURIO_SEED sets.

local curio = require "curio"
local helper = require "spec.helper"

local describe, assert, it = describe, assert, helper.task_it(it)
_ENV = helper.globals -- see helper.globals: of what goes to a thread

local JOBS = tonumber(os.getenv "CURIO_JOBS") or helper.fewer(3000)
local SEED = tonumber(os.getenv "CURIO_SEED") or os.time()
local CALLERS = 40

-- Notes that it runs, and then computes, sleeps in a kernel, or fails.
local function job(ran, number, what)
  ran:put(number)
  if what < 5 then
    local x = 0
    for i = 1, what * 1000 do
      x = x + i
    end
  elseif what == 5 then
    curio.run(curio.sleep, 0.0005)
  elseif what == 6 then
    error(number, 0)
  end
  return number, { what }
end

-- Answers are noted as "number: how it ended".
local function call(state, number)
  local how, what = math.random(10), math.random(0, 6)
  local function run()
    local ok, a, b = curio.pcall(curio.run_in_thread, job, state.ran, number, what)
    if ok then
      assert(a == number and b[1] == what)
    else
      assert(what == 6 and tostring(a):match "^%d+" == tostring(number), tostring(a))
    end
    state.answered[number] = (state.answered[number] or 0) + 1
  end
  if how == 1 then
    curio.ignore_after(math.random() * 0.001, run)
  elseif how == 2 then
    local task = curio.spawn(run)
    for _ = 1, math.random(0, 3) do
      curio.sleep(math.random() * 0.0002)
    end
    task:cancel()
  else
    run()
    state.expected = state.expected + 1
  end
end

describe("thousands of thread jobs", function()
  it("run at most once, and are answered once", function()
    math.randomseed(SEED)
    local state = { ran = curio.UniversalQueue(), answered = {}, expected = 0, number = 0 }
    do
      local group <close> = curio.TaskGroup()
      for _ = 1, CALLERS do
        group:spawn(function()
          while state.number < JOBS do
            state.number = state.number + 1
            call(state, state.number)
          end
        end)
      end
    end
    local runs, answers = {}, 0
    local found, number = state.ran:try_get()
    while found do
      assert.is_nil(runs[number], "ran twice; seed " .. SEED)
      runs[number] = true
      found, number = state.ran:try_get()
    end
    for n, times in pairs(state.answered) do
      assert.equal(1, times, "answered twice; seed " .. SEED)
      assert.is_true(runs[n], "answered and never run; seed " .. SEED)
      answers = answers + 1
    end
    assert.is_true(answers >= state.expected, "unanswered; seed " .. SEED)
  end)
end)
