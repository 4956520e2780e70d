-- test_readme.lua: the path of a newcomer, run by build/bin/curio. README.md is followed from top
-- to bottom in a fresh checkout, as it is written:
--
--   * each line of a block of sh is typed into one and the same shell;
--   * a block of lua is saved under the `NAME.lua` that the paragraph before it gives, and run by
--     each `curio NAME.lua` and `lua5.4 NAME.lua` that stands in the paragraphs around it;
--   * a block of text is what that prints;
--   * where there is an `nc ...` around it, the program serves: it is talked to from two terminals
--     at once, and then ended by Ctrl-C.
--
-- Three variables of the environment keep it to its place and short: DESTDIR has "make install" put
-- everything into a directory, whose usr/local is in PATH and LUA_PATH as the real one would be;
-- SPECS has "make test" run one spec and one unit test, since all of them would run this one too;
-- and CFLAGS=-O0 halves the time to compile. HOME is a new one.

local curio = require "curio"
local signal = require "curio.signal"
local socket = require "curio.socket"
local subprocess = require "curio.subprocess"

local PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT
local PORT = 25000 -- in README.md
local MAKES = 600 -- seconds at most for a line that is typed
local PATIENCE = 30 -- and for anything else

local passed, failed = 0, 0

local function check(what, done, ...)
  if done then
    passed = passed + 1
  else
    failed = failed + 1
    print("failed: " .. what)
    print(...)
  end
end

-- ---- what README.md says ----

-- A list of {kind = "sh", "lua", "text" or "paragraph", text = }.
local function blocks_of(text)
  local list, fence = {}, nil
  local function add(kind, line)
    local last = list[#list]
    if not last or last.done or last.kind ~= kind then
      last = { kind = kind, text = "" }
      list[#list + 1] = last
    end
    last.text = last.text .. line .. "\n"
  end
  for line in text:gmatch "([^\n]*)\n" do
    local opening = line:match "^```(%w*)$"
    if opening and not fence then
      fence = opening
    elseif opening then
      fence = nil
    elseif fence then
      add(fence, line)
    elseif line ~= "" and not line:find "^<!%-%-" then
      add("paragraph", line)
    end
    if list[#list] and (opening or line == "" and not fence) then
      list[#list].done = true
    end
  end
  return list
end

local function spans_of(block)
  local spans = {}
  if block and block.kind == "paragraph" then
    for span in block.text:gsub("\n", " "):gmatch "`([^`]+)`" do
      spans[#spans + 1] = span
    end
  end
  return spans
end

-- A program: {name, source, commands, talk = "nc ..." or nil, output = what it prints or nil}.
local function program_of(blocks, i)
  local program = { source = blocks[i].text, commands = {} }
  for _, span in ipairs(spans_of(blocks[i - 1])) do
    program.name = span:match "^[%w_]+%.lua$" or program.name
  end
  local after = i + 1
  if blocks[after] and blocks[after].kind == "text" then
    program.output = blocks[after].text
    after = after + 1
  end
  for _, block in ipairs { blocks[i - 1], blocks[after] } do
    for _, span in ipairs(spans_of(block)) do
      local file = span:match "^curio ([%w_]+%.lua)$" or span:match "^lua5.4 ([%w_]+%.lua)$"
      if file and file == program.name then
        table.insert(program.commands, span)
      elseif span:find "^nc " then
        program.talk = span
      end
    end
  end
  return program
end

-- ---- the newcomer's machine ----

local place -- a directory for all of it

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

local function output_of(command)
  return (assert(subprocess.check_output { "sh", "-c", command }):match "^[^\n]*")
end

local function environment()
  local prefix = place .. "/target/usr/local"
  local path = os.getenv("PATH"):gsub(output_of("pwd -P") .. "/[^:]*:", "")
  return {
    HOME = place .. "/home",
    PATH = prefix .. "/bin:" .. path,
    LUA_PATH = ("%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua;;"):format(prefix, prefix),
    LUA_CPATH = prefix .. "/lib/lua/5.4/?.so;;",
    DESTDIR = place .. "/target",
    SPECS = "spec/task_spec.lua spec/c/addr_test.c",
    CFLAGS = "-O0",
    TMPDIR = os.getenv "TMPDIR",
    PKG_CONFIG_PATH = os.getenv "PKG_CONFIG_PATH",
  }
end

-- A shell in the checkout; returns a function that types a line: exit status, output.
local function terminal()
  local shell = assert(subprocess.Popen { "sh", stdin = PIPE, stdout = PIPE, stderr = STDOUT,
    cwd = place .. "/curio", env = environment() })
  return function(line)
    write(place .. "/line", line .. "\n")
    shell.stdin:write '. ../line </dev/null; status=$?; echo; echo "@done@ $status"\n'
    shell.stdin:flush()
    local output = {}
    for printed in shell.stdout:lines() do
      local status = printed:match "^@done@ (%d+)$"
      if status then
        return tonumber(status), table.concat(output, "\n")
      end
      output[#output + 1] = printed
    end
    return nil, table.concat(output, "\n")
  end, shell
end

-- A command in a new terminal, where everything is as `terminal` has left it in ../env. On pipes,
-- or, to see what it says while it runs, on a real one.
local function start(command, pty)
  local pipe = not pty and PIPE or nil
  return assert(subprocess.Popen { "sh", "-c", ". ../env && exec " .. command,
    stdin = pipe, stdout = pipe, stderr = pipe and STDOUT, pty = pty, cwd = place .. "/curio" })
end

-- ---- following it ----

local function run_program(command, program)
  local process <close> = start(command)
  local output = process:communicate()
  check(command .. " ends well", process.returncode == 0, output)
  check(command .. " prints what README.md says", output == program.output, output)
end

-- Types a word and reads what comes back; nil: the connection was refused or cut.
local function echoed(process, word)
  process.stdin:write(word, "\n")
  process.stdin:flush()
  return process.stdout:read "l" == word
end

local function interrupt(process)
  process:send_signal(signal.SIGINT)
  local output = process:communicate()
  return output
end

-- The first one to be answered, as soon as the server listens.
local function connected(server, command)
  repeat
    local process = start(command)
    if echoed(process, "hello") then
      return process
    end
    interrupt(process)
    curio.sleep(0.05)
  until server:poll()
  return nil
end

-- What a server says until it has noticed that both have gone, and of its own end after Ctrl-C.
local function last_words(server)
  local output, closed = {}, 0
  while closed < 2 do
    local line = server.stdout:read "l"
    if not line then
      break
    end
    output[#output + 1] = line
    closed = closed + (line:find "^Connection closed" and 1 or 0)
  end
  if not server:poll() then
    server.stdin:write "\3"
  end
  return table.concat(output, "\n") .. "\n" .. (server:communicate() or "")
end

local function serve(command, program)
  local server <close> = start(command, true)
  local one <close> = connected(server, program.talk)
  local other <close> = one and connected(server, program.talk)
  local answered = one and other and echoed(one, "one") and echoed(other, "other")
    and echoed(one, "one again")
  if one and other then
    interrupt(one)
    interrupt(other)
  end
  local output = last_words(server)
  check(command .. " answers " .. program.talk, answered, output)
  for _, line in ipairs { "Connection from", "Connection closed" } do
    local _, n = output:gsub(line, "")
    check(("%s prints %q twice"):format(command, line), n == 2, output)
  end
end

local function follow_program(program)
  check("a program has a name and a command", program.name and #program.commands > 0,
    program.source)
  write(place .. "/curio/" .. program.name, program.source)
  for _, command in ipairs(program.commands) do
    local verb = program.talk and serve or run_program
    local done, err = pcall(curio.timeout_after, PATIENCE, verb, command, program)
    check(command, done, err)
  end
end

-- Another one who follows README.md at this time, or a server of somebody's, may have its port;
-- then this is done with another port. What is returned is to be kept.
local function take_port(program)
  local mine = socket.socket(socket.AF_UNIX)
  local probe <close> = socket.socket()
  probe:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  if not (mine:bind(("\0curio-readme-%d"):format(PORT)) and probe:bind("", PORT)) then
    assert(probe:bind("", 0))
    local port = tostring(probe:getsockname().port)
    print(("port %d is taken: %s instead"):format(PORT, port))
    program.source = program.source:gsub(tostring(PORT), port)
    program.talk = program.talk:gsub(tostring(PORT), port)
  end
  return mine
end

local function follow()
  local file <close> = assert(io.open "README.md")
  local blocks = blocks_of(file:read "a")
  local type_line, shell = terminal()
  local _ <close> = shell
  for i, block in ipairs(blocks) do
    if block.kind == "sh" then
      for line in block.text:gmatch "[^\n]+" do
        local status, output = curio.timeout_after(MAKES, type_line, line)
        check(line, status == 0, output)
      end
    elseif block.kind == "lua" then
      type_line "export -p >../env"
      local program = program_of(blocks, i)
      local _ <close> = program.talk and take_port(program)
      follow_program(program)
    end
  end
end

do
  place = output_of "mktemp -d"
  local _ <close> = setmetatable({}, { __close = function()
    subprocess.run { "rm", "-rf", place }
  end })
  subprocess.run { "mkdir", place .. "/home", check = true }
  subprocess.run { "sh", "tools/snapshot.sh", place .. "/curio", check = true }
  follow()
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0, true)
