-- site.lua BUILD: make the HTML of the documents in BUILD/html, by MkDocs.
--
-- The documents are written so that they read well where they are, one beside the other in a
-- checkout. For the site they are copied to BUILD/site with links made to fit: the README becomes
-- the first page, docs/reference.md a page for each of its sections, each example a page. What is
-- found where in the menu is what docs/howto/index.md says, and the order of sections. Afterwards
-- the result is checked: no page loads anything from elsewhere, no link within leads nowhere.

local build = assert(arg[1], "usage: site.lua BUILD")
local site, html = build .. "/site", build .. "/html"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function directory(path)
  return path:match "^(.*/)[^/]*$" or ""
end

local function execute(...)
  assert(os.execute(string.format(...)), "failed")
end

local function write(path, text)
  execute("mkdir -p '%s'", directory(path))
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function names(pattern, command)
  local list = {}
  local pipe <close> = assert(io.popen(command))
  for line in pipe:lines() do
    list[#list + 1] = line:match(pattern)
  end
  return list
end

-- "a/b/../c" is "a/c".
local function normal(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, "/")
end

-- A heading's anchor, as the documents use it (as on GitHub), and as MkDocs makes it.
local function anchors(heading)
  local plain = heading:lower():gsub("[^%w%s_-]", "")
  return (plain:gsub("%s", "-")), (plain:match "^%s*(.-)%s*$":gsub("[-%s]+", "-"))
end

-- A page: {path=, from=, text=, title=}. `targets` leads from what a link may name, a file or
-- file#anchor, both as seen from the top, to a page's path and anchor.
local pages, targets = {}, {}

local function each_line(text, fn) -- fn(line, whether it is code)
  local fence
  for line in (text:gsub("\n?$", "\n")):gmatch "(.-)\n" do
    local mark = line:match "^(```+)"
    fn(line, fence ~= nil or mark ~= nil)
    if mark then
      fence = not fence and mark or fence ~= mark and fence or nil
    end
  end
end

local function add(path, from, text)
  local page = { path = path, from = from, text = text, title = text:match "^# ([^\n]*)" }
  pages[#pages + 1] = page
  targets[from] = targets[from] or { path = path }
  each_line(text, function(line, is_code)
    local heading = not is_code and line:match "^#+ +(.*)"
    if heading then
      local key, anchor = anchors(heading)
      local name = from .. "#" .. key
      targets[name] = targets[name] or { path = path, anchor = heading ~= page.title and anchor }
    end
  end)
  return page
end

-- One page for each section of second level; they move up a level.
local function add_sections(folder, from)
  local sections, current = {}, { lines = {} }
  local first = current
  each_line(read(from), function(line, is_code)
    local title = not is_code and line:match "^## +(.*)"
    if title then
      current = { name = anchors(title), lines = {} }
      sections[#sections + 1] = current
    end
    if #sections > 0 and not is_code then
      line = line:gsub("^#(#+ )", "%1")
    end
    table.insert(current.lines, line)
  end)
  local list = { add(folder .. "/index.md", from, table.concat(first.lines, "\n") .. "\n") }
  for _, section in ipairs(sections) do
    list[#list + 1] = add(("%s/%s.md"):format(folder, section.name), from,
      table.concat(section.lines, "\n") .. "\n")
  end
  return list
end

local function add_examples()
  local list = { add("examples/index.md", "examples/README.md", read "examples/README.md") }
  targets.examples = { path = "examples/index.md" }
  for _, name in ipairs(names("^examples/(.*)%.lua$",
    "find examples -name '*.lua' | LC_ALL=C sort")) do
    local from = "examples/" .. name .. ".lua"
    list[#list + 1] = add("examples/" .. name .. ".md", from,
      ("# %s.lua\n\n```lua\n%s```\n"):format(name, read(from)))
  end
  return list
end

-- How a page calls a target.
local function relative(page, target)
  local up = directory(page.path):gsub("[^/]+", "..")
  return (target.path == page.path and target.anchor and "" or up .. target.path)
    .. (target.anchor and "#" .. target.anchor or "")
end

local function with_links(page)
  local function link(label, url)
    if url:match "^%a+:" then
      return nil
    end
    local file, anchor = url:match "^([^#]*)(.*)$"
    local full = file == "" and page.from or normal(directory(page.from) .. file)
    local target = targets[full .. anchor] or full:match "^examples/" and targets.examples
    return target and ("[%s](%s)"):format(label, relative(page, target)) or label
  end
  local paragraphs, lines, was_code = {}, {}, false
  local function flush()
    local text = table.concat(lines, "\n")
    paragraphs[#paragraphs + 1] = was_code and text or text:gsub("%[([^%]]*)%]%(([^%s)]+)%)", link)
    lines = {}
  end
  each_line(page.text, function(line, is_code)
    if is_code ~= was_code then
      flush()
      was_code = is_code
    end
    if is_code or not line:match "^<!%-%- run: " then
      lines[#lines + 1] = line
    end
  end)
  flush()
  return table.concat(paragraphs, "\n") .. "\n"
end

-- The menu --------------------------------------------------------------------------------------

local menu = {}

local function entry(indent, page, title)
  menu[#menu + 1] = ("%s- %q: %s"):format((" "):rep(indent), (title or page.title):gsub("`", ""),
    page.path)
end

local function section(title, list)
  menu[#menu + 1] = ("  - %q:"):format(title)
  for i, page in ipairs(list) do
    if i == 1 then
      menu[#menu + 1] = "    - " .. page.path -- what the title itself leads to
    else
      entry(4, page)
    end
  end
end

local function howto_pages()
  local list = { add("howto/index.md", "docs/howto/index.md", read "docs/howto/index.md") }
  for name in list[1].text:gmatch "%]%(([%w-]+)%.md%)" do
    local from = "docs/howto/" .. name .. ".md"
    list[#list + 1] = add("howto/" .. name .. ".md", from, read(from))
  end
  return list
end

entry(2, add("index.md", "README.md", read "README.md"), "Overview")
entry(2, add("tutorial.md", "docs/tutorial.md", read "docs/tutorial.md"), "Tutorial")
section("How to", howto_pages())
section("Reference", add_sections("reference", "docs/reference.md"))
section("Examples", add_examples())
menu[#menu + 1] = '  - "The project":'
for _, from in ipairs { "docs/design.md", "docs/hacking.md", "CONTRIBUTING.md", "CHANGELOG.md" } do
  entry(4, add(from:match "([^/]*)$":lower(), from, read(from)))
end

execute("rm -rf '%s' '%s'", site, html)
for _, page in ipairs(pages) do
  write(site .. "/" .. page.path, with_links(page))
end
write(build .. "/mkdocs.yml", ("INHERIT: %s\nnav:\n%s\n"):format(
  names("(.*)", "pwd")[1] .. "/mkdocs.yml", table.concat(menu, "\n")))
write(site .. "/site.css", read "docs/site.css")
execute("mkdocs build --quiet --strict --config-file '%s/mkdocs.yml'", build)

-- What has come of it ---------------------------------------------------------------------------

local wrong, ids = {}, {}

local function complain(page, what, url)
  wrong[#wrong + 1] = ("%s: %s: %s"):format(page, what, url)
end

-- The path that a page's link leads to.
local function destination(page, url)
  local folder = url:match "/$" or url:match "^%.*$" or url:match "/%.%.$"
  return normal(directory(page) .. url .. (folder and "/index.html" or ""))
end

local made = names("^%./(.*)$", ("cd '%s' && find . -name '*.html'"):format(html))
for _, name in ipairs(made) do
  ids[name] = {}
  for id in read(html .. "/" .. name):gmatch ' id="([^"]*)"' do
    ids[name][id] = true
  end
end

local links = 0
for _, name in ipairs(made) do
  local text = name ~= "404.html" and read(html .. "/" .. name) or ""
  for tag, attributes in text:gmatch "<(%a+)(%s[^>]*)>" do
    local url = attributes:match '%shref="([^"]*)"' or attributes:match '%ssrc="([^"]*)"'
      or attributes:match "%shref=([^%s\"'>]+)" or attributes:match "%ssrc=([^%s\"'>]+)"
    local elsewhere = url and (url:match "^%a+:" or url:match "^//")
    if elsewhere and tag ~= "a" then
      complain(name, "loads from elsewhere", url)
    elseif url and tag == "a" and not elsewhere then
      local path, id = url:match "^([^#]*)#?(.*)$"
      local target = path == "" and name or destination(name, path)
      links = links + 1
      if not ids[target] or id ~= "" and id ~= "__skip" and not ids[target][id] then
        complain(name, "leads nowhere", url)
      end
    end
  end
end
print(("%s: %d pages, %d links within, %d wrong"):format(html, #made, links, #wrong))
print(table.concat(wrong, "\n"))
os.exit(#wrong == 0)
