-- The documents: every program in README.md, the tutorial and docs/howto runs and prints what is
-- said below it; docs/reference.md and types/ leave no public name out; the changelog keeps its
-- form.
--
-- Each ```lua block is a whole program, run by build/bin/curio as a process of its own, and where
-- stock Lua is the host of this spec by that as well. It must end well and silently on stderr; what
-- it prints must be the ```text block that follows, if one does.
-- A line before the fence says what else to do with it:
--
--     <!-- run: server NAME -->   it serves on port 25000 until it is ended; the client NAME below
--                                 talks to it (each time on a free port put in that one's place)
--     <!-- run: not -->           it is part of a program

local helper = require "spec.helper"

local quote = helper.quote
local read = helper.read
local output_of = helper.output_of

local build = os.getenv "CURIO_BUILD" or "build"
local program = build .. "/bin/curio"
local under_program = helper.under_program
local dir

local function write(name, text)
  helper.write(dir .. "/" .. name, text)
end

-- Runs shell lines, in which $host is the interpreter and $curio the program, in the temporary
-- directory: exit status, stdout, stderr.
local function shell(host, lines)
  write("lines", ("cd %s\nhost=%s\ncurio=%s\n%s\n"):format(quote(dir), quote(host),
    quote(program), lines))
  local path = dir .. "/?.lua;" .. (os.getenv "LUA_PATH" or ";")
  local status = output_of(("LUA_PATH=%s sh %s >%s 2>%s </dev/null; echo $?"):format(
    quote(path), quote(dir .. "/lines"), quote(dir .. "/out"), quote(dir .. "/err")))
  return tonumber(status), read(dir .. "/out"), read(dir .. "/err")
end

-- The programs of a document: {text=, line=, run=, output=}.
local function programs_of(path)
  local list, directive, line = {}, nil, 0
  local lines = {}
  for text in (read(path) .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = text
  end

  -- The block whose opening fence is the current line; moves to its closing fence.
  local function block()
    local first = line + 1
    repeat
      line = line + 1
      assert(lines[line], path .. ": a fence is not closed")
    until lines[line] == "```"
    return table.concat(lines, "\n", first, line - 1) .. "\n"
  end

  local last -- the program that a block of output would belong to
  while line < #lines do
    line = line + 1
    local text = lines[line]
    local fence = text:match "^```(.*)$"
    if fence == "lua" then
      last = { line = line, run = directive, text = block() }
      list[#list + 1] = last
      directive = nil
    elseif fence then
      local content = block()
      if fence == "text" and last then
        last.output = content
      end
      last = nil
    elseif text ~= "" then
      last = nil
      directive = text:match "^<!%-%- run: (.-) %-%->$"
    end
  end
  return list
end

-- Tells the spec on which port a server listens.
local PRELUDE = [[
local methods = require("curio.core").socket.methods
local listen = methods.listen
function methods.listen(sock, ...)
  local done, err = listen(sock, ...)
  if done then
    local file = assert(io.open("port.new", "w"))
    file:write(sock:getsockname().port, "\n")
    file:close()
    assert(os.rename("port.new", "port"))
  end
  return done, err
end
]]

local TALK = [[
local curio = require "curio"
local port = tonumber(arg[1])

local function connect()
  return assert(curio.open_connection("127.0.0.1", port))
end

-- Reads until that has been read.
local function expect(sock, text)
  local got = ""
  while not got:find(text, 1, true) do
    got = got .. assert(sock:recv(1000))
  end
end
]]

local clients = {
  echo = TALK .. [[
    local one, other = connect(), connect()
    for i = 1, 3 do
      one:sendall("one" .. i .. "\n")
      other:sendall("other" .. i .. "\n")
      expect(other, "other" .. i .. "\n")
      expect(one, "one" .. i .. "\n")
    end
    one:close()
    other:sendall("still here\n")
    expect(other, "still here\n")
    other:shutdown("wr")
    assert(other:recv(1) == nil)
  ]],
  chat = TALK .. [[
    local one = connect()
    expect(one, "is here\n")
    local other = connect()
    local name = tostring(other:getsockname())
    expect(one, name .. " is here\n")
    other:sendall("good morning\n")
    expect(one, name .. ": good morning\n")
    one:sendall("hello\n")
    expect(other, tostring(one:getsockname()) .. ": hello\n")
    other:close()
    expect(one, name .. " has gone\n")
  ]],
}

local function check_server(host, snippet, client)
  local text, n = snippet.text:gsub("25000", "0")
  assert.equal(1, n, "a server that listens at port 25000")
  write("snippet.lua", text)
  write("prelude.lua", PRELUDE)
  write("client.lua", assert(clients[client], "no such client"))
  local status, out, err = shell(host, [[
    rm -f port
    timeout -k 5 120 "$host" -l prelude snippet.lua >server.out 2>&1 &
    server=$!
    until [ -s port ]; do
      kill -0 $server || { cat server.out; exit 9; }
      sleep 0.02
    done
    timeout -k 5 60 "$curio" client.lua "$(cat port)"
    status=$?
    kill $server
    { wait $server; } 2>/dev/null
    exit $status]])
  assert.equal("", err)
  assert.equal("", out)
  assert.equal(0, status)
end

local function check_program(host, snippet)
  write("snippet.lua", snippet.text)
  local status, out, err = shell(host, [[exec timeout -k 5 60 "$host" snippet.lua]])
  assert.equal("", err)
  if snippet.output then
    assert.equal(snippet.output, out)
  end
  assert.equal(0, status)
end

local function check(host, snippet)
  local client = snippet.run and snippet.run:match "^server (%w+)$"
  if client then
    check_server(host, snippet, client)
  elseif snippet.run ~= "not" then
    assert.is_nil(snippet.run, "an unknown way to run it")
    check_program(host, snippet)
  end
end

setup(function()
  dir = output_of("mktemp -d"):match "[^\n]+"
  if program:sub(1, 1) ~= "/" then
    program = output_of("pwd"):match "[^\n]+" .. "/" .. program
  end
end)

teardown(function()
  os.execute("rm -rf " .. quote(dir))
end)

local documents = { "README.md", "docs/tutorial.md" }
local pages = {} -- of docs/howto, but for its index
for name in output_of("ls docs/howto"):gmatch "([%w-]+)%.md\n" do
  documents[#documents + 1] = "docs/howto/" .. name .. ".md"
  pages[#pages + 1] = name ~= "index" and name or nil
end

it("docs/howto/index.md leads to every page", function()
  local index = read "docs/howto/index.md"
  assert.is_true(#pages >= 10)
  for _, name in ipairs(pages) do
    assert.is_truthy(index:find(("](%s.md)"):format(name), 1, true), name)
  end
end)

for _, path in ipairs(documents) do
  describe(path .. ":", function()
    local programs = programs_of(path)

    it("has programs", function()
      assert.is_true(#programs >= 1 or path:find "/index%.md$" ~= nil)
    end)

    for _, snippet in ipairs(programs) do
      it(("the program at line %d runs under curio"):format(snippet.line), function()
        check(program, snippet)
      end)

      if not under_program then
        it(("the program at line %d runs under lua"):format(snippet.line), function()
          check(os.getenv "LUA" or "lua5.4", snippet)
        end)
      end
    end
  end)
end

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

  it("has every method and no other", function()
    local wrong = {}
    for module, list in pairs(objects()) do
      local text = read("types/" .. module .. ".lua")
      local methods = methods_of(list)
      for name in pairs(methods) do
        if not text:find("\nfunction %w+:" .. name .. "%(")
          and not text:find("\n---@field " .. name .. " ", 1, true) then
          wrong[#wrong + 1] = module .. " lacks " .. name
        end
      end
      for name in text:gmatch "\nfunction %w+:([%w_]+)%(" do
        if not methods[name] then
          wrong[#wrong + 1] = module .. " has " .. name
        end
      end
    end
    none_missing(wrong)
  end)
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
