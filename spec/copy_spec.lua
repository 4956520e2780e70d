-- Values that cross Lua states: what arrives, what is refused, and that nothing corrupt does harm.
-- core.copy.copy gives what another state would get; spec/universal_spec.lua sends to real ones.

local curio = require "curio"
local core = require "curio.core"
local errors = require "curio.errors"
local socket = require "curio.socket"

local copy, pack, unpack = core.copy.copy, core.copy.pack, core.copy.unpack
local encode, decode = core.copy.encode, core.copy.decode

local function refusal(...)
  local ok, err = pcall(copy, ...)
  assert.is_false(ok)
  assert.is_true(curio.is(err, curio.CurioError), tostring(err))
  return err.message
end

local function nested(depth)
  local top = {}
  local t = top
  for _ = 1, depth do
    t.inner = {}
    t = t.inner
  end
  return top, t
end

local function depth_of(t)
  local n = 0
  while t.inner do
    t, n = t.inner, n + 1
  end
  return n
end

describe("Copying", function()
  it("keeps numbers, strings, booleans and nil as they are", function()
    local values = table.pack(nil, true, false, 0, 1, -1, 127, 128, 255, 256, 65535, 65536, -32,
      -33, -128, -129, -32768, -32769, 1 << 31, -(1 << 31), 1 << 32, math.maxinteger,
      math.mininteger,
      0.0, -0.0, 1.5, math.huge, -math.huge, 1e308, 5e-324, "", "a", ("b"):rep(31), ("c"):rep(32),
      ("d"):rep(255), ("e"):rep(256), ("f"):rep(65536), "\0\255", nil)
    local copies = table.pack(copy(table.unpack(values, 1, values.n)))
    assert.equal(values.n, copies.n)
    for i = 1, values.n do
      assert.equal(values[i], copies[i])
      assert.equal(math.type(values[i]), math.type(copies[i]))
    end
    assert.equal(-math.huge, 1 / copy(-0.0))
    local nan = copy(0 / 0)
    assert.is_true(nan ~= nan)
    assert.equal(0, select("#", copy()))
  end)

  it("tells short strings apart that differ in a byte, their length or their zeros", function()
    local list = {}
    for size = 0, 18 do
      for _, byte in ipairs { "\0", "a", "b", "\255" } do
        list[#list + 1] = byte:rep(size)
        list[#list + 1] = ("a"):rep(size - 1) .. byte
        list[#list + 1] = byte .. ("a"):rep(size - 1)
        list[#list + 1] = byte .. ("\0"):rep(size - 1)
      end
    end
    local keyed = {}
    for _ = 1, 3 do
      for i, text in ipairs(list) do
        keyed[#keyed + 1] = { [text] = text, i = list[#list + 1 - i] }
      end
    end
    assert.same(keyed, copy(keyed))
    assert.same(keyed, decode(encode(keyed)))
  end)

  it("keeps tables of any size in tables of any depth", function()
    local function fill(n, inner)
      local list, map = {}, {}
      for i = 1, n do
        list[i], map["k" .. i] = i % 5 == 0 and { i } or i, i % 7 == 0 and { i = i } or -i
      end
      map.inner = inner
      return { list, map }
    end
    local t
    for depth = 1, 1100 do -- from some depth on small tables are treated as large ones
      t = fill(depth % 19, t)
    end
    local back = copy(t)
    while t do
      local inner, copied = t[2].inner, back[2].inner
      t[2].inner, back[2].inner = nil, nil
      assert.same(t, back)
      t, back = inner, copied
    end
    assert.is_nil(back)
  end)

  it("keeps tables, with keys of any kind and holes", function()
    local t = { 1, 2, nil, 4, x = { y = { {} } }, [2.5] = "z", [true] = false, [-1] = 0 }
    assert.same(t, copy(t))
    assert.same({}, copy {})
    assert.is_true(copy(t) ~= t)
    local long = {}
    for i = 1, 70000 do
      long[i] = i
    end
    assert.same(long, copy(long))
  end)

  it("keeps what stands in two places one, and cycles", function()
    local shared = {}
    local a, b = copy({ shared, { shared } }, shared)
    assert.is_true(a[1] == a[2][1] and a[1] == b)
    local cycle = {}
    cycle.self, cycle[cycle] = cycle, { cycle }
    local c = copy(cycle)
    assert.is_true(c.self == c and c[c][1] == c)
  end)

  it("goes as deep as tables are nested", function()
    assert.equal(10000, depth_of(copy((nested(10000)))))
    assert.equal(150000, depth_of(copy((nested(150000)))))
    assert.matches("^values%[1%]%.inner.*too deep", refusal((nested(300000))))
  end)

  it("takes metatables along", function()
    local Point = {}
    Point.__index = Point
    function Point:norm()
      return (self.x ^ 2 + self.y ^ 2) ^ 0.5
    end
    local a, b = copy(setmetatable({ x = 3, y = 4 }, Point), setmetatable({}, Point))
    assert.equal(5.0, a:norm())
    assert.is_true(getmetatable(a) == getmetatable(b))
    assert.is_true(getmetatable(a) ~= Point)
  end)
end)

describe("Functions", function()
  it("keep their upvalues, and share those that they shared", function()
    local n = 10
    local function up()
      n = n + 1
      return n
    end
    local function get()
      return n
    end
    local up2, get2 = copy(up, get)
    assert.equal(11, up2())
    assert.equal(11, get2())
    assert.equal(10, n)
  end)

  it("may call themselves and each other", function()
    local odd
    local function even(n)
      return n == 0 or odd(n - 1)
    end
    function odd(n)
      return n ~= 0 and even(n - 1)
    end
    assert.is_true(copy(even)(10))
    local t = {}
    t.f = function()
      return t
    end
    local u = copy(t)
    assert.is_true(u.f() == u)
  end)

  it("are sent again as they are by then", function()
    local n, other = 1, {}
    local function f()
      return n, other
    end
    assert.equal(1, (copy(f)()))
    n, other = 2, f
    local m, again = copy(f)()
    assert.equal(2, m)
    assert.equal(again, select(2, again()))
  end)

  it("are not kept alive by having been sent", function()
    local kept = setmetatable({}, { __mode = "k" })
    do
      local upvalue = {}
      local function f()
        return upvalue
      end
      kept[f], kept[upvalue] = true, true
      copy(f)
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
  end)

  it("have the receiver's globals", function()
    local f = copy(function()
      return _G, print, _ENV
    end)
    local globals, print_there, env = f()
    assert.is_true(globals == _G and print_there == print and env == _G)
    assert.is_true(copy(_G) == _G)
  end)

  it("with an _ENV of their own keep that", function()
    local _ENV = { x = 5 }
    local f = copy(function()
      return x -- luacheck: ignore (a global of that _ENV)
    end)
    x = 6 -- luacheck: ignore (likewise)
    return f() == 5 or _ENV.error()
  end)

  it("keep their parameters, varargs and debug information", function()
    local function f(a, ...)
      return a, select("#", ...), debug.getinfo(1, "S").short_src
    end
    local a, n, src = copy(f)(1, 2, 3)
    assert.same({ 1, 2, debug.getinfo(1, "S").short_src }, { a, n, src })
  end)

  it("of modules, in C or Lua, go by name, and so do modules", function()
    local f = copy(function()
      return curio, string.format, curio.spawn
    end)
    local module, format, spawn = f()
    assert.is_true(module == curio and format == string.format and spawn == curio.spawn)
    assert.is_true(copy(string.format) == string.format)
    assert.equal(print, copy(print))
    assert.equal(require, copy(require))
  end)

  it("of modules loaded after the first copy go by name too", function()
    copy(print)
    package.loaded["spec.latecomer"] = { verb = function() end, setup = { 1 } }
    local latecomer = package.loaded["spec.latecomer"]
    assert.is_true(copy(latecomer.verb) == latecomer.verb)
    assert.is_true(copy(latecomer) == latecomer)
    assert.is_true(copy(latecomer.setup) ~= latecomer.setup) -- data is copied
    local message = pack(latecomer.verb)
    package.loaded["spec.latecomer"] = nil
    local ok, err = pcall(unpack, message)
    assert.is_false(ok)
    assert.matches("latecomer", tostring(err))
  end)
end)

describe("Errors", function()
  it("keep their class and fields", function()
    local err = copy(curio.OSError { message = "no", code = "EPERM", data = { 1 } })
    assert.is_true(curio.is(err, curio.OSError))
    assert.equal("OSError: no", tostring(err))
    assert.same({ 1 }, err.data)
  end)

  it("of a class of the program's own have that class when they come back", function()
    local Mine = errors.class("Mine", curio.OSError)
    Mine.level = 3
    local err = copy(Mine "x")
    assert.is_true(getmetatable(err) == Mine)
    assert.is_true(copy(Mine) == Mine)
    assert.equal(3, err.level)
  end)

  it("lose fields that cannot be sent, and nothing else", function()
    local cause = curio.OSError "c"
    local err = copy(curio.TaskError { message = "m", task = curio.Queue(), cause = cause })
    assert.equal("m", err.message)
    assert.is_nil(err.task)
    assert.is_true(curio.is(err.cause, curio.OSError))
  end)
end)

describe("Addresses and sockets", function()
  it("of the first kind stay addresses", function()
    local sock = socket.socket()
    assert(sock:bind("127.0.0.1", 0))
    local addr = copy(sock:getsockname())
    assert.equal(sock:getsockname(), addr)
    assert.equal("127.0.0.1", addr.host)
    sock:close()
  end)

  it("of the second kind move", function()
    local a, b = socket.socketpair()
    local fd = a:fileno()
    local list = copy { a, a, other = b }
    local _, err = a:fileno()
    assert.is_true(curio.is(err, curio.ClosedError))
    assert.is_nil((b:fileno()))
    assert.is_true(list[1] == list[2])
    assert.equal(fd, list[1]:fileno())
    curio.run(function()
      assert(list[1]:sendall "hello")
      assert.equal("hello", list.other:recv(10))
    end)
    list[1]:close()
    list.other:close()
  end)

  it("of the second kind stay where they are if anything is refused", function()
    local a, b = socket.socketpair()
    assert.matches("^values%[2%]: cannot send an open file", refusal({ a, b }, io.stdout))
    assert.is_number(a:fileno())
    assert.is_number(b:fileno())
    a:close()
    assert.equal("values[1]: cannot send a closed socket", refusal(a))
    b:close()
  end)

  it("of the second kind are closed when the message is never read", function()
    local a, b = socket.socketpair()
    local q = curio.UniversalQueue()
    q:put(a)
    q = nil -- luacheck: ignore (so that it can be collected)
    collectgarbage()
    collectgarbage()
    curio.run(function()
      assert.is_nil((b:recv(1)))
    end)
    b:close()
  end)

  it("wake who waited on them here", function()
    curio.run(function()
      local a, b = socket.socketpair()
      local reader = curio.spawn(a.recv, a, 10)
      curio.sleep(0)
      local moved = copy(a)
      local data, err = reader:join()
      assert.is_nil(data)
      assert.is_true(curio.is(err, curio.ClosedError))
      moved:close()
      b:close()
    end)
  end)
end)

describe("What cannot be sent", function()
  local co = coroutine.create(print)

  it("is named with the way to it", function()
    assert.equal("values[1]: cannot send a coroutine", refusal(co))
    assert.equal("values[2].callbacks[1]: cannot send a coroutine",
      refusal(1, { callbacks = { co } }))
    assert.equal("values[1]['a b'][true][2.5]: cannot send a coroutine",
      refusal { ["a b"] = { [true] = { [2.5] = co } } })
    assert.equal("values[1][thread] (the key): cannot send a coroutine", refusal { [co] = 1 })
    assert.equal("values[1].f<upvalue co>: cannot send a coroutine", refusal {
      f = function()
        return co
      end,
    })
    assert.equal("values[1]<metatable>.x: cannot send a coroutine",
      refusal(setmetatable({}, { x = co })))
  end)

  it("shows both ends of a long way", function()
    local top, innermost = nested(1000)
    innermost.x = co
    local way = "values[1]" .. (".inner"):rep(8) .. "..." .. (".inner"):rep(7) .. ".x"
    assert.equal(way .. ": cannot send a coroutine", refusal(top))
  end)

  it("are files, kernel objects, C functions of no module, finalisers", function()
    local file = io.tmpfile()
    assert.equal("values[1]: cannot send an open file", refusal(file))
    file:close()
    assert.equal("values[1]: cannot send a closed file", refusal(file))
    assert.equal("values[1]: cannot send a C function with upvalues", refusal(("x"):gmatch "x"))
    assert.equal("values[1]: cannot send a curio.Queue", refusal(curio.Queue()))
    assert.equal("values[1]: cannot send a curio.Event", refusal(curio.Event()))
    assert.equal("values[1]: cannot send a table with a finaliser (__gc)",
      refusal(setmetatable({}, { __gc = function() end })))
    assert.equal("values[1]: cannot send a curio.Queue", refusal(curio.Queue()))
  end)

  it("harms no later copy", function()
    for _ = 1, 100 do
      refusal { {}, co }
    end
    assert.same({ {}, 1 }, copy { {}, 1 })
  end)

  it("to another process are Universal objects", function()
    local ok, err = pcall(pack, curio.UniversalQueue())
    assert.is_false(ok)
    assert.equal("values[1]: cannot send a curio.UniversalQueue to another process", err.message)
  end)

  it("is refused also while a finaliser copies something else", function()
    for _ = 1, 50 do
      setmetatable({}, {
        __gc = function()
          copy { 1, { 2 } }
        end,
      })
      local t = {}
      for i = 1, 200 do
        t[i] = { i, tostring(i) }
      end
      assert.same(t, copy(t))
    end
  end)
end)

describe("A corrupt message", function()
  local function sample()
    local n = 0
    local shared = { 1, 2.5, "three" }
    local err = curio.OSError { message = "x" }
    return pack({ shared, shared, x = { y = -70000 } }, function()
      n = n + 1
      return n, shared
    end, string.format, err, ("long"):rep(100), 1 << 40, errors.class "Own")
  end

  -- Whatever it is: values or an error, and the state works on.
  local function try(bytes)
    local ok, err = pcall(unpack, bytes)
    if not ok then
      assert.is_true(type(err) == "string" or curio.is(err, curio.CurioError), type(err))
    end
    return ok
  end

  it("is an error wherever it is cut short", function()
    local bytes = sample()
    assert.is_true(try(bytes))
    for i = 0, #bytes - 1 do
      try(bytes:sub(1, i))
    end
    assert.is_false(try "")
    assert.is_false(try(bytes:sub(1, #bytes - 1)))
  end)

  it("is an error or other values whichever byte is wrong", function()
    local bytes = sample()
    local real = require
    require = function(name) -- luacheck: ignore (what the reader will call)
      error("no module " .. name)
    end
    for i = 1, #bytes do
      for _, byte in ipairs { 0, 1, 0x7f, 0x80, 0xc1, 0xc7, 0xdd, 0xff, bytes:byte(i) ~ 1 } do
        try(bytes:sub(1, i - 1) .. string.char(byte) .. bytes:sub(i + 1))
      end
    end
    require = real -- luacheck: ignore
    assert.is_true(try(sample()))
  end)

  it("does not make it take memory that it has not the bytes for", function()
    assert.is_false(try "\x10\xdd\xff\xff\xff\xff")
    assert.is_false(try("\x10" .. ("\xdd\x00\x00\xff\xff"):rep(10000)))
    assert.is_false(try("\x10" .. ("\xdf\x00\x00\x00\xff"):rep(1000)))
    assert.is_false(try("\x10" .. ("\x91"):rep(1000000)))
    assert.is_false(try "\x10\xdb\xff\xff\xff\xffabc")
  end)

  it("has no references to what does not exist, and no foreign bytecode", function()
    assert.is_false(try "\x11\xd6\x01\x00\x00\x00\x05")
    assert.is_false(try "\x10\xd6\x01\x00\x00\x00\x01")
    local code = string.dump(function() end)
    assert.is_false(try("\x10\xc7" .. string.char(8 + 2 + #code) .. "\x02" .. ("\0"):rep(8)
      .. "\xd9" .. string.char(#code) .. code .. "\0"))
    assert.is_false(try "\x10\xd8\x08\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\0")
    assert.is_false(try "\x10\xd6\x09\0\0\0\0")
    assert.is_false(try "\x10\xd7\x0a\0\0\0\0\0\0\0\1")
    assert.is_false(try "\x10\x81\xc0\x01")
    assert.is_false(try "\x10\x81\xcb\x7f\xf8\0\0\0\0\0\0\x01")
  end)
end)

describe("Plain MessagePack", function()
  local function hex(s)
    return (s:gsub(".", function(c)
      return ("%02x"):format(c:byte())
    end))
  end

  it("has the shortest form of each value", function()
    local forms = {
      [0] = "00", [127] = "7f", [128] = "cc80", [256] = "cd0100", [65536] = "ce00010000",
      [1 << 32] = "cf0000000100000000", [-1] = "ff", [-33] = "d0df", [-129] = "d1ff7f",
      [-32769] = "d2ffff7fff", [math.mininteger] = "d38000000000000000",
      [1.5] = "cb3ff8000000000000",
      a = "a161", ["\xff"] = "c401ff", [true] = "c3",
    }
    for value, form in pairs(forms) do
      assert.equal(form, hex(encode(value)))
      assert.equal(value, decode(encode(value)))
    end
    assert.equal("c0", hex(encode(nil)))
    assert.equal("90", hex(encode {}))
    assert.equal("9301a16181a178c2", hex(encode { 1, "a", { x = false } }))
    assert.equal("a2c3a9", hex(encode "é"))
    assert.equal("c402c3c3", hex(encode "\xc3\xc3"))
  end)

  it("reads all that there is, whole messages only", function()
    assert.equal(1.5, decode "\xca\x3f\xc0\0\0")
    assert.equal(2.0 ^ 63, decode "\xcf\x80\0\0\0\0\0\0\0")
    assert.same({ a = { 1 } }, decode "\x81\xa1a\x91\x01")
    assert.same({ 1 }, decode "\xdc\0\1\1")
    assert.equal("ab", decode "\xc4\2ab")
    for _, bytes in ipairs { "", "\xc1", "\1\1", "\x92\1", "\xd4\1\1", "\xc7\0\5" } do
      assert.is_false((pcall(decode, bytes)), hex(bytes))
    end
  end)

  it("repeats shared parts and refuses what others cannot know", function()
    local shared = { 1 }
    assert.same({ shared, shared }, decode(encode { shared, shared }))
    local cycle = {}
    cycle.x = { cycle }
    for value, text in pairs {
      [cycle] = "value.x[1]: cannot send a table that contains itself",
      [print] = "value: cannot send a function",
      [curio.Event()] = "value: cannot send a curio.Event",
      [curio.UniversalEvent()] = "value: cannot send a curio.UniversalEvent",
    } do
      local ok, err = pcall(encode, value)
      assert.is_false(ok)
      assert.equal(text, err.message)
    end
  end)

  it("is as deep as tables are", function()
    local top = nested(10000)
    assert.equal(10000, depth_of(decode(encode(top))))
  end)
end)
