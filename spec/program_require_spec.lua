-- The program's own require, which may block.

local program = require "spec.program"

local write = program.write
local shell = program.shell
local script = program.script
local prints = program.prints
local fails = program.fails

program.prepare(setup, teardown)

describe("require", function()
  it("gives the module and its loader data, then the module alone", function()
    write("mod.lua", "return {...}")
    prints("mod\t./mod.lua\t./mod.lua\n1\ttrue\n", shell([[LUA_PATH='./?.lua' $curio -]], [[
      local mod, data = require "mod"
      print(mod[1], mod[2], data)
      print(select("#", require "mod"), require "mod" == mod)]]))
  end)

  it("gives true for a module that returns nothing", function()
    write("mod.lua", "x = 1")
    prints("true\ttrue\t1\n", script "print((require 'mod'), package.loaded.mod, x)")
  end)

  it("leaves alone what the module put into package.loaded", function()
    write("mod.lua", "package.loaded[...] = 'own'")
    prints("own\n", script "print((require 'mod'))")
    write("mod.lua", "package.loaded[...] = false")
    prints("false\tfalse\n", script "print((require 'mod'), (require 'mod'))")
  end)

  it("asks package.preload and package.searchers as Lua's does", function()
    prints("pre\t:preload:\nfound\tmine\tmine\n", script [[
      package.preload.pre = function(...) return (...) end
      print(require "pre")
      table.insert(package.searchers, 2, function(name)
        return name == "special" and function(_, data) return "found\t" .. data end or nil, "mine"
      end)
      print(require "special")]])
  end)

  it("has the messages of Lua's", function()
    local text = [[
      table.insert(package.searchers, function() return "a reason" end)
      table.insert(package.searchers, function() return nil end)
      print(pcall(require, "no.such"))
      print(pcall(function() require "no.such" end))
      print(pcall(function() require() end))
      print(pcall(function() require {} end))
      package.searchers = nil
      print(pcall(function() require "no.such" end))]]
    local _, out = script(text)
    local _, stock = shell "${LUA:-lua5.4} script.lua"
    assert.equal(stock, out)
  end)

  it("passes the module's error on and tries again the next time", function()
    write("mod.lua", "count = (count or 0) + 1; if count < 2 then error('bad', 0) end return count")
    prints("false\tbad\n2\n", script "print(pcall(require, 'mod')) print((require 'mod'))")
  end)

  it("loads a module that blocks once for all tasks that want it", function()
    write("slow.lua", [[
      print "loading"
      require "curio".sleep(0.01)
      return { ... }]])
    prints("loading\ntrue\ttrue\n", script [[
      local curio = require "curio"
      local function want() return require "slow" end
      local a, b, c = curio.spawn(want), curio.spawn(want), curio.spawn(want)
      print(a:join() == b:join(), b:join() == c:join())]])
  end)

  it("lets the next task try when the first one failed or was cancelled", function()
    write("slow.lua", [[
      count = (count or 0) + 1
      local mine = count
      require "curio".sleep(0.01)
      if mine == 2 then error("second", 0) end
      return mine]])
    prints("false\tfalse\t3\n", script [[
      local curio = require "curio"
      local function want() return require "slow" end
      local a = curio.spawn(want)
      curio.sleep(0)
      local b, c = curio.spawn(want), curio.spawn(want)
      curio.sleep(0)
      a:cancel()
      print(pcall(a.join, a), pcall(b.join, b), (c:join()))]])
  end)

  it("tells of a loop", function()
    write("a.lua", "require 'b'")
    write("b.lua", "require 'a'")
    fails("^curio: %./b%.lua:1: loop or previous error loading module 'a'\n",
      shell "LUA_PATH='./?.lua' $curio -l a")
  end)

  it("tells of a loop over two tasks", function()
    write("a.lua", "require 'curio'.sleep(0.01) require 'b'")
    write("b.lua", "require 'curio'.sleep(0.01) require 'a'")
    local status, out, err = script [[
      local curio = require "curio"
      local function try(name) return pcall(require, name) end
      local a, b = curio.spawn(try, "a"), curio.spawn(try, "b")
      local _, message = a:join()
      b:join()
      print(message)]]
    assert.matches("loop or previous error loading module '[ab]'", out)
    assert.equal("", err)
    assert.equal(0, status)
  end)

  it("finds curio's modules inside the program", function()
    prints("curio/init.lua\n", shell [[cd / && LUA_PATH= $curio -e "
      print(debug.getinfo(package.preload.curio, 'S').what == 'C' and 'curio/init.lua')
      require 'curio'"]])
  end)
end)
