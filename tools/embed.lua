-- embed.lua OUT DIR FILE...: write the Lua FILEs below DIR into OUT, as the C table that
-- src/embedded.h declares. OUT stays untouched when nothing has changed.

local out, dir = arg[1], arg[2]

local function read(path)
  local file = io.open(path, "rb")
  return file and file:read("a"), file and file:close()
end

-- lua/curio/init.lua is the module curio; lua/curio/interop/luv.lua is curio.interop.luv.
local function module_name(path)
  local name = path:sub(#dir + 2):gsub("%.lua$", ""):gsub("/init$", "")
  return (name:gsub("/", "."))
end

-- Three digits, so that a digit that follows is never taken for a part of the escape.
local function escape(char)
  return ("\\%03o"):format(char:byte())
end

local function c_string(source)
  local lines = {}
  for line in source:gmatch("[^\n]*\n?") do
    if line ~= "" then
      line = line:gsub("[\\\"?\0-\9\11-\31\127-\255]", escape):gsub("\n", "\\n")
      lines[#lines + 1] = '    "' .. line .. '"'
    end
  end
  return #lines > 0 and table.concat(lines, "\n") or '    ""'
end

local modules = {}
for i = 3, #arg do
  local source = assert(read(arg[i]), "cannot read " .. arg[i])
  assert(load(source, "@" .. arg[i], "t"))
  modules[#modules + 1] = ('    {"%s",\n%s,\n    %d},\n')
    :format(module_name(arg[i]), c_string(source), #source)
end

local text = table.concat {
  "/* Made by tools/embed.lua from the files below ", dir, "/. */\n",
  '#include "embedded.h"\n\n',
  "const struct embedded_module embedded_modules[] = {\n",
  table.concat(modules),
  "    {NULL, NULL, 0}};\n",
}
if read(out) ~= text then
  local file = assert(io.open(out, "wb"))
  assert(file:write(text))
  assert(file:close())
end
