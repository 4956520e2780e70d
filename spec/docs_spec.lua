-- The documents are complete: docs/reference.md and types/ leave no public name out; the changelog
-- keeps its form. (What stands in blocks of Lua is run by spec/snippets_spec.lua.)

local helper = require "spec.helper"

local read = helper.read
local output_of = helper.output_of

-- ---- docs/reference.md and types/ ----

local curio = require "curio"

-- Names that a module has for the others, not for users.
local internal = {
  kernel = { hooks = true }, debug = { set = true, from_options = true },
  monitor = { command = true },
}

local modules = {} -- name -> the module; curio itself is "curio"

for file in output_of("ls lua/curio"):gmatch "([%w_]+)%.lua\n" do
  if file == "init" then
    modules.curio = curio
  elseif file ~= "program" then -- that one is the program's own
    modules[file] = require("curio." .. file)
  end
end

-- All that a function has as upvalues and that is a table.
local function tables_of(fn)
  local list, i = {}, 1
  while true do
    local name, value = debug.getupvalue(fn, i)
    if not name then
      return list
    elseif type(value) == "table" then
      list[#list + 1] = value
    end
    i = i + 1
  end
end

-- The names in a table, and in what its __index leads to.
local function add_names(names, value)
  local meta = debug.getmetatable(value)
  if type(value) == "table" then
    for name in pairs(value) do
      if type(name) == "string" and not name:find "^_" then
        names[name] = true
      end
    end
  end
  local index = meta and meta.__index
  if type(index) == "table" then
    add_names(names, index)
  elseif type(index) == "function" then
    for _, found in ipairs(tables_of(index)) do
      add_names(names, found)
    end
  end
  return names
end

local function names_of(module)
  local names = {}
  for name in pairs(add_names({}, modules[module])) do
    local hidden = internal[module] and internal[module][name]
    if not hidden and modules[module][name] ~= nil then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function tls_objects(socket)
  local ctx = assert(modules.ssl.SSLContext())
  ctx.verify_mode = "none"
  local one = socket.socketpair()
  return { ctx, ctx:wrap_socket(one, { do_handshake_on_connect = false }) }
end

-- An object of each class, by the module that makes it.
local function objects()
  local socket, sync, queue, sched = modules.socket, modules.sync, modules.queue, modules.sched
  return curio.run(function()
    local task = curio.spawn(curio.schedule)
    local one, other = socket.socketpair()
    other:close()
    return {
      task = { task },
      kernel = { (curio.Kernel()) },
      group = { (curio.TaskGroup()) },
      socket = { one },
      io = { one:as_stream() },
      file = { assert(curio.aopen "/dev/null") },
      sync = {
        sync.Event(), sync.Result(), sync.Lock(), sync.RLock(), sync.Semaphore(),
        sync.BoundedSemaphore(), sync.Condition(), sync.UniversalEvent(), sync.UniversalResult(),
      },
      queue = { queue.Queue(), queue.LifoQueue(), queue.PriorityQueue(), queue.UniversalQueue() },
      sched = { sched.SchedFIFO() },
      testing = { (modules.testing.socketpair()) },
      subprocess = { (modules.subprocess.Popen { "true" }) },
      signal = {
        (modules.signal.SignalQueue(modules.signal.SIGWINCH)),
        (modules.signal.SignalEvent(modules.signal.SIGWINCH)),
      },
      ssl = tls_objects(socket),
    }
  end)
end

-- The methods of these objects.
local function methods_of(list)
  local methods = {}
  for _, object in ipairs(list) do
    local index = debug.getmetatable(object).__index
    local own = type(index) == "table" and { index } or tables_of(index)
    for _, found in ipairs(own) do
      for name in pairs(add_names({}, found)) do
        methods[name] = type(found[name]) == "function" or nil
      end
    end
  end
  return methods
end

local function code_spans(text)
  local spans = {}
  for span in text:gsub("\n```.-\n```", "\n"):gmatch "`([^`\n]+)`" do
    spans[#spans + 1] = span
  end
  return "`" .. table.concat(spans, "`\n`") .. "`"
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

local function none_missing(missing)
  assert.equal("", table.concat(missing, ", "))
end

describe("docs/reference.md", function()
  local code = code_spans(read "docs/reference.md")

  local function tells_of(module, name)
    local kind = type(modules[module][name])
    if kind ~= "function" then
      return code:find("`" .. name .. "`", 1, true)
    end
    return code:find(module .. "%." .. name .. "%f[^%w_]")
      or code:find("curio%." .. name .. "%f[^%w_]")
  end

  for _, module in ipairs(sorted(modules)) do
    it("has every name of " .. module, function()
      local missing = {}
      for _, name in ipairs(names_of(module)) do
        if not tells_of(module, name) then
          missing[#missing + 1] = name
        end
      end
      none_missing(missing)
    end)
  end

  -- By their text, since some want a library that need not be here.
  it("has every function of the modules below network and interop", function()
    local missing, seen = {}, 0
    local files = output_of "ls lua/curio/network/systemd.lua lua/curio/interop/*.lua"
    for path in files:gmatch "%S+" do
      local source = read(path)
      local module = source:match "\nreturn ([%w_]+)\n$"
      for name in source:gsub("\nfunction ", "\n"):gmatch("\n" .. module .. "%.(%l[%w_]*)[( ]") do
        seen = seen + 1
        if not code:find("%f[%w_]" .. name .. "%f[^%w_]") then
          missing[#missing + 1] = path .. ": " .. name
        end
      end
    end
    none_missing(missing)
    assert.is_true(seen > 20)
  end)

  it("has every method", function()
    local missing = {}
    for module, list in pairs(objects()) do
      for name in pairs(methods_of(list)) do
        if not code:find("%f[%w]%w+[:.]" .. name .. "%f[^%w_]") then
          missing[#missing + 1] = module .. ": " .. name
        end
      end
    end
    none_missing(missing)
  end)
end)

-- What stands behind the annotation ---@async in a file of definitions: a set of names; and a set
-- of all names defined there. Local functions are left out.
local function definitions(text)
  local async, all, annotated = {}, {}, false
  for line in text:gmatch "[^\n]*" do
    local name = line:match "^function [%w_]+[.:]([%w_]+)%("
      or line:match "^[%w_]+%.([%w_]+) = "
    if name then
      all[name] = true
      async[name] = annotated or async[name]
    end
    annotated = line:find "^%-%-%-@async" ~= nil or annotated and line:find "^%-%-" ~= nil
  end
  return async, all
end

describe("types/", function()
  for _, module in ipairs(sorted(modules)) do
    local path = "types/" .. module .. ".lua"
    local text = ""
    local file = io.open(path)
    if file then
      file:close()
      text = read(path)
    end

    it(module .. ".lua has every name", function()
      assert.equal(("---@meta %s\n"):format(module == "curio" and module or "curio." .. module),
        text:match "^[^\n]*\n")
      local missing = {}
      local _, defined = definitions(text)
      for _, name in ipairs(names_of(module)) do
        if not defined[name] and not text:find("@field " .. name .. " ", 1, true) then
          missing[#missing + 1] = name
        end
      end
      none_missing(missing)
    end)

    it(module .. ".lua has no other name", function()
      local extra = {}
      for name in text:gmatch("\nfunction " .. module .. "%.([%w_]+)%(") do
        if modules[module][name] == nil then
          extra[#extra + 1] = name
        end
      end
      none_missing(extra)
    end)

    it(module .. ".lua says of the same functions as the source that they may block", function()
      local source = read("lua/curio/" .. (module == "curio" and "init" or module) .. ".lua")
      local blocks, ours = definitions(source)
      local blocks_here, here = definitions(text)
      local different = {}
      for name in pairs(ours) do
        if here[name] and (blocks[name] or false) ~= (blocks_here[name] or false) then
          different[#different + 1] = name
        end
      end
      table.sort(different)
      none_missing(different)
    end)
  end
end)

-- ---- CHANGELOG.md ----

describe("CHANGELOG.md", function()
  local text = read "CHANGELOG.md"
  local kinds = {
    Added = true, Changed = true, Deprecated = true, Removed = true, Fixed = true, Security = true,
  }

  it("has versions and known kinds of changes only", function()
    assert.matches("^# Changelog\n", text)
    for level, title in text:gmatch "\n(##+) ([^\n]*)" do
      if level == "##" then
        assert.is_truthy(title == "Unreleased"
          or title:match "^%d+%.%d+%.%d+ %- %d%d%d%d%-%d%d%-%d%d$", title)
      else
        assert.is_true(kinds[title], title)
      end
    end
  end)

  it("speaks to users: no places of one machine, no notes to self, no addresses", function()
    for _, odd in ipairs {
      "%f[%S]/%l+/", "%f[%w]TODO%f[%W]", "%f[%w]FIXME%f[%W]", "%f[%w]XXX%f[%W]",
      "[%w.]+@[%w]+%.%a", "[^\n\32-\126\128-\255]",
    } do
      assert.is_nil(text:match(odd))
    end
  end)

  it("has short lines", function()
    for line in text:gmatch "[^\n]+" do
      assert.is_true(utf8.len(line) <= 100, line)
    end
  end)
end)
