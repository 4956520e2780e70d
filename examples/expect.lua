-- Drives a program that wants a terminal, as ssh does: waits for what it asks, answers, and prints
-- the rest of the session.
--
--     curio examples/expect.lua 'question=answer' ... -- command arg ...
--
-- A question is a Lua pattern that the end of the output must match.

local curio = require "curio"
local subprocess = require "curio.subprocess"

local PATIENCE = 10 -- seconds for each question

local dialogue, command = {}, {}
for _, word in ipairs(arg) do
  local into = command.begun and command or dialogue
  if word == "--" and not command.begun then
    command.begun = true
  else
    into[#into + 1] = word
  end
end
assert(#command > 0, "usage: expect.lua 'question=answer' ... -- command arg ...")

-- Reads until the output ends with the pattern.
local function expect(terminal, pattern)
  local seen = ""
  while not seen:find(pattern .. "$") do
    local text = terminal:read(4096)
    if not text then
      error(curio.CurioError(("the session ended before it asked for %q"):format(pattern)))
    end
    io.write(text)
    seen = seen .. text
  end
end

local function main()
  io.stdout:setvbuf "no"
  command.begun, command.pty = nil, true
  local process <close> = assert(subprocess.Popen(command))
  local terminal = process.stdout
  for _, turn in ipairs(dialogue) do
    local question, answer = turn:match "^(.-)=(.*)$"
    curio.timeout_after(PATIENCE, expect, terminal, question)
    assert(terminal:write(answer, "\n"))
  end
  for text in function() return (terminal:read(4096)) end do
    io.write(text)
  end
  return process:wait()
end

local ok, status = pcall(curio.run, main)
if not ok then
  io.stderr:write("expect: ", tostring(status), "\n")
end
os.exit(ok and status or 1, true)
