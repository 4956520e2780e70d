-- Reads the definitions in types/: comments in the form of the Lua language server and the
-- functions below them. What that server would not understand is an error here.
--
--     file.classes[name]   {name, parents, fields = {name = type}}
--     file.functions       of each: {line, owner, class, method, name, params, doc}
--     file.aliases         of each: {owner, name, to}, a line "owner.name = to"
--     file.used            names of classes in types, each with the line where it stands
--
-- A doc is what stands above: {async, params = {{name, type}}, returns = {type}, text}; a type is
-- {text =, async = is it a function that blocks, fields = of a {a: b} or nil}.

local M = {}

local BUILTIN = {}
for name in ([[nil any boolean true false string number integer function table thread userdata
  lightuserdata self file*]]):gmatch "%S+" do
  BUILTIN[name] = true
end

-- ---- types ----

-- A reader of one line.
local Line = {}
Line.__index = Line

function Line:fail(what)
  error(("%s: %s expected at '%s'"):format(self.place, what, self.text:sub(self.at)), 0)
end

-- What matches the pattern here, after blanks, or nil.
function Line:take(pattern)
  local first, last, found = self.text:find("^[ \t]*(" .. pattern .. ")", self.at)
  if first then
    self.at = last + 1
    return found
  end
end

function Line:need(pattern, what)
  return self:take(pattern) or self:fail(what or "'" .. pattern .. "'")
end

local read_type

local function read_list(line, closing, item)
  while not line:take(closing) do
    item()
    if not line:take "," then
      line:need(closing)
      return
    end
  end
end

-- fun(a: A, b?, ...): R, ...
local function read_function(line)
  line:need "%("
  read_list(line, "%)", function()
    if not line:take "%.%.%." then
      line:need("[%a_][%w_]*", "the name of a parameter")
      line:take "%?"
    end
    if line:take ":" then
      read_type(line)
    end
  end)
  if line:take ":" then
    repeat
      if not line:take "%.%.%." then
        read_type(line)
      end
    until not line:take ","
  end
end

local function read_fields(line, of)
  of.fields = of.fields or {}
  read_list(line, "}", function()
    local name = line:take "[%a_][%w_]*"
    if name then
      line:take "%?"
      line:need ":"
      of.fields[name] = read_type(line)
    elseif line:take "%[" then
      read_type(line)
      line:need "%]"
      line:need ":"
      read_type(line)
    else
      read_type(line)
    end
  end)
end

local function read_name(line, of)
  local name = line:need("[%a_][%w_.]*%*?", "a type")
  if name == "async" then
    of.async = true
    line:need "fun%f[^%w_]"
    read_function(line)
  elseif name == "fun" then
    read_function(line)
  else
    if not BUILTIN[name] then
      table.insert(line.used, { name = name, place = line.place })
      of.class = of.class or name
    end
    if line:take "<" then
      read_list(line, ">", function()
        read_type(line)
      end)
    end
  end
end

local function read_one(line, of)
  if line:take "%(" then
    read_type(line, of)
    line:need "%)"
  elseif line:take "{" then
    read_fields(line, of)
  elseif not (line:take '"[^"]*"' or line:take "%-?%d+") then
    read_name(line, of)
  end
  while line:take "%[%]" or line:take "%?" do
  end
end

-- Unions of types; `of` collects what is known of them.
function read_type(line, of)
  of = of or {}
  local first = line.at
  repeat
    read_one(line, of)
  until not line:take "|"
  of.text = line.text:sub(first, line.at - 1):match "^%s*(.*)$"
  return of
end

-- ---- comments ----

local tags = {}

function tags.meta(line)
  line:take "[%w_.]+"
end

function tags.class(line, doc, file)
  local name = line:need("[%a_][%w_.]*", "the name of a class")
  local class = { name = name, fields = {}, parents = {}, place = line.place }
  if line:take ":" then
    repeat
      local parent = line:need("[%a_][%w_.]*", "the name of a class")
      table.insert(class.parents, parent)
      table.insert(file.used, { name = parent, place = line.place })
    until not line:take ","
  end
  if file.classes[name] then
    line:fail("a class that is not defined yet, but " .. name .. " is: another name")
  end
  file.classes[name] = class
  doc.class = class
end

function tags.alias(line, _, file)
  local name = line:need("[%a_][%w_.]*", "the name of a type")
  file.classes[name] = {
    name = name, fields = {}, parents = {}, place = line.place, alias = read_type(line),
  }
end

function tags.operator(line)
  line:need("%l+", "the name of an operator")
  line:need ":"
  read_type(line)
end

function tags.field(line, doc)
  if not doc.class then
    line:fail "a class above the field"
  elseif line:take "%[" then
    read_type(line)
    line:need "%]"
    read_type(line)
    return
  end
  doc.class.fields[line:need("[%a_][%w_]*", "the name of a field")] = read_type(line)
end

function tags.param(line, doc)
  local name = line:take "%.%.%." or line:need("[%a_][%w_]*", "the name of a parameter")
  line:take "%?"
  table.insert(doc.params, { name = name, type = read_type(line) })
end

tags["return"] = function(line, doc)
  local read = read_type(line)
  repeat
    table.insert(doc.returns, read)
    read = line:take "," and read_type(line)
  until not read
end

function tags.overload(line)
  line:take "async"
  line:need "fun"
  read_function(line)
end

function tags.type(line, doc)
  doc.type = read_type(line)
end

function tags.async(_, doc)
  doc.async = true
end

local function new_doc()
  return { params = {}, returns = {}, lines = {} }
end

local function read_comment(text, place, doc, file)
  table.insert(doc.lines, text)
  local tag, at = text:match "^@(%a+)()"
  if tag then
    local line = setmetatable({ text = text, at = at, place = place, used = file.used }, Line)
    if not tags[tag] then
      line:fail "an annotation that there is"
    end
    tags[tag](line, doc, file)
  end
end

-- ---- code ----

local function names_in(list)
  local names = {}
  for name in list:gmatch "[^%s,()]+" do
    names[#names + 1] = name
  end
  return names
end

-- A line that is no comment, with the comment above it.
local function read_code(text, place, doc, file, owners)
  local owner, mark, name, params = text:match "^function ([%w_.]-)([.:])([%w_]+)(%b()) end$"
  if owner then
    table.insert(file.functions, {
      place = place, owner = owner, class = owners[owner], method = mark == ":", name = name,
      params = names_in(params), doc = doc,
    })
  elseif text:find "^local [%w_]+ = {}$" then
    owners[text:match "^local ([%w_]+)"] = doc.class
  elseif text:find "^[%w_.]+ = " then
    local of, key, to = text:match "^([%w_.]-)%.([%w_]+) = (.*)$"
    table.insert(file.aliases, { owner = of, name = key, to = to, doc = doc, place = place })
  elseif text ~= "" and not text:find "^local [%w_]+ = require " and not text:find "^return "
    and not text:find "^%-%- " then
    error(place .. ": not a definition: " .. text, 0)
  end
end

--- What a file defines. Raises what is wrong with it.
function M.read(path)
  local file = { path = path, classes = {}, functions = {}, aliases = {}, used = {} }
  local owners, doc, number = {}, new_doc(), 0
  for text in io.lines(path) do
    number = number + 1
    local place = path .. ":" .. number
    local comment = text:match "^%-%-%-(.*)$"
    if comment then
      read_comment(comment, place, doc, file)
    else
      read_code(text, place, doc, file, owners)
      doc.text = table.concat(doc.lines, "\n")
      doc = new_doc()
    end
  end
  return file
end

--- Is it a type that needs no definition?
function M.is_builtin(name)
  return BUILTIN[name] ~= nil
end

return M
