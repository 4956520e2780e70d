-- watch.lua: tells what changes in a directory, until so many changes or for ever. libuv's watcher
-- (inotify, kqueue, ...) is luv's; its callback puts what it sees into a queue of curio's, where a
-- task waits for a pause in the events of each file before it looks at the file.
--
--     curio examples/watch.lua DIRECTORY [COUNT]

local curio = require "curio"
local luv = require "curio.interop.luv"

local uv = luv.uv

local events = curio.Queue()

-- A callback of luv's cannot block; what need not wait it may call.
local function changed(err, name)
  events:try_put(err or name)
end

local function describe(path)
  local stat = luv.await(uv.fs_stat, path) -- in libuv's thread pool
  return stat and ("%s, %d bytes"):format(stat.type, stat.size) or "gone"
end

-- The names of files, each when nothing has happened to it for a moment.
local function settled()
  local seen, order = {}, {}
  local name = events:get()
  while name do
    if not seen[name] then
      seen[name], order[#order + 1] = true, name
    end
    name = curio.ignore_after(0.05, events.get, events)
  end
  return order
end

local function watch(directory, count)
  local watcher = assert(uv.new_fs_event())
  assert(watcher:start(directory, {}, changed))
  local runner = curio.spawn(luv.run)
  print("Watching " .. directory)
  io.stdout:flush()
  while count > 0 do
    for _, name in ipairs(settled()) do
      print(name, describe(directory .. "/" .. name))
      io.stdout:flush()
      count = count - 1
    end
  end
  watcher:close()
  runner:join() -- libuv closes handles in its loop
end

curio.run(watch, arg[1] or ".", tonumber(arg[2]) or math.huge)
