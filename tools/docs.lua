-- docs.lua [FILE...]: check that the links of the Markdown FILEs which point into the project
-- point at files and headings that exist; without arguments those of all documents. Links to
-- elsewhere are not followed.

local function read(path)
  local file = io.open(path, "rb")
  return file and file:read("a"), file and file:close()
end

local function directory(path)
  return path:match("^(.*/)[^/]*$") or ""
end

local function without_code(text)
  return (("\n" .. text):gsub("\n```.-\n```", "\n"):gsub("`[^`\n]*`", "``"))
end

-- A heading's anchor, as GitHub and pandoc make it.
local function anchor(heading)
  return (heading:lower():gsub("[^%w%s_\128-\255-]", ""):gsub("%s", "-"))
end

local function has_heading(path, name)
  for heading in ("\n" .. (read(path) or "")):gmatch("\n#+ +([^\n]*)") do
    if anchor(heading) == name then
      return true
    end
  end
  return false
end

local documents = arg
if #arg == 0 then
  documents = {}
  for path in io.popen("ls *.md; find docs examples -name '*.md' | LC_ALL=C sort"):lines() do
    documents[#documents + 1] = path
  end
end

local checked, broken = 0, 0
for _, path in ipairs(documents) do
  local text = without_code(assert(read(path), "cannot read " .. path))
  for target in text:gmatch("%]%(([^%s)]+)%)") do
    if not target:match("^%a+:") then
      local file, heading = target:match("^([^#]*)#?(.*)$")
      local full = file == "" and path or directory(path) .. file
      checked = checked + 1
      if not os.rename(full, full) or (heading ~= "" and not has_heading(full, heading)) then
        print(path .. ": broken link: " .. target)
        broken = broken + 1
      end
    end
  end
end
print(("%d documents, %d links, %d broken"):format(#documents, checked, broken))
os.exit(broken == 0)
