-- The program's REPL: reads Lua, runs it as a task, prints what it gives.
--
-- Waiting for input suspends the REPL's task alone, so whatever was spawned goes on. Each input,
-- and each wait for one, is a task that SIGINT interrupts. src/main.c calls it in the main task.

local core = require "curio.core"
local errors = require "curio.errors"
local traps = require "curio.traps"

local HISTORY_LINES = 1000

-- ---- showing values ----

local WIDTH = 78       -- a table wider than this gets lines of its own
local DEPTH = 4        -- tables deeper than this are not opened
local ENTRIES = 100    -- of one table

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch "%a+" do
  keywords[word] = true
end

local function is_name(key)
  return type(key) == "string" and key:find "^[%a_][%w_]*$" and not keywords[key]
end

local function quoted(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\r", "\\r"))
end

-- Numbers first, then strings, then whatever else, each in its order.
local function in_order(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then
    return ta == "number" or tb ~= "number" and (ta == "string" or tb ~= "string" and ta < tb)
  elseif ta == "number" or ta == "string" then
    return a < b
  end
  return tostring(a) < tostring(b)
end

local show

-- The entries of a table as texts: its array first, without keys.
local function entries_of(value, depth, open)
  local list, n = {}, 0
  while rawget(value, n + 1) ~= nil and n < ENTRIES do
    n = n + 1
    list[n] = show(value[n], depth, open)
  end
  local keys = {}
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, in_order)
  for i = 1, math.min(#keys, ENTRIES - n) do
    local key = keys[i]
    local name = is_name(key) and key or ("[%s]"):format(show(key, DEPTH, open))
    list[#list + 1] = name .. " = " .. show(rawget(value, key), depth, open)
  end
  local left = #keys - math.max(ENTRIES - n, 0)
  if left > 0 then
    list[#list + 1] = ("... %d more"):format(left)
  end
  return list
end

local function show_table(value, depth, open)
  if open[value] then
    return "<itself>"
  elseif next(value) == nil then
    return "{}"
  elseif depth >= DEPTH then
    return "{...}"
  end
  open[value] = true
  local list = entries_of(value, depth + 1, open)
  open[value] = nil
  local line = "{ " .. table.concat(list, ", ") .. " }"
  local indent = ("  "):rep(depth)
  if #line + #indent <= WIDTH and not line:find("\n", 1, true) then
    return line
  end
  return "{\n" .. indent .. "  " .. table.concat(list, ",\n" .. indent .. "  ") .. "\n" .. indent
    .. "}"
end

function show(value, depth, open)
  if type(value) == "string" then
    return quoted(value)
  elseif type(value) ~= "table" then
    return core.errors.text(value)
  end
  local meta = getmetatable(value)
  if meta ~= nil and (type(meta) ~= "table" or meta.__tostring or meta.__name) then
    return core.errors.text(value)
  end
  return show_table(value, depth, open)
end

-- At the top a string is shown as it is, as print would.
local function print_results(results)
  local texts = {}
  for i = 1, results.n do
    local value = results[i]
    texts[i] = type(value) == "string" and value or show(value, 0, {})
  end
  if results.n > 0 then
    io.write(table.concat(texts, "\t"), "\n")
  end
end

-- ---- completion ----

-- What the names before the last dot or colon lead to; nil where that is nothing with fields.
local function object_of(path)
  local value = _G
  for name in path:gmatch "[^.:]+" do
    local ok, inner = pcall(function()
      return value[name]
    end)
    if not ok or inner == nil then
      return nil
    end
    value = inner
  end
  return value
end

local function fields_of(value)
  local found, seen = {}, {}
  while value ~= nil and not seen[value] do
    seen[value] = true
    if type(value) == "table" then
      for key in pairs(value) do
        if is_name(key) then
          found[key] = true
        end
      end
    end
    local meta = debug.getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(value) ~= "table" then
      break
    end
  end
  return found
end

-- The words that begin with the text: names of globals and keywords, or of fields after a dot or
-- colon.
local function complete(text)
  local before, mark, start = text:match "^(.-)([.:]?)([%w_]*)$"
  local path = mark ~= "" and before or ""
  if before ~= "" and mark == "" or mark ~= "" and not before:find "^[%a_][%w_.]*$" then
    return {}
  end
  local names = fields_of(object_of(path))
  if mark == "" then
    for word in pairs(keywords) do
      names[word] = true
    end
  end
  local list = {}
  for name in pairs(names) do
    if name:sub(1, #start) == start then
      list[#list + 1] = path .. mark .. name
    end
  end
  table.sort(list)
  return list
end

-- ---- reading ----

local edit -- whether lines are edited
local input -- the stream, where they are not

local editing_meta = {
  __close = function()
    core.edit.stop()
  end,
}

---@async
local function edited_line(prompt)
  local _ <close> = setmetatable({}, editing_meta) -- first: SIGINT may come at any moment
  core.edit.start(prompt)
  while true do
    traps.read_wait(0)
    local complete_line, line = core.edit.feed(complete)
    if complete_line then
      return line
    end
  end
end

-- A line without its end; nil at the end of the input.
---@async
local function read_line(prompt)
  if edit then
    return edited_line(prompt)
  end
  io.write(prompt)
  io.flush()
  return input:read "l"
end

-- ---- running ----

-- Runs fn as the task that SIGINT interrupts; true and its results, or false and its error.
---@async
local function interruptible(fn, ...)
  local task = core.spawn(fn, ...)
  core.main_chunk(task)
  core.principal()
  task:wait()
  core.principal()
  if core.failed(task) then
    return false, task.exception, task.error_traceback
  end
  return true, task.results
end

local function report(err, traceback)
  if errors.is(err, errors.Interrupted) then
    io.stderr:write "interrupted\n"
    return
  end
  local text = core.errors.text(err)
  if traceback and not text:find("\nstack traceback:", 1, true) then
    text = text .. "\n" .. traceback
  end
  io.stderr:write(text, "\n")
end

local function is_incomplete(message)
  return message:sub(-5) == "<eof>"
end

-- As an expression, else as statements; nil and the message if it is neither, and whether more may
-- make it one.
local function compile(text)
  local chunk, as_expression = load("return " .. text, "=stdin", "t")
  if chunk then
    return chunk
  end
  local statements, message = load(text, "=stdin", "t")
  if statements then
    return statements
  end
  return nil, message, is_incomplete(message) or is_incomplete(as_expression)
end

local function prompt_of(name, default)
  local value = rawget(_G, name)
  return value == nil and default or core.errors.text(value)
end

-- A chunk, or false for an input that was given up, or nil at the end.
---@async
local function read_chunk()
  local text
  while true do
    local prompt = text and prompt_of("_PROMPT2", ">> ") or prompt_of("_PROMPT", "> ")
    local ok, results = interruptible(read_line, prompt)
    if not ok then
      io.write "\n"
      if errors.is(results, errors.Interrupted) then
        return false
      end
      report(results)
      return nil -- there is no more input to be had
    end
    local line = results[1]
    if line == nil then
      return nil
    end
    text = text and text .. "\n" .. line or line
    local chunk, message, incomplete = compile(text)
    if not incomplete then
      if text:find "%S" then
        core.edit.remember(text)
      end
      if not chunk then
        io.stderr:write(message, "\n")
      end
      return chunk or false
    end
  end
end

-- ---- what is at hand ----

local function show_tasks()
  local text = require("curio.monitor").command "ps"
  io.write(text)
end

local function show_where(id)
  io.write(require("curio.monitor").command("where " .. tostring(id)))
end

local function history_path()
  local path = os.getenv "CURIO_HISTORY"
  local home = os.getenv "HOME"
  return path or home and home .. "/.curio_history"
end

--- Reads, runs and prints until the end of the input.
---@async
local function run()
  local path
  edit = core.edit.terminal() and core.edit.available()
  if edit then
    path = history_path()
    if path and path ~= "" then
      core.edit.load(path)
    end
  else
    input = require("curio.io").stdin
  end
  rawset(_G, "curio", rawget(_G, "curio") or require "curio")
  rawset(_G, "ps", rawget(_G, "ps") or show_tasks)
  rawset(_G, "where", rawget(_G, "where") or show_where)
  while true do
    local chunk = read_chunk()
    if chunk == nil then
      break
    elseif chunk then
      local ok, results, traceback = interruptible(chunk)
      if ok then
        ok, results, traceback = interruptible(print_results, results)
      end
      if not ok then
        report(results, traceback)
      end
      io.flush()
    end
    if path and path ~= "" then
      core.edit.save(path, HISTORY_LINES)
    end
  end
  io.write "\n"
end

return { run = run, complete = complete, show = function(value)
  return show(value, 0, {})
end }
