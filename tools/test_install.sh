#!/bin/sh
# test_install.sh BUILD: install in each way that users have, into directories with a space in their
# names, and run a line of Lua from there: make install, luarocks make, a rock packed and installed
# somewhere else, and a source rock made of what "make dist" wrote, which is built without git.

build=$1
tree="$PWD/$build/a tree"
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
    prefix=$1
    shift
    env -u CURIO_BUILD LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua" \
        LUA_CPATH="$prefix/lib/lua/5.4/?.so" PATH="$prefix/bin:$PATH" "$@"
}

prints() {
    [ "$(installed "$@" -e "$line" 2>&1)" = ran ] || { installed "$@" -e "$line"; false; }
}

rocks() {
    env -u LUA_PATH -u LUA_CPATH luarocks --lua-version 5.4 "$@" >"$tree/rocks.log" 2>&1 ||
        { cat "$tree/rocks.log"; false; }
}

quietly() { make -s "$@" BUILD="$build" >"$tree/make.log" 2>&1 || { cat "$tree/make.log"; false; }; }
without() { [ -z "$1" ] || { echo "$1"; false; }; }

run_line='local c = require "curio"; print(c.run(function() c.sleep(0); return "ran" end))'
tls_line='local ssl = require "curio.ssl"; assert(ssl.SSLContext()); print "ran"'
works() { # HOW PREFIX
    line=$run_line
    check "lua, $1" prints "$2" "$LUA"
    check "curio, $1" prints "$2" curio
    line=$tls_line
    check "TLS under lua, $1" prints "$2" "$LUA"
    check "TLS under curio, $1" prints "$2" curio
}

rm -rf "$tree"
mkdir -p "$tree"

# ---- make install ----

root=$tree/root
make_install() { (umask 077 && quietly install PREFIX=/opt/x DESTDIR="$root"); }
check "make install" make_install
works "after make install" "$root/opt/x"

wrong_modes() {
    find "$root" -type d ! -perm 755
    find "$root" -type f ! -path '*/bin/*' ! -perm 644
    find "$root" -path '*/bin/*' ! -perm 755
    find "$root" -type l
}
check "everybody can read what is installed" without "$(wrong_modes)"
check "the man page" grep -q '^.Dt CURIO 1' "$root/opt/x/share/man/man1/curio.1"
same_files() { (cd lua && find . -type f | sort) | diff - "$tree/listed"; }
(cd "$root/opt/x/share/lua/5.4" && find . -type f | sort) >"$tree/listed"
check "every Lua file" same_files

echo "return {}" >"$root/opt/x/share/lua/5.4/curio/theirs.lua"
check "make uninstall" quietly uninstall PREFIX=/opt/x DESTDIR="$root"
check "make uninstall leaves what is not ours, and nothing else" \
    [ "$(cd "$root" && find . -type f)" = ./opt/x/share/lua/5.4/curio/theirs.lua ]
check "make uninstall, again" quietly uninstall PREFIX=/opt/x DESTDIR="$root"

# ---- a Lua in another prefix ----

lua_prefix=$PWD/$build/lua-prefix
other_lua() {
    rm -rf "$lua_prefix"
    mkdir -p "$lua_prefix/lib/pkgconfig"
    : >"$lua_prefix/lib/liblua.a"
    cat >"$lua_prefix/lib/pkgconfig/lua5.4.pc" <<PC
libdir=$lua_prefix/lib
Name: Lua
Description: not the system's
Version: 5.4.6
Cflags: -I$lua_prefix/include
Libs: -L$lua_prefix/lib -llua
PC
    PKG_CONFIG_PATH=$lua_prefix/lib/pkgconfig make -n BUILD="$build/other" all >"$tree/other" 2>&1
    grep -q -- " -I$lua_prefix/include .*src/task.c" "$tree/other" &&
        grep -q -- "--whole-archive $lua_prefix/lib/liblua.a " "$tree/other"
}
check "a Lua in another prefix is found by pkg-config" other_lua

# ---- luarocks ----

rockspec=curio-dev-1.rockspec
check "luarocks lint" rocks lint $rockspec
check "luarocks make" rocks --tree "$tree/rocks" make $rockspec
works "after luarocks make" "$tree/rocks"
check "types in the rock" test -f "$tree"/rocks/lib/luarocks/rocks-5.4/curio/dev-1/types/task.lua


pack() { (cd "$tree" && rocks pack --tree "$tree/rocks" curio); }
check "luarocks pack" pack
check "luarocks install, of the packed rock" \
    rocks --tree "$tree/packed" install "$tree"/curio-dev-1.*-*.rock
works "from the packed rock" "$tree/packed"
check "luarocks remove" rocks --tree "$tree/packed" remove curio
check "luarocks remove leaves nothing" \
    without "$(find "$tree/packed" -type f ! -name 'manifest*' ! -name index.html)"

# ---- make dist ----

# The rockspec, but with the place of the archive in full; and a source rock of both.
src=$tree/src
dist() {
    sh tools/snapshot.sh "$src" && make -s -C "$src" dist &&
        sed "s|curio-dev-1.tar.gz|file://$src/build/&|" $rockspec >"$src/build/$rockspec" &&
        (cd "$src/build" && rocks pack $rockspec)
}
if git rev-parse HEAD >/dev/null 2>&1; then
    check "make dist, and luarocks pack of its archive" dist
    check "luarocks build, of the source rock" \
        rocks --tree "$tree/built" build "$src/build/curio-dev-1.src.rock" CFLAGS=-O0
    works "as built from the source rock" "$tree/built"
else
    echo "There is no git: make dist is left out."
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
