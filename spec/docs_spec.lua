-- The documents: every program in README.md and docs/tutorial.md runs and prints what is said below
-- it; docs/reference.md and types/ leave no public name out; the changelog keeps its form.
--
-- Each ```lua block is a whole program, run by build/bin/curio as a process of its own. It must end
-- well and silently on stderr; what it prints must be the ```text block that follows, if one does.
-- A line before the fence says what else to do with it:
--
--     <!-- run: server NAME -->   it serves on port 25000 until it is ended; the client NAME below
--                                 talks to it (each time on a free port put in that one's place)
--     <!-- run: not -->           it is part of a program

local build = os.getenv "CURIO_BUILD" or "build"
local dir, program

local function quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function write(name, text)
  local file = assert(io.open(dir .. "/" .. name, "wb"))
  file:write(text)
  file:close()
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

-- Runs shell lines in the temporary directory: exit status, stdout, stderr.
local function shell(lines)
  write("lines", ("cd %s\ncurio=%s\n%s\n"):format(quote(dir), quote(program), lines))
  local status = output_of(("LUA_PATH=%s sh %s >%s 2>%s </dev/null; echo $?"):format(
    quote(dir .. "/?.lua;;"), quote(dir .. "/lines"), quote(dir .. "/out"), quote(dir .. "/err")))
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

local function check_server(snippet, client)
  local text, n = snippet.text:gsub("25000", "0")
  assert.equal(1, n, "a server that listens at port 25000")
  write("snippet.lua", text)
  write("prelude.lua", PRELUDE)
  write("client.lua", assert(clients[client], "no such client"))
  local status, out, err = shell [[
    rm -f port
    timeout -k 5 120 "$curio" -l prelude snippet.lua >server.out 2>&1 &
    server=$!
    until [ -s port ]; do
      kill -0 $server || { cat server.out; exit 9; }
      sleep 0.02
    done
    timeout -k 5 60 "$curio" client.lua "$(cat port)"
    status=$?
    kill $server
    wait $server
    exit $status]]
  assert.equal("", err)
  assert.equal("", out)
  assert.equal(0, status)
end

local function check_program(snippet)
  write("snippet.lua", snippet.text)
  local status, out, err = shell [[exec timeout -k 5 60 "$curio" snippet.lua]]
  assert.equal("", err)
  if snippet.output then
    assert.equal(snippet.output, out)
  end
  assert.equal(0, status)
end

setup(function()
  dir = output_of("mktemp -d"):match "[^\n]+"
  program = build .. "/bin/curio"
  if program:sub(1, 1) ~= "/" then
    program = output_of("pwd"):match "[^\n]+" .. "/" .. program
  end
end)

teardown(function()
  os.execute("rm -rf " .. quote(dir))
end)

for _, path in ipairs { "README.md", "docs/tutorial.md" } do
  describe(path .. ":", function()
    local programs = programs_of(path)

    it("has programs", function()
      assert.is_true(#programs >= 2)
    end)

    for _, snippet in ipairs(programs) do
      it(("the program at line %d runs"):format(snippet.line), function()
        local client = snippet.run and snippet.run:match "^server (%w+)$"
        if client then
          check_server(snippet, client)
        elseif snippet.run ~= "not" then
          assert.is_nil(snippet.run, "an unknown way to run it")
          check_program(snippet)
        end
      end)
    end
  end)
end
