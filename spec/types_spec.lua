-- types/ says of every public name what the code does: the annotations are well-formed, no method
-- is missing or too many, functions have the parameters that they say, ---@async stands exactly
-- where a call may block, and options are those that the code knows. (The names are looked after
-- by spec/docs_spec.lua.)
--
-- What can be seen from outside is tried out, by the calls in spec/probes.lua: every blocking call
-- is a cancellation point, so it raises TaskTimeout where a deadline has passed, also if it need
-- not wait; and an unknown option is refused with the list of the known ones.

local annotations = require "spec.annotations"
local curio = require "curio"
local helper = require "spec.helper"
local probes = require "spec.probes"

local files = {} -- by the name of the module, without "curio."
local classes = {} -- all of them
local problems = {}

for path in helper.output_of("find types -name '*.lua' | sort"):gmatch "%S+" do
  local name = path:match("^types/(.*)%.lua$"):gsub("/", ".")
  local ok, file = pcall(annotations.read, path)
  if ok then
    files[name] = file
  else
    problems[#problems + 1] = file
  end
end

for _, file in pairs(files) do
  for name, class in pairs(file.classes) do
    if classes[name] then
      problems[#problems + 1] = class.place .. ": defined twice: " .. name
    end
    classes[name] = class
  end
end

local function none(list)
  table.sort(list)
  assert.equal("", table.concat(list, "\n"))
end

-- LuaSocket's and LuaSec's names have their meaning from there, and specs of their own.
local function is_foreign(module)
  return module:find "^interop%.luas" ~= nil
end

local function each_function(fn)
  for module, file in pairs(files) do
    for _, annotated in ipairs(file.functions) do
      fn(annotated, module)
    end
  end
end

describe("types/", function()
  it("is well-formed", function()
    none(problems)
    for _, file in pairs(files) do
      assert(loadfile(file.path))
    end
  end)

  it("names no class that it does not define", function()
    local missing = {}
    for _, file in pairs(files) do
      for _, used in ipairs(file.used) do
        if not classes[used.name] then
          missing[#missing + 1] = used.place .. ": " .. used.name
        end
      end
    end
    none(missing)
  end)

  it("says of every parameter what it is, under its name, in their order", function()
    local wrong = {}
    each_function(function(annotated)
      local names = {}
      for _, param in ipairs(annotated.doc.params) do
        names[#names + 1] = param.name
      end
      if table.concat(names, ", ") ~= table.concat(annotated.params, ", ") then
        wrong[#wrong + 1] = ("%s: %s(%s) has @param %s"):format(annotated.place, annotated.name,
          table.concat(annotated.params, ", "), table.concat(names, ", "))
      end
    end)
    none(wrong)
  end)
end)

-- ---- what there is ----

local function module_of(name)
  return name == "curio" and curio or require("curio." .. name)
end

describe("types/", function()
  it("leads from names to the same values as the code", function()
    local wrong, seen = {}, 0
    for module, file in pairs(files) do
      for _, alias in ipairs(file.aliases) do
        local from, name = alias.to:match "^([%w_]+)%.([%w_]+)$"
        if from and module == "curio" then
          seen = seen + 1
          if module_of(from)[name] == nil or module_of(from)[name] ~= curio[alias.name] then
            wrong[#wrong + 1] = alias.place .. ": " .. alias.name
          end
        end
      end
    end
    none(wrong)
    assert.is_true(seen > 40)
  end)

  it("has functions in modules only where the code has them", function()
    local wrong = {}
    each_function(function(annotated, module)
      local ok, table = pcall(module_of, module)
      local owner = annotated.owner:match "%.([%w_.]+)$" -- socket.dns
      local value = ok and (owner and table[owner] or table)[annotated.name]
      if ok and not annotated.method and type(value) ~= "function" then
        wrong[#wrong + 1] = annotated.place .. ": " .. annotated.name
      end
    end)
    none(wrong)
  end)
end)

-- The methods that a type's objects have, from what their __index leads to.
local function add_methods(found, index)
  if type(index) == "table" then
    for name, value in pairs(index) do
      if type(name) == "string" and type(value) == "function" and not name:find "^_" then
        found[name] = value
      end
    end
    add_methods(found, (debug.getmetatable(index) or {}).__index)
  elseif type(index) == "function" then
    local i = 1
    local name, value = debug.getupvalue(index, i)
    while name do
      add_methods(found, type(value) == "table" and value or nil)
      i = i + 1
      name, value = debug.getupvalue(index, i)
    end
  end
  return found
end

-- Of a class and those that it extends: its functions by name.
local function methods_of(class_name)
  local methods = {}
  local function add(name)
    each_function(function(annotated)
      if annotated.method and annotated.class and annotated.class.name == name then
        methods[annotated.name] = methods[annotated.name] or annotated
      end
    end)
    for _, parent in ipairs(classes[name].parents) do
      add(parent)
    end
  end
  add(class_name)
  return methods
end

local function object_of(name, i)
  return probes.objects[name][i or 1]()
end

-- fn is called in a kernel of its own, by each of which what it has made is ended.
local function in_kernel(fn, ...)
  local lines, _ <close> = helper.logging()
  return lines and curio.run(fn, ...)
end

describe("types/", function()
  it("has methods of classes only whose objects can be made", function()
    local missing = {}
    each_function(function(annotated, module)
      local name = annotated.class and annotated.class.name
      if annotated.method and not probes.objects[name] and not is_foreign(module) then
        missing[#missing + 1] = annotated.place .. ": " .. name
      end
    end)
    none(missing)
  end)

  for name, makers in pairs(probes.objects) do
    it("has the methods of " .. name .. " and no other", function()
      local wrong = {}
      local annotated = methods_of(name)
      in_kernel(function()
        for i = 1, #makers do
          local object = object_of(name, i)
          local there = add_methods({}, debug.getmetatable(object).__index or object)
          for method in pairs(there) do
            if not annotated[method] and not classes[name].fields[method] then
              wrong[#wrong + 1] = "lacks " .. method
            end
          end
          for method in pairs(annotated) do
            if not there[method] then
              wrong[#wrong + 1] = ("has %s, which %s does not have"):format(method, object)
            end
          end
        end
      end)
      none(wrong)
    end)
  end
end)

-- ---- what the functions do ----

-- Calls fn(name, annotated, function, first argument) for each public function in a kernel of its
-- own, the methods of several types each.
local function each_public(fn)
  each_function(function(annotated, module)
    if is_foreign(module) then
      return
    elseif annotated.method then
      local class = annotated.class.name
      for i = 1, #probes.objects[class] do
        in_kernel(function()
          local object = object_of(class, i)
          fn(class .. "." .. annotated.name, annotated, object[annotated.name], object)
        end)
      end
    elseif not annotated.owner:find "%." then
      in_kernel(function()
        fn(module .. "." .. annotated.name, annotated, module_of(module)[annotated.name])
      end)
    end
  end)
end

local function arguments_of(name, annotated, object)
  local args = probes.arguments[name]
  args = type(args) == "function" and table.pack(args()) or table.pack(table.unpack(args or {}))
  if annotated.method then
    table.insert(args, 1, object)
    args.n = args.n + 1
  end
  return args
end

-- true: it blocks. false, ...: what it returns. nil, err: it cannot be called like that.
local function blocks(fn, ...)
  local results = table.pack(pcall(curio.timeout_after, 0, fn, ...))
  if results[1] then
    return false, table.unpack(results, 2, results.n)
  elseif curio.is(results[2], curio.TaskTimeout) then
    return true
  end
  return nil, results[2]
end

-- Of a function that returns an iterator: does that block, and is it said to?
local function iterator_of(annotated)
  local returned = annotated.doc.returns[1]
  return returned and returned.text:find "^%l* ?fun%(" and returned
end

describe("types/", function()
  it("has @async exactly on what may block, and @return on what returns", function()
    local wrong = {}
    local function tell(annotated, what, ...)
      wrong[#wrong + 1] = ("%s: %s %s"):format(annotated.place, annotated.name, what:format(...))
    end
    each_public(function(name, annotated, fn, object)
      local args = arguments_of(name, annotated, object)
      local does, first, state = blocks(fn, table.unpack(args, 1, args.n))
      if probes.unseen[name] and does == false then
        does = true
      elseif probes.unseen[name] or probes.tells[name] and not does then
        tell(annotated, "need not be told of in spec/probes.lua")
      elseif probes.tells[name] then
        does = false
      end
      local refused = does == nil and not tostring(first):find(probes.raises[name] or "^$")
      if refused then
        tell(annotated, "(%s) cannot be called: %s", name, first)
      elseif (does or false) ~= (annotated.doc.async or false) then
        tell(annotated, does and "blocks" or "does not block")
      elseif does == false and first ~= nil and #annotated.doc.returns == 0 then
        tell(annotated, "returns %s", first)
      elseif iterator_of(annotated) then
        local said = iterator_of(annotated).async or false
        if said ~= blocks(first, state) then
          tell(annotated, "returns an iterator that %s", said and "does not block" or "blocks")
        end
      end
    end)
    none(wrong)
  end)

  it("has the parameters of the functions that are written in Lua", function()
    local wrong = {}
    each_public(function(_, annotated, fn)
      local info = debug.getinfo(fn, "Su")
      if info.what == "Lua" then
        local names = {}
        for i = 1, info.nparams do
          names[i] = debug.getlocal(fn, i)
        end
        if annotated.method then
          table.remove(names, 1)
        end
        local said = table.concat(annotated.params, ", ")
        local fixed = said:gsub(",? ?%.%.%.$", "")
        if fixed ~= table.concat(names, ", ") or (said ~= fixed and not info.isvararg) then
          wrong[#wrong + 1] = ("%s: %s(%s) is (%s)"):format(annotated.place, annotated.name, said,
            table.concat(names, ", "))
        end
      end
    end)
    none(wrong)
  end)
end)

-- ---- options ----

local ODD = "no_such_option"

-- f{fn, ..., option = }: self and one table of all the arguments.
local function in_one_table(args, first)
  local form = { table.unpack(args, first, args.n) }
  form[ODD] = 1
  return { first == 2 and args[1] or form, first == 2 and form or nil, n = first }
end

-- The arguments, with an option that there is not, and is it to be understood? nil: takes none.
local function odd_arguments(name, annotated, object)
  local args = arguments_of(name, annotated, object)
  local first = annotated.method and 2 or 1 -- where the parameters begin
  for i, param in ipairs(annotated.doc.params) do
    local at = first + i - 1
    if param.name == "opts" then
      args[at] = { [ODD] = 1 }
      args.n = math.max(args.n, at)
      return args, true
    elseif param.name == "t" then
      args[at] = { args[at][1], [ODD] = 1 }
      return args, true
    elseif param.name == "fn" and annotated.params[i + 1] == "..." then
      if args.n < at then
        args[at], args.n = print, at
      end
      local takes = annotated.doc.params[1].type.text .. param.type.text
      return in_one_table(args, first), takes:find "table" ~= nil
    end
  end
end

-- The options that a function is said to have: the fields of what its parameters are.
local function options_said(annotated)
  local said = {}
  local function add(class)
    for field in pairs(class.fields or {}) do
      said[field] = true
    end
    for _, parent in ipairs(class.parents or {}) do
      add(classes[parent])
    end
  end
  for _, param in ipairs(annotated.doc.params) do
    if param.name == "opts" or param.name == "t" then
      add(param.type)
      add(param.type.class and classes[param.type.class] or {})
    end
  end
  return said
end

describe("types/", function()
  it("has the options that the code knows, and no other", function()
    local wrong, tried = {}, 0
    each_public(function(name, annotated, fn, object)
      local args, expected = odd_arguments(name, annotated, object)
      if not args or probes.lazy[name] then
        return
      end
      local _, err = pcall(fn, table.unpack(args, 1, args.n))
      err = tostring(err)
      local known = err:match("unknown option '" .. ODD .. "' %(known: (.-)%)")
      if not known then
        if expected and not err:find(probes.raises[name] or "^$") then
          wrong[#wrong + 1] = ("%s: %s takes no options: %s"):format(annotated.place, name, err)
        end
        return
      elseif not expected and known ~= "none" then
        wrong[#wrong + 1] = ("%s: %s takes options: %s"):format(annotated.place, name, known)
      end
      tried = tried + 1
      local said, text = options_said(annotated), annotated.doc.text
      for option in known:gmatch "[%w_]+" do
        if known ~= "none" and not said[option] and not text:find("%f[%w_]" .. option .. " =") then
          wrong[#wrong + 1] = ("%s: %s lacks option %s"):format(annotated.place, name, option)
        end
        said[option] = nil
      end
      for option in pairs(said) do
        wrong[#wrong + 1] = ("%s: %s has option %s"):format(annotated.place, name, option)
      end
    end)
    none(wrong)
    assert.is_true(tried > 30)
  end)
end)
