-- How many days are left for the certificates of these hosts? All are asked at the same time.
--
--     curio examples/certcheck.lua python.org lua.org:443 ...      CAFILE=file trusts others

local curio = require "curio"
local ssl = require "curio.ssl"

local function days_left(ctx, host, port)
  local sock, err = curio.open_connection(host, port, { ssl = ctx, timeout = 10 })
  if not sock then
    return nil, err
  end
  local _ <close> = sock
  local expires = ssl.cert_time_to_seconds(sock:getpeercert().notAfter)
  return (expires - os.time()) // 86400
end

curio.run(function()
  local ctx = assert(ssl.create_default_context { cafile = os.getenv "CAFILE" })
  local lines = {}
  do
    local group <close> = curio.TaskGroup { limit = 20 }
    for i, name in ipairs(arg) do
      group:spawn(function()
        local host, port = name:match "^(.*):(%d+)$"
        local days, err = days_left(ctx, host or name, tonumber(port or 443))
        lines[i] = { name, days, err and (err.verify_message or err.code or tostring(err)) }
      end)
    end
  end
  table.sort(lines, function(a, b) -- the most urgent first
    return (a[2] or -1) < (b[2] or -1)
  end)
  for _, line in ipairs(lines) do
    print(("%-40s %s"):format(line[1], line[2] and line[2] .. " days" or "FAILED: " .. line[3]))
  end
end)
