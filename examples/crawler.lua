-- Looks for broken links: gets a page and all that it links to on the same host, and so on, some at
-- once. The queue knows when all is done.
--
--     curio examples/crawler.lua URL [TASKS]

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path -- for its neighbour

local curio = require "curio"
local get = require "httpclient"

local SECONDS = 30 -- for a page
local start = assert(arg[1], "which URL?"):gsub("^https?://[^/]+$", "%0/")
local root = start:match "^https?://[^/]+/"
local queue = curio.Queue()
local linked = {} -- by URL: the page that has the link

-- Where a link on that page leads.
local function resolve(link, page)
  if not link:find "^%a[%w+.-]*:" then
    local base = link:find "^/" and root:sub(1, -2) or link ~= "" and page:match "^[^?]*/" or page
    link = (base .. link):gsub("/%./", "/")
  end
  while link:find "/[^/]+/%.%./" do link = link:gsub("/[^/]+/%.%./", "/", 1) end
  return link
end

local function enqueue(link, page)
  local url = resolve(link:gsub("#.*", ""), page)
  if url:sub(1, #root) == root and not linked[url] then
    linked[url] = page
    queue:put(url)
  end
end

local function visit(url)
  local page, err = curio.ignore_after(SECONDS, get, url)
  local status = page and page.status or tostring(err or "no answer in time")
  print(status, url, status ~= 200 and "linked from " .. linked[url] or "")
  if page and page.headers.location then
    enqueue(page.headers.location, url)
  elseif page and (page.headers["content-type"] or ""):find "^text/html" then
    for link in page.body:gmatch "[hH][rR][eE][fF]%s*=%s*[\"']([^\"'>]*)" do enqueue(link, url) end
  end
end

curio.run(function()
  local workers <close> = curio.TaskGroup()
  enqueue(start, start)
  for _ = 1, tonumber(arg[2] or 8) do
    workers:spawn(function()
      for url in queue:iter() do
        visit(url)
        queue:task_done()
      end
    end)
  end
  queue:join()
  queue:close()
end)
