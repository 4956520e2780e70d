--- What Popen and its kin are called with, checked and put into the form that the C host takes.

local core = require "curio.core"
local errors = require "curio.errors"

local process = core.process

local MAX_FD = (1 << 31) - 1
local MAX_ID = (1 << 32) - 2

local order = {
  PIPE = -1,
  STDOUT = -2,
  DEVNULL = -3,
  OPTIONS = {
    "stdin", "stdout", "stderr", "cwd", "env", "shell", "start_new_session", "pass_fds", "umask",
    "pty", "rlimits", "user", "group",
  },
}

local function bad(verb, fmt, ...)
  core.args.misuse(verb .. ": " .. fmt:format(...))
end

local function bad_option(verb, name, expected, got)
  bad(verb, "option '%s' must be %s, got %s", name, expected, core.errors.text(got))
end

-- ---- the command ----

local function command_text(verb, value, i)
  if type(value) ~= "string" and type(value) ~= "number" then
    bad(verb, "argument %d must be a string, got %s", i, type(value))
  end
  value = tostring(value)
  if value:find("\0", 1, true) then
    bad(verb, "argument %d has a zero byte in it", i)
  end
  return value
end

--- Splits the table of a call into the command, strings, and the options, known ones.
---@param verb string
---@param t table
---@param known table  names of options
---@param more any      nil: all is in the one table
---@return table args
---@return table opts
function order.split(verb, t, known, more)
  if type(t) ~= "table" then
    bad(verb, "a table with the program and its arguments is expected, got %s", type(t))
  elseif more ~= nil then
    bad(verb, "the program, its arguments and the options go into one table")
  end
  local args, opts, highest = {}, {}, 0
  for key, value in pairs(t) do
    if math.type(key) == "integer" and key > 0 then
      args[key] = command_text(verb, value, key)
      highest = math.max(highest, key)
    else
      opts[key] = value
    end
  end
  for i = 1, highest do
    if not args[i] then
      bad(verb, "argument %d is nil", i)
    end
  end
  if highest == 0 then
    bad(verb, "no program is named")
  end
  core.args.options(opts, verb, known)
  return args, opts
end

-- ---- options ----

local readers = {}

-- Also of a float that is whole; nil: it is not within 0..max.
local function whole(value, max)
  value = type(value) == "number" and math.tointeger(value)
  return value and value >= 0 and value <= max and value or nil
end

local function boolean(into)
  return function(verb, name, value, options)
    if type(value) ~= "boolean" then
      bad_option(verb, name, "true or false", value)
    end
    options[into] = value
  end
end

readers.start_new_session = boolean "session"
readers.shell = boolean "shell"
readers.pty = boolean "pty"

function readers.cwd(verb, name, value, options)
  if type(value) ~= "string" or value:find("\0", 1, true) then
    bad_option(verb, name, "a path", value)
  end
  options.cwd = value
end

function readers.env(verb, name, value, options)
  if type(value) ~= "table" then
    bad_option(verb, name, "a table of strings by their names", value)
  end
  local list = {}
  for key, text in pairs(value) do
    if type(key) ~= "string" or key == "" or key:find "[=%z]" then
      bad(verb, "no variable of the environment can be called %s", core.errors.text(key))
    end
    if (type(text) ~= "string" and type(text) ~= "number") or tostring(text):find "%z" then
      bad(verb, "the variable %s must be a string, got %s", key, core.errors.text(text))
    end
    list[#list + 1] = key .. "=" .. text
  end
  options.env = list
  options.path = value.PATH and tostring(value.PATH) or false
end

function readers.umask(verb, name, value, options)
  options.umask = whole(value, 511)
    or bad_option(verb, name, "an integer from 0 to octal 777", value)
end

-- Could it have a descriptor, were it open?
local function is_stream(value)
  if io.type(value) then
    return true
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__fileno ~= nil then
    return true
  end
  local indexed = type(value) == "table" or type(meta) == "table" and meta.__index ~= nil
  return indexed and value.fileno ~= nil
end

local function is_descriptor(value)
  return math.type(value) == "integer" and value >= 0 and value <= MAX_FD or is_stream(value)
end

-- The first three are the business of stdin, stdout, stderr.
function readers.pass_fds(verb, name, value, options)
  if type(value) ~= "table" then
    bad_option(verb, name, "a list of descriptors", value)
  end
  local list, seen = {}, {}
  for _, item in ipairs(value) do
    if not is_descriptor(item) then
      bad_option(verb, name, "of open descriptors, or what has them", item)
    end
    local fd = process.fileno(item)
    if not fd then
      return errors.ClosedError { message = verb .. ": the stream given to the child is closed" }
    end
    if fd > 2 and not seen[fd] then
      seen[fd] = true
      list[#list + 1] = fd
    end
  end
  table.sort(list)
  options.pass_fds = list
end

local function limit(verb, what, value)
  if value == math.huge then
    return false -- none
  end
  return whole(value, math.maxinteger)
    or bad_option(verb, "rlimits", "a table of numbers, or of {soft, hard}: " .. what, value)
end

function readers.rlimits(verb, name, value, options)
  if type(value) ~= "table" then
    bad_option(verb, name, "a table of limits by their names", value)
  end
  options.limits = {}
  for what, bound in pairs(value) do
    local resource = process.ids.limits[what]
    if not resource then
      local known = {}
      for each in pairs(process.ids.limits) do
        known[#known + 1] = each
      end
      table.sort(known)
      bad(verb, "unknown limit %s (known: %s)", core.errors.text(what), table.concat(known, ", "))
    end
    local pair = type(bound) == "table" and bound or { bound, bound }
    options.limits[#options.limits + 1] =
      { resource, limit(verb, what, pair[1]), limit(verb, what, pair[2]) }
  end
end

-- The highest number is the system's way of saying "none".
local function id(verb, name, value)
  return type(value) == "string" and value or whole(value, MAX_ID)
    or bad_option(verb, name, "a name or a number", value)
end

-- Another user comes with its groups; but for a privileged process nothing of that is permitted,
-- other than to stay what one is.
function readers.user(verb, name, value, options)
  local uid, gid, groups = process.ids.user(id(verb, name, value))
  if not uid then
    return gid
  end
  options.uid = uid
  if process.ids.privileged() then
    options.gid = options.gid or gid
    options.groups = groups or options.groups or {}
  end
end

function readers.group(verb, name, value, options)
  local gid, err = process.ids.group(id(verb, name, value))
  if not gid then
    return err
  end
  options.gid = gid
  if process.ids.privileged() then
    options.groups = options.groups or { gid }
  end
end

-- ---- stdin, stdout, stderr ----

local function stdio_entry(verb, name, value)
  if value == nil then
    return false
  elseif value == order.PIPE then
    return "pipe"
  elseif value == order.DEVNULL then
    return "null"
  elseif value == order.STDOUT and name == "stderr" then
    return "stdout"
  elseif is_descriptor(value) then
    return value
  end
  bad_option(verb, name, "PIPE, DEVNULL, a descriptor or what has one", value)
end

-- Where nothing else is said, the terminal; the first of these becomes the controlling one.
local function on_terminal(verb, opts, plan)
  local terminal, err = process.terminal()
  if not terminal then
    return err
  end
  plan.terminal, plan.on_terminal = terminal, {}
  plan.options.session = true
  for i, name in ipairs { "stdin", "stdout", "stderr" } do
    if opts[name] == nil then
      plan.stdio[i], plan.on_terminal[i] = terminal:slave(), true
      plan.options.terminal = plan.options.terminal or i - 1
    end
  end
  if not plan.options.terminal then
    terminal:close()
    bad(verb, "option 'pty' is of no use where all three of stdin, stdout, stderr are given")
  end
end

local function read_stdio(verb, opts, plan)
  for i, name in ipairs { "stdin", "stdout", "stderr" } do
    plan.stdio[i] = stdio_entry(verb, name, opts[name])
    plan.piped[i] = plan.stdio[i] == "pipe"
  end
end

-- ---- the whole ----

--- Reads the options.
---@param verb string
---@param args table
---@param opts table
---@return table? plan  .args, .options, .stdio, .piped, .terminal, .on_terminal
---@return table? err   an unknown user, no terminal
function order.read(verb, args, opts)
  local options = { path = os.getenv "PATH" }
  local plan = { args = args, options = options, stdio = {}, piped = {} }
  for _, name in ipairs { "group", "cwd", "env", "umask", "start_new_session", "shell", "pty",
    "pass_fds", "rlimits", "user" } do
    if opts[name] ~= nil then
      local err = readers[name](verb, name, opts[name], options)
      if err then
        return nil, err
      end
    end
  end
  if options.shell then
    plan.args = { "/bin/sh", "-c", table.unpack(args) }
  end
  read_stdio(verb, opts, plan)
  if options.pty then
    local err = on_terminal(verb, opts, plan)
    if err then
      return nil, err
    end
  end
  return plan
end

return order
