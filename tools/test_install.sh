#!/bin/sh
# test_install.sh BUILD: install in the two ways that users have, and run a line of Lua from there.

build=$1
tree=$build/tree
passed=0
failed=0

check() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $what"
    fi
}

# Without the places of the build: only what is installed is found.
installed() {
    prefix=$PWD/$1
    shift
    env -u CURIO_BUILD LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua" \
        LUA_CPATH="$prefix/lib/lua/5.4/?.so" PATH="$prefix/bin:$PATH" "$@"
}

line='local c = require "curio"; print(c.run(function() c.sleep(0); return "ran" end))'
tls_line='local ssl = require "curio.ssl"; assert(ssl.SSLContext()); print "ran"'
prints() {
    [ "$(installed "$@" -e "$line" 2>&1)" = ran ] || { installed "$@" -e "$line"; false; }
}

rm -rf "$tree"
check "make install" make -s install BUILD="$build" PREFIX=/usr DESTDIR="$tree/make"
check "lua, after make install" prints "$tree/make/usr" "$LUA"
check "curio, after make install" prints "$tree/make/usr" curio

line=$tls_line
check "TLS under lua, after make install" prints "$tree/make/usr" "$LUA"
check "TLS under curio, after make install" prints "$tree/make/usr" curio

check "luarocks make" env -u LUA_PATH -u LUA_CPATH \
    luarocks --lua-version 5.4 --tree "$tree/rocks" make curio-dev-1.rockspec
check "lua, after luarocks make" prints "$tree/rocks" "$LUA"
check "curio, after luarocks make" prints "$tree/rocks" curio

check "types in the rock" test -f "$tree"/rocks/lib/luarocks/rocks-5.4/curio/dev-1/types/task.lua

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
