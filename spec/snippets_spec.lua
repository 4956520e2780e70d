-- The programs in the documents: every ```lua block of README.md and docs/ runs, by build/bin/curio
-- as a process of its own, and where stock Lua is the host of this spec by that as well. It is a
-- whole program, must end well and silently on stderr; what it prints must be the ```text block
-- that follows, if one does.
-- A line before the fence says what else to do with it:
--
--     <!-- run: server NAME -->        it serves on port 25000 until it is ended; the client NAME
--                                      below talks to it (each time on a free port put in that
--                                      one's place)
--     <!-- run: with certificates -->  in a directory with cert.pem and key.pem of localhost,
--                                      alice.pem and alice.key, and the my-ca.pem of both
--     <!-- run: under the monitor -->  the output is what `curio --attach` shows of it, when it is
--                                      told what stands behind the prompts there
--     <!-- run: by busted -->          it is a spec
--     <!-- run: not: REASON -->        it cannot be run

local certificates = require "spec.certificates"
local helper = require "spec.helper"

local quote = helper.quote
local read = helper.read
local output_of = helper.output_of

local here = output_of("pwd"):match "[^\n]+"
local build = os.getenv "CURIO_BUILD" or "build"
local program = build .. "/bin/curio"
local under_program = helper.under_program
local dir, issued

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

-- The languages of blocks. A word that is none of these may be meant for one, so it is refused.
local languages = { lua = true, text = true, sh = true, ini = true, c = true, python = true }

-- The programs of a document: {text=, line=, run=, output=}.
local function programs_of(path)
  local list, directive, line = {}, nil, 0
  local lines = {}
  for text in (read(path) .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = text
  end

  local function fail(what)
    error(("%s:%d: %s"):format(path, line, what), 0)
  end

  -- The block whose opening fence is the current line; moves to its closing fence.
  local function block()
    local first = line + 1
    repeat
      line = line + 1
      if not lines[line] then
        fail "a fence is not closed"
      end
    until lines[line] == "```"
    return table.concat(lines, "\n", first, line - 1) .. "\n"
  end

  local last -- the program that a block of output would belong to
  local function fenced(language)
    if not languages[language] then
      fail("a block of no known language: " .. language)
    elseif language == "lua" then
      last = { line = line, run = directive, text = block() }
      list[#list + 1] = last
      directive = nil
    else
      local content = block()
      if language == "text" and last then
        last.output = content
      end
      last = nil
    end
  end

  while line < #lines do
    line = line + 1
    local text = lines[line]
    local language = text:match "^```(.*)$"
    if directive and language ~= "lua" and text ~= "" then
      fail "what is told to run is no block of Lua"
    elseif language then
      fenced(language)
    elseif text:find "^%s+```lua" or text:find "^~~~" then
      fail "a program must begin with ``` at the margin"
    elseif text ~= "" then
      last = nil
      directive = text:match "^<!%-%- *run: *(.-) *%-%->$"
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

local function issue()
  local authority = issued.authority "mine"
  local server = authority:issue("localhost")
  local client = authority:issue("alice", { names = false })
  os.execute(("cd %s && cp %s cert.pem && cp %s key.pem && cp %s alice.pem && cp %s alice.key"
    .. " && cp %s my-ca.pem"):format(quote(dir), quote(server.cert), quote(server.key),
    quote(client.cert), quote(client.key), quote(authority.ca)))
end

local ways = {}

function ways.server(host, snippet, client)
  check_server(host, snippet, client)
end

function ways.with(host, snippet, what)
  assert.equal("certificates", what)
  if not issued then
    issued = certificates.new()
    issue()
  end
  check_program(host, snippet)
end

-- What the monitor shows differs in numbers, and in the widths of columns with them.
local function without_numbers(text)
  return (text:gsub("process %d+", "process N"):gsub("%d+%.%d+", "N"):gsub("  +", " ")
    :gsub("%-%-+", "-"):gsub("snippet", "kitchen"))
end

function ways.under(host, snippet, what)
  assert.equal("the monitor", what)
  if host ~= program then
    return -- where the script is no task, tasks have other numbers
  end
  local commands = {}
  local expected = snippet.output:gsub("curio > ([^\n]*)\n", function(command)
    commands[#commands + 1] = command
    return "curio > "
  end)
  write("snippet.lua", snippet.text)
  write("commands", table.concat(commands, "\n") .. "\n")
  write("prelude.lua", "io.stdout:setvbuf 'no'")
  local status, out, err = shell(host, [[
    rm -f printed
    CURIOMONITOR=$PWD/monitor.sock timeout -k 5 60 "$host" -l prelude snippet.lua >printed 2>&1 &
    server=$!
    until [ -s printed ]; do
      kill -0 $server || exit 9
      sleep 0.02
    done
    timeout -k 5 20 "$curio" --attach "$PWD/monitor.sock" <commands
    status=$?
    kill $server
    { wait $server; } 2>/dev/null
    exit $status]])
  assert.equal("", err)
  assert.equal(without_numbers(expected), without_numbers(out))
  assert.equal(0, status)
end

function ways.by(host, snippet, what)
  assert.equal("busted", what)
  write("snippet.lua", snippet.text)
  local busted, tally = quote(here .. "/tools/busted.lua"), quote(here .. "/tools/tally.lua")
  local status, out = shell(host,
    ([[exec timeout -k 5 60 "$host" %s -o %s snippet.lua 2>&1]]):format(busted, tally))
  assert.matches("^[1-9]%d* passed, 0 failed\n$", out)
  assert.equal(0, status)
end

ways["not:"] = function(_, _, reason)
  assert.is_true(#reason > 10, "the reason is missing")
end

local function check(host, snippet)
  if not snippet.run then
    return check_program(host, snippet)
  end
  local way, rest = snippet.run:match "^(%S+) (.*)$"
  assert(ways[way], "an unknown way to run it")(host, snippet, rest)
end

setup(function()
  dir = output_of("mktemp -d"):match "[^\n]+"
  if program:sub(1, 1) ~= "/" then
    program = here .. "/" .. program
  end
end)

teardown(function()
  os.execute("rm -rf " .. quote(dir))
  if issued then
    issued.remove()
  end
end)

local documents, pages = {}, {} -- pages: of docs/howto, but for its index
for path in output_of("find *.md docs examples -name '*.md' | LC_ALL=C sort"):gmatch "[^\n]+" do
  documents[#documents + 1] = path
  local name = path:match "^docs/howto/(.*)%.md$"
  pages[#pages + 1] = name ~= "index" and name or nil
end

it("docs/howto/index.md leads to every page", function()
  local index = read "docs/howto/index.md"
  assert.is_true(#pages >= 10)
  for _, name in ipairs(pages) do
    assert.is_truthy(index:find(("](%s.md)"):format(name), 1, true), name)
  end
end)

it("the tutorial and the first page have programs", function()
  assert.is_true(#programs_of "docs/tutorial.md" > 15 and #programs_of "README.md" > 2)
end)

for _, path in ipairs(documents) do
  describe(path .. ":", function()
    local programs = programs_of(path)

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

