-- torture.lua [runs=N] [script...]: the scripts of spec/torture under an allocator that refuses.
-- Run by the program it is about, or by any Lua; see src/alloc.h for the tortures.
--
-- Each script runs with a full collection at every allocation (in several processes, which take
-- turns: one does it at the first allocation of seven, the next at the second, and so on), and with
-- each allocation failing in a process of its own, once alone and once with all that follow. Where
-- there are more than N (400), that many are chosen, evenly from an offset that changes daily. A
-- process must end by itself: well, or with a plain word that memory is short. Ends with the line
-- "N passed, N failed".

local GC_TURNS = 7
local RUNS = 400
-- What scripts require first.
local PRELUDE = "-l curio -l curio.socket -l curio.network -l curio.io -l curio.testing"
  .. " -l curio.ssl"

local interpreter = arg[0]
for i = -1, -math.huge, -1 do
  if not arg[i] then
    break
  end
  interpreter = arg[i]
end
local here = arg[0]:match "^(.*)/[^/]*$" or "."
local program = interpreter:find "curio[^/]*$" and interpreter
  or (os.getenv "CURIO_BUILD" or here .. "/../build") .. "/bin/curio"

local function lines_of(command)
  local lines = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  pipe:close()
  return lines
end

local dir = lines_of("mktemp -d")[1]

-- runner.sh TORTURE ARGS...: one process; prints "verdict hit torture args". The verdict is bad
-- also after a sanitizer's report, whose exit status is set to one that nothing else has.
local runner = dir .. "/runner.sh"
local file = assert(io.open(runner, "w"))
file:write(([[
export ASAN_OPTIONS=exitcode=99:$ASAN_OPTIONS LSAN_OPTIONS=exitcode=99:$LSAN_OPTIONS
export UBSAN_OPTIONS=exitcode=99:$UBSAN_OPTIONS CURIO_TORTURE=$1
shift
log=%s/$$.log
timeout -s KILL 20 %s "$@" >$log 2>&1 </dev/null
status=$?
verdict=bad hit=missed
grep -q '^torture: ' $log && hit=hit
case $status in
0) grep -q '^ok$' $log && verdict=good ;;
1) grep -qE 'not enough memory|stack overflow' $log && verdict=good ;;
esac
echo "$verdict $hit $CURIO_TORTURE $*"
[ $verdict = good ] || sed "s/^/    /; \$a\    (status $status)" $log >>%s/bad
rm $log
]]):format(dir, program, dir))
file:close()

-- Runs a list of {torture, args}, several at a time; a list of {verdict, hit, torture, args}.
local function run_all(jobs)
  local list = assert(io.open(dir .. "/list", "w"))
  for _, job in ipairs(jobs) do
    list:write(job[1], " ", job[2], "\n")
  end
  list:close()
  local results = {}
  local command = ("xargs -P $(nproc) -L 1 sh %s <%s/list"):format(runner, dir)
  for _, line in ipairs(lines_of(command)) do
    results[#results + 1] = { line:match "^(%S+) (%S+) (%S+) (.*)$" }
  end
  return results
end

-- How many allocations a process makes: one more would not be refused.
local function count_allocations(args)
  local function is_hit(n)
    return run_all({ { "fail:" .. n, args } })[1][2] == "hit"
  end
  local low, high = 0, 1024
  while is_hit(high) do
    low, high = high, high * 2
  end
  while high - low > 1 do
    local middle = (low + high) // 2
    if is_hit(middle) then
      low = middle
    else
      high = middle
    end
  end
  return low
end

local passed, failed = 0, 0

local function tally(title, jobs)
  local bad = {}
  for _, result in ipairs(run_all(jobs)) do
    if result[1] == "good" then
      passed = passed + 1
    else
      failed = failed + 1
      bad[#bad + 1] = result[3]
    end
  end
  print(("%-40s %5d runs, %d bad"):format(title, #jobs, #bad))
  for _, torture in ipairs(bad) do
    print("    CURIO_TORTURE=" .. torture)
  end
  io.stdout:flush()
end

local function collect_often(script)
  local jobs = {}
  for turn = 1, GC_TURNS do
    jobs[turn] = { ("gc:%d+%d"):format(GC_TURNS, turn), script }
  end
  tally(script .. ", collecting", jobs)
end

-- Fails the allocations from the first to the last one and some more, for they vary a little.
local function fail_each(title, args, first, last, runs)
  local step = math.max(1, (last - first) // runs)
  local offset = os.time() // 86400 % step
  local once, from = {}, {}
  for n = first + offset, last + 10, step do
    once[#once + 1] = { "fail:" .. n, args }
    from[#from + 1] = { ("fail:%d+"):format(n), args }
  end
  tally(title .. ", one failing", once)
  tally(title .. ", all failing", from)
end

local scripts = {}
for _, word in ipairs(arg) do
  if word:match "^runs=%d+$" then
    RUNS = tonumber(word:match "%d+")
  else
    scripts[#scripts + 1] = word
  end
end
if #scripts == 0 then
  scripts = lines_of("ls " .. here .. "/torture/*.lua | grep -v nothing")
end

local nothing = PRELUDE .. " " .. here .. "/torture/nothing.lua"
local before = count_allocations(nothing)
fail_each("start-up", nothing, 1, before, RUNS)
for _, script in ipairs(scripts) do
  local args = PRELUDE .. " " .. script
  collect_often(script)
  fail_each(script, args, before - 100, count_allocations(args), RUNS)
end

for line in (io.open(dir .. "/bad") or io.tmpfile()):lines() do
  print(line)
end
os.execute("rm -rf " .. dir)
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
