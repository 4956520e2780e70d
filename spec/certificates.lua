-- Certificates for specs, made with the openssl program in a temporary directory.

local certificates = {}

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local Authority = {}
Authority.__index = Authority

function Authority:_run(command)
  local full = ("cd %s && { %s; } >log 2>&1"):format(quote(self.dir), command)
  if not os.execute(full) then
    local file <close> = assert(io.open(self.dir .. "/log"))
    error("openssl failed: " .. command .. "\n" .. file:read "a", 3)
  end
end

function Authority:write(name, text)
  local file <close> = assert(io.open(self.dir .. "/" .. name, "wb"))
  file:write(text)
  return self.dir .. "/" .. name
end

function Authority:read(name)
  local file <close> = assert(io.open(self.dir .. "/" .. name, "rb"))
  return file:read "a"
end

local function key_command(kind, path)
  if kind == "ec" then
    return "openssl ecparam -name prime256v1 -genkey -noout -out " .. path
  end
  return ("openssl genrsa -out %s %d"):format(path, kind)
end

local DB = [[
[ca]
default_ca = x
[x]
database = index
serial = serial
crlnumber = crlnumber
default_md = sha256
default_days = 1000
policy = p
unique_subject = no
copy_extensions = none
[p]
commonName = optional
]]

-- A new authority in a directory of its own.
local function new_authority(dir, name)
  local self = setmetatable({ dir = dir, name = name }, Authority)
  os.execute("mkdir -p " .. quote(dir))
  self:write("index", "")
  self:write("serial", "1000\n")
  self:write("crlnumber", "1000\n")
  self:write("ca.cnf", DB)
  self:write("ext.cnf", "basicConstraints = critical, CA:true\nkeyUsage = keyCertSign, cRLSign\n"
    .. "subjectKeyIdentifier = hash\n")
  self:_run(key_command("ec", "ca.key"))
  self:_run(("openssl req -new -key ca.key -subj '/CN=%s' -out ca.csr"):format(name))
  self:_run("openssl x509 -req -in ca.csr -signkey ca.key -days 3650 -extfile ext.cnf -out ca.pem")
  self.ca = dir .. "/ca.pem"
  return self
end

-- Signs a certificate: names = "DNS:localhost, IP:127.0.0.1"; key = "ec" or bits of RSA; from, to =
-- times as YYMMDDHHMMSSZ; self_signed. Gives {cert=, key=} as paths.
function Authority:issue(name, opts)
  opts = opts or {}
  local key = name .. ".key"
  self:_run(key_command(opts.key or "ec", key))
  local ext = "basicConstraints = CA:false\n"
  if opts.names ~= false then
    local names = opts.names or "DNS:localhost, IP:127.0.0.1, IP:::1"
    ext = ext .. "subjectAltName = " .. names .. "\n"
  end
  if opts.usage then
    ext = ext .. "extendedKeyUsage = " .. opts.usage .. "\n"
  end
  self:write(name .. ".cnf", ext)
  self:_run(("openssl req -new -key %s -subj '/CN=%s' -out %s.csr"):format(key,
    opts.subject or name, name))
  if opts.self_signed then
    self:_run(("openssl x509 -req -in %s.csr -signkey %s -days 1000 -extfile %s.cnf -out %s.pem")
      :format(name, key, name, name))
  else
    local dates = opts.from and ("-startdate %s -enddate %s"):format(opts.from, opts.to) or ""
    self:_run(("openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in %s.csr -notext "
      .. "-outdir . -extfile %s.cnf %s -out %s.pem"):format(name, name, dates, name))
  end
  return { cert = self.dir .. "/" .. name .. ".pem", key = self.dir .. "/" .. key }
end

-- Revokes what was issued under that name, and gives the path of the new list of revocations.
function Authority:revoke(name)
  local common = "-config ca.cnf -cert ca.pem -keyfile ca.key"
  if name then
    self:_run(("openssl ca %s -revoke %s.pem"):format(common, name))
  end
  self:_run(("openssl ca %s -gencrl -crldays 1000 -out crl.pem"):format(common))
  return self.dir .. "/crl.pem"
end

-- An encrypted copy of a key.
function Authority:encrypt(name, password)
  self:_run(("openssl pkcs8 -topk8 -in %s.key -passout pass:%s -out %s.enc"):format(name, password,
    name))
  return self.dir .. "/" .. name .. ".enc"
end

-- Makes a temporary directory, and in it authorities. `remove` takes it away.
function certificates.new()
  local pipe = assert(io.popen "mktemp -d")
  local dir = pipe:read "l"
  pipe:close()
  local made = { dir = dir }
  function made.authority(name)
    return new_authority(dir .. "/" .. name:gsub("%W", "_"), name)
  end
  function made.remove()
    os.execute("rm -rf " .. quote(dir))
  end
  return made
end

return certificates
