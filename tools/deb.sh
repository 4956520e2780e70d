#!/bin/sh
# deb.sh BUILD: makes the Debian packages curio and lua-curio in BUILD/deb of a fresh checkout of
# the working tree, unpacks each into a directory of its own and runs a line of Lua from there.

set -e
deb=$PWD/$1/deb
line='local c = require "curio"; print(c.run(function() c.sleep(0); return "ran" end))'
rm -rf "$deb"
sh tools/snapshot.sh "$deb/source"
unset MAKEFLAGS MFLAGS MAKELEVEL
(cd "$deb/source" && dpkg-buildpackage -us -uc -b) >"$deb/log" 2>&1 || { cat "$deb/log"; exit 1; }

dpkg-deb -x "$deb"/curio_*.deb "$deb/curio"
dpkg-deb -x "$deb"/lua-curio_*.deb "$deb/lua-curio"
unset LUA_PATH LUA_CPATH LUA_INIT
[ "$("$deb/curio/usr/bin/curio" -e "$line")" = ran ]
cd "$deb/lua-curio/usr"
[ "$(LUA_PATH="$PWD/share/lua/5.4/?.lua;$PWD/share/lua/5.4/?/init.lua" \
    LUA_CPATH="$(echo "$PWD"/lib/*/lua/5.4)/?.so" lua5.4 -e "$line")" = ran ]
cd "$deb"
ls ./*.deb
