#!/bin/sh
# deps.sh check|install TARGET: is there what "make TARGET" needs? Each need is tried out, not
# looked up in a package list; so what was built by hand counts, and nothing is fetched that is
# there. "install" gets the rest with apt-get on Debian and its kin. Elsewhere, and for "check",
# the missing ones are named, and the exit status is 1.

mode=$1
target=$2
missing=""
packages=""

# need PACKAGE WHAT COMMAND...: PACKAGE is Debian's name, WHAT is for people.
need() {
    package=$1 what=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    missing="$missing
  $what"
    packages="$packages $package"
}

have() { command -v "$1"; }

compiles() { echo '#include <stdio.h>' | ${CC:-cc} -E -; }

fuzzer() {
    echo 'int LLVMFuzzerTestOneInput(const char *data, long size) { return !data && size; }' |
        clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null -
}

lua() {
    for name in lua5.4 lua-5.4 lua54 lua; do
        command "$name" -e 'os.exit(_VERSION == "Lua 5.4")' && command "$name" "$@" && return
    done
    return 1
}

liblua() {
    for name in lua5.4 lua-5.4 lua54 lua; do
        pkg-config --exists "$name >= 5.4.4 $name < 5.5" && return
    done
    return 1
}

redis_lua() { ls /usr/share/lua/5.*/redis.lua /usr/local/share/lua/5.*/redis.lua | grep -q .; }

# The theme may stand anywhere; so a site of one page is made with it.
mkdocs_material() {
    dir=$(mktemp -d) && mkdir "$dir/docs" && echo "# x" >"$dir/docs/index.md" || return
    printf 'site_name: x\ntheme: material\nmarkdown_extensions: [pymdownx.superfences]\n' \
        >"$dir/mkdocs.yml"
    mkdocs build -q -f "$dir/mkdocs.yml"
    set -- $?
    rm -rf "$dir"
    return "$1"
}

lua_http() { ls /usr/share/lua/5.*/http/server.lua /usr/local/share/lua/5.*/http/server.lua | grep -q .; }

libssl() { pkg-config --exists "libssl >= 3.0"; }

probe() {
    missing=""
    packages=""
    need gcc "a C compiler: gcc or clang" have "${CC:-cc}"
    need libc6-dev "the C library's headers" compiles
    need pkg-config "pkg-config" have pkg-config
    need liblua5.4-dev "Lua's headers and library, 5.4.4 or later" liblua
    need lua5.4 "the lua program, 5.4" lua -v
    need libssl-dev "OpenSSL's headers, 3.0 or later" libssl
    case $target in test | asan | tsan | valgrind | torture)
        need lua-busted "busted, for Lua 5.4" lua -e 'require "busted.runner"'
        need openssl "the openssl program, for certificates" have openssl
        need curl "curl, to talk TLS with" have curl
        need bsdutils "script, to have a terminal" have script
        need procps "the kill program" env kill -l
        need python3 "Python 3 with its ssl module, to talk TLS with" /usr/bin/python3 -c "import ssl"
        need python3-msgpack "msgpack for Python 3" /usr/bin/python3 -c "import msgpack"
    esac
    case $target in test | asan | tsan | valgrind | torture)
        need lua-socket "LuaSocket for Lua 5.4" lua -e 'require "socket"'
        need lua-luv "luv for Lua 5.4" lua -e 'require "luv"'
        need lua-sec "LuaSec for Lua 5.4" lua -e 'require "ssl"'
        need lua-redis "redis-lua, in any Lua's directory" redis_lua
        need lua-cqueues "cqueues for Lua 5.4" lua -e 'require "cqueues"'
        need lua-luaossl "luaossl for Lua 5.4" lua -e 'require "openssl"'
        need lua-lpeg "LPeg for Lua 5.4" lua -e 'require "lpeg"'
        need lua-http "lua-http, in any Lua's directory" lua_http
        need redis-server "redis-server" have redis-server
        need nginx-light "nginx" have /usr/sbin/nginx
    esac
    case $target in test)
        need luarocks "luarocks" have luarocks
        need netcat-openbsd "nc, to follow README.md" have nc
    esac
    case $target in deb)
        need dpkg-dev "dpkg-buildpackage" have dpkg-buildpackage
        need debhelper "debhelper" have dh
    esac
    case $target in docs)
        need mkdocs-material "MkDocs with the theme Material" mkdocs_material
    esac
    case $target in valgrind)
        need valgrind "valgrind" have valgrind
    esac
    case $target in lint)
        need gcc "gcc" have gcc
        need clang "clang" have clang
        need clang-format "clang-format" have clang-format
        need clang-tidy "clang-tidy" have clang-tidy
        need cppcheck "cppcheck" have cppcheck
        need lua-check "luacheck" have luacheck
    esac
    case $target in fuzz)
        need clang "clang" have clang
        need libclang-rt-14-dev "clang's libFuzzer and sanitizers" fuzzer
    esac
    case $target in bench)
        need strace "strace" have strace
    esac
}

refuse() {
    echo "make $target needs what is not here:$missing" >&2
    echo "On Debian 12 the packages are:$packages" >&2
    [ -z "$1" ] || echo "$1" >&2
    exit 1
}

probe
[ -n "$packages" ] || exit 0
[ "$mode" = install ] || refuse
command -v apt-get >/dev/null || refuse "Install them by your system's means, then try again."
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null; then
    sudo=sudo
else
    refuse "Installing them takes root, or sudo."
fi

echo "Installing with ${sudo:+sudo }apt-get:$packages"
apt="$sudo env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -q" # 1: starts no service
{ $apt update && $apt install -y --no-install-recommends $packages; } >/dev/null ||
    refuse "apt-get failed: see above."
probe
[ -z "$packages" ] || refuse "apt-get has installed what it has, and it is not enough."
echo "Installed."
