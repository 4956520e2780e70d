-- busted.lua: busted, started from here so that any host runs it, lua5.4 or curio.
require "busted.runner" { standalone = false }
