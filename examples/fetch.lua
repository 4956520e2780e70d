-- curl in small: gets pages by http and https, all at the same time, and prints them in the order
-- in which they were asked for. Redirects are followed.
--
--     curio examples/fetch.lua [-i] URL ...      -i: with the headers; CAFILE=file trusts others

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path -- for its neighbours

local curio = require "curio"
local get = require "httpclient"
local ssl = require "curio.ssl"

local REDIRECTS, SECONDS = 5, 60

-- Where a redirect leads.
local function absolute(location, base)
  local root = base:match "^https?://[^/?]+"
  return location:find "^https?://" and location or location:find "^/" and root .. location
    or (base:match "^(https?://[^/?]+/[^?]*)/" or root) .. "/" .. location
end

local function fetch(url, ctx)
  for _ = 0, REDIRECTS do
    local response, err = get(url, ctx)
    if not response or response.status // 100 ~= 3 or not response.headers.location then
      return response, err or url
    end
    url = absolute(response.headers.location, url)
  end
  return nil, "too many redirects"
end

local function show(url, with_headers, response, whence)
  if not response then
    io.stderr:write(url, ": ", tostring(whence or "no answer in time"), "\n")
    return false
  elseif with_headers then
    print(response.status, whence)
    for name, value in pairs(response.headers) do print(name .. ": " .. value) end
    print()
  end
  io.write(response.body)
  return response.status < 400
end

local function main(with_headers, urls)
  local ctx = assert(ssl.create_default_context { cafile = os.getenv "CAFILE" })
  local group <close> = curio.TaskGroup()
  local tasks, good = {}, true
  for i, url in ipairs(urls) do
    tasks[i] = group:spawn(curio.ignore_after, SECONDS, fetch, url, ctx)
  end
  for i, url in ipairs(urls) do
    good = show(url, with_headers, tasks[i]:join()) and good
  end
  return good
end

local flag = arg[1] == "-i"
os.exit(curio.run(main, flag, table.pack(table.unpack(arg, flag and 2 or 1))), true)
