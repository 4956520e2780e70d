--- TLS contexts: what connections have in common.
--
-- The object keeps where everything came from, so that reload() can read it again. What is given
-- as a file may also be the PEM text itself. Files are read here, at once: they are small, and on
-- this machine.

local core = require "curio.core"

local tls = core.tls

-- Fields: _core (the C context); purpose; check_hostname; _chain (what load_cert_chain was given);
-- _trust (a list of {kind, value}); _system (is the system's store trusted); _flags (verify_flags
-- as set by the user, or false); _servername (the callback); _keylog (a path).
local Context = {}

local function wrong(verb, name, expected, value)
  error(("%s: '%s' must be %s, got %s"):format(verb, name, expected, tostring(value)), 3)
end

local function check_string(verb, name, value)
  if value ~= nil and type(value) ~= "string" then
    wrong(verb, name, "a string", value)
  end
  return value
end

local function one_of(verb, name, value, ...)
  for _, known in ipairs { ... } do
    if value == known then
      return value
    end
  end
  wrong(verb, name, table.concat({ ... }, ", "), value)
end

-- ---- files ----

local function is_pem(text)
  return text:find("-----BEGIN", 1, true) ~= nil
end

local function read_file(path)
  local file, _, errno = io.open(path, "rb")
  if not file then
    return nil, core.errors.os(errno, "open", path)
  end
  local text
  text, _, errno = file:read "a"
  file:close()
  if not text then
    return nil, core.errors.os(errno, "read", path)
  end
  return text
end

-- The text, and what errors call it.
local function contents(source)
  if is_pem(source) then
    return source, "PEM"
  end
  local text, err = read_file(source)
  if not text then
    return nil, err
  end
  return text, source
end

-- ---- certificates and keys ----

---@async
local function password_of(chain)
  local password = chain.password
  if core.args.callable(password) then
    password = password()
  end
  if type(password) ~= "string" then
    error(("load_cert_chain: the password must be a string, got %s"):format(type(password)), 0)
  end
  return password
end

---@async
local function use_chain(ctx, chain)
  local cert, name = contents(chain.certfile)
  if not cert then
    return nil, name
  end
  local key, key_name = cert, name
  if chain.keyfile then
    key, key_name = contents(chain.keyfile)
    if not key then
      return nil, key_name
    end
  end
  local done, err = ctx._core:set_chain(cert, key, nil, name)
  if done == false then -- a password is needed
    local password = chain.password ~= nil and password_of(chain) or ""
    done, err = ctx._core:set_chain(cert, key, password, key_name)
  end
  return done, err
end

--- Loads the certificate that proves who we are, with those between it and the authority, and its
---key. Files, or PEM texts. The password of an encrypted key may be a function, which is called if
---one is needed, and may block.
---@async
---@param certfile string|table    or a table of the options below
---@param keyfile string?          default: the key is in certfile too
---@param password string|function?
---@return true? ok
---@return table? err
function Context:load_cert_chain(certfile, keyfile, password)
  local chain = { certfile = certfile, keyfile = keyfile, password = password }
  if type(certfile) == "table" then
    local known = { "certfile", "keyfile", "password" }
    chain = core.args.options(certfile, "load_cert_chain", known)
  end
  check_string("load_cert_chain", "certfile", chain.certfile)
  check_string("load_cert_chain", "keyfile", chain.keyfile)
  if not chain.certfile then
    error("load_cert_chain: 'certfile' is missing", 2)
  end
  local done, err = use_chain(self, chain)
  if not done then
    return nil, err
  end
  self._chain = chain
  return true
end

-- ---- whom to trust ----

local kinds = {
  cafile = function(store, value)
    local text, name = contents(value)
    if not text then
      return nil, name
    end
    return store:add(text, name)
  end,
  cadata = function(store, value)
    return store:add(value, "cadata")
  end,
  capath = function(store, value)
    return store:add_path(value)
  end,
}
kinds.crlfile = kinds.cafile

-- All of it, into a store of its own, which then takes the place of the last one.
local function use_trust(ctx, sources)
  local store, err = tls.store(ctx._system, #sources > 0)
  if not store then
    return nil, err
  end
  local lists = 0
  for _, source in ipairs(sources) do
    local done, more = kinds[source.kind](store, source.value)
    if not done then
      return nil, more
    end
    lists = lists + (math.type(more) and more or 0)
  end
  ctx._core:set_trust(store)
  if lists > 0 and not ctx._flags then
    ctx._core:flags { "crl_check_leaf" }
  end
  return true
end

local LOCATIONS = { "cafile", "capath", "cadata", "crlfile" }

-- Servers tell clients which authorities they trust.
local function tell_names(ctx, sources)
  if ctx.purpose ~= "server" then
    return
  end
  for _, source in ipairs(sources) do
    local text = source.kind == "cadata" and source.value
      or source.kind == "cafile" and contents(source.value)
    if text then
      ctx._core:add_client_names(text)
    end
  end
end

--- Trusts further authorities: files or PEM texts, directories with hashed names, data as PEM or
---DER. With lists of revocations (crlfile) the peer's own certificate is looked up in them, unless
---verify_flags says otherwise.
---@param cafile string|table?  or a table of cafile, capath, cadata, crlfile
---@param capath string?
---@param cadata string?
---@return true? ok
---@return table? err
function Context:load_verify_locations(cafile, capath, cadata)
  local opts = { cafile = cafile, capath = capath, cadata = cadata }
  if type(cafile) == "table" then
    opts = core.args.options(cafile, "load_verify_locations", LOCATIONS)
  end
  local sources, added = table.move(self._trust, 1, #self._trust, 1, {}), {}
  for _, kind in ipairs(LOCATIONS) do
    if check_string("load_verify_locations", kind, opts[kind]) then
      added[#added + 1] = { kind = kind, value = opts[kind] }
      sources[#sources + 1] = added[#added]
    end
  end
  if #added == 0 then
    error("load_verify_locations: one of cafile, capath, cadata, crlfile is needed", 2)
  end
  local done, err = use_trust(self, sources)
  if not done then
    return nil, err
  end
  self._trust = sources
  tell_names(self, added)
  return true
end

--- Trusts whom the system trusts. Its store is loaded once a process.
---@return true? ok
---@return table? err
function Context:load_default_certs()
  local before = self._system
  self._system = true
  local done, err = use_trust(self, self._trust)
  if not done then
    self._system = before
    return nil, err
  end
  return true
end

--- Reads all files again: certificate, key, authorities, revocations. New connections get what they
---say now, those that exist stay as they are. A file that is bad changes nothing.
---@async
---@return true? ok
---@return table? err
function Context:reload()
  if #self._trust > 0 then
    local done, err = use_trust(self, self._trust)
    if not done then
      return nil, err
    end
  end
  if self._chain then
    local done, err = use_chain(self, self._chain)
    if not done then
      return nil, err
    end
  end
  return true
end

-- ---- protocols and ciphers ----

-- As on the wire: each behind its length.
local function alpn_wire(verb, protocols)
  if type(protocols) ~= "table" then
    wrong(verb, "alpn", "a list of protocols", protocols)
  end
  local wire = {}
  for i, name in ipairs(protocols) do
    if type(name) ~= "string" or #name < 1 or #name > 255 then
      wrong(verb, "alpn", "a list of names of 1 to 255 bytes", name)
    end
    wire[i] = string.pack("s1", name)
  end
  return table.concat(wire)
end

--- Sets the protocols to agree on, best first, as {"h2", "http/1.1"}. A server refuses a client
---that offers none of them.
---@param protocols string[]
---@return true? ok
---@return table? err
function Context:set_alpn_protocols(protocols)
  local done, err = self._core:set_alpn(alpn_wire("set_alpn_protocols", protocols))
  self._alpn = done and protocols or self._alpn
  return done, err
end

--- Restricts the ciphers: names and OpenSSL's words for groups of them, with colons between. Those
---of TLS 1.3, whose names begin with TLS_, are restricted apart from the others.
---@param list string
---@return true? ok
---@return table? err
function Context:set_ciphers(list)
  if type(list) ~= "string" then
    wrong("set_ciphers", "list", "a string", list)
  end
  local old, new = {}, {}
  for name in list:gmatch "[^: ,]+" do
    local into = name:find "^TLS_" and new or old
    into[#into + 1] = name
  end
  local done, err = self._core:set_ciphers(#old > 0 and table.concat(old, ":") or nil,
    #new > 0 and table.concat(new, ":") or nil)
  self._ciphers = done and list or self._ciphers
  return done, err
end

--- Sets the function that chooses a server's context by the name that a client asks for:
---fn(sock, name, ctx) returns a context to go on with, nil to keep this one, false to refuse. It
---runs in the handshake's task and may block. nil takes it away.
---@param fn fun(sock: curio.TLSSocket, name: string?, ctx: curio.SSLContext): any
function Context:set_servername_callback(fn)
  if fn ~= nil and not core.args.callable(fn) then
    wrong("set_servername_callback", "fn", "a function", fn)
  elseif self.purpose ~= "server" then
    error("set_servername_callback: this context is a client's", 2)
  end
  self._servername = fn or false
  self._core:ask(fn ~= nil)
end

-- ---- properties ----

-- Each with get(ctx) and set(ctx, value).
local properties = {}

local function check_version(name, value)
  return value and one_of("SSLContext", name, value, "TLSv1.2", "TLSv1.3")
end

local function set_versions(ctx, least, most)
  if least and most and least > most then
    error(("SSLContext: minimum_version %s is above maximum_version %s"):format(least, most), 3)
  end
  local done, err = ctx._core:set_versions(least, most)
  if not done then
    error(err, 0)
  end
end

properties.minimum_version = {
  get = function(ctx)
    return (ctx._core:versions())
  end,
  set = function(ctx, value)
    set_versions(ctx, check_version("minimum_version", value), ctx.maximum_version)
  end,
}

properties.maximum_version = {
  get = function(ctx)
    return (select(2, ctx._core:versions()))
  end,
  set = function(ctx, value)
    set_versions(ctx, ctx.minimum_version, check_version("maximum_version", value))
  end,
}

properties.verify_mode = {
  get = function(ctx)
    return ctx._core:verify()
  end,
  set = function(ctx, value)
    ctx._core:verify(one_of("SSLContext", "verify_mode", value, "none", "optional", "required"))
  end,
}

properties.check_hostname = {
  get = function(ctx)
    return ctx._check
  end,
  set = function(ctx, value)
    if type(value) ~= "boolean" then
      wrong("SSLContext", "check_hostname", "true or false", value)
    end
    ctx._check = value
    ctx._core:renew()
  end,
}

properties.verify_flags = {
  get = function(ctx)
    return ctx._core:flags()
  end,
  set = function(ctx, value)
    if type(value) ~= "table" then
      wrong("SSLContext", "verify_flags", "a list of names", value)
    end
    ctx._core:flags(value)
    ctx._flags = value
  end,
}

-- Sets keylog_filename; what the system refuses is returned.
function Context:_set_keylog(path)
  check_string("SSLContext", "keylog_filename", path)
  local done, err = self._core:set_keylog(path)
  if not done then
    return nil, err
  end
  self._keylog = path or false
  return true
end

properties.keylog_filename = {
  get = function(ctx)
    return ctx._keylog or nil
  end,
  set = function(ctx, path)
    local done, err = ctx:_set_keylog(path)
    if not done then
      error(err, 0)
    end
  end,
}

local meta = { __name = "curio.SSLContext" }

function meta:__index(name)
  local method = Context[name]
  if method ~= nil then
    return method
  end
  return properties[name] and properties[name].get(self)
end

function meta:__newindex(name, value)
  if not properties[name] then
    error(("SSLContext has no field '%s' that can be set"):format(tostring(name)), 2)
  end
  properties[name].set(self, value)
end

function meta:__tostring()
  return ("SSLContext (%s)"):format(self.purpose)
end

-- ---- making one ----

local context = { Context = Context, alpn_wire = alpn_wire, one_of = one_of, wrong = wrong }

function context.is(value)
  return getmetatable(value) == meta
end

-- Trusts nobody yet.
function context.new(purpose)
  local fields = { purpose = purpose, _trust = {}, _check = purpose == "client" }
  for _, name in ipairs {
    "_chain", "_system", "_flags", "_servername", "_keylog", "_alpn", "_ciphers",
  } do
    fields[name] = false
  end
  local made, err = tls.context(purpose == "server", fields)
  if not made then
    return nil, err
  end
  fields._core = made
  return setmetatable(fields, meta)
end

-- ---- for servers in several threads ----

--- Plain values of which another thread can make the same server's context, whose tickets are
---good here too. Files are read there anew.
function Context:_recipe()
  if self._servername then
    error("tcp_server: a context with a server name callback cannot go to threads", 0)
  end
  local flags = { "_chain", "_trust", "_system", "_flags", "_keylog", "_alpn", "_ciphers" }
  local recipe = {
    least = self.minimum_version, most = self.maximum_version, verify = self.verify_mode,
    tickets = self._core:tickets(),
  }
  for _, name in ipairs(flags) do
    recipe[name] = self[name]
  end
  return recipe
end

---@async
local function follow(ctx, recipe)
  ctx.verify_mode, ctx._system, ctx._trust = recipe.verify, recipe._system, recipe._trust
  ctx._core:set_versions(recipe.least, recipe.most)
  ctx._core:tickets(recipe.tickets)
  if recipe._keylog then
    ctx.keylog_filename = recipe._keylog
  end
  if #ctx._trust > 0 or ctx._system then
    assert(use_trust(ctx, ctx._trust))
    tell_names(ctx, ctx._trust)
  end
  if recipe._flags then
    ctx.verify_flags = recipe._flags
  end
  if recipe._chain then
    assert(ctx:load_cert_chain(recipe._chain))
  end
  if recipe._alpn then
    assert(ctx:set_alpn_protocols(recipe._alpn))
  end
  if recipe._ciphers then
    assert(ctx:set_ciphers(recipe._ciphers))
  end
end

--- Raises what goes wrong.
---@async
function context.from_recipe(recipe)
  local ctx = assert(context.new "server")
  follow(ctx, recipe)
  return ctx
end

return context
