#!/bin/sh
# test.sh BUILD PART...: run the parts of the test suite against what is built in BUILD, two files
# at a time, each in a process of its own, and end with the line "N passed, N failed".
#
#   c           the unit tests in spec/c
#   lua         the specs under stock Lua, with the module
#   curio       the specs under the program;  curio:poll  with CURIO_POLLER=poll, curio:kqueue
#               likewise, if the program was built with it (on Linux: with libkqueue)
#   valgrind    both, the specs under the program, under memcheck with a full leak check
#   install     the ways to install it, tools/test_install.sh, and README.md, tools/test_readme.lua
#
# SPECS names the files to run, instead of all: specs, spec/c/NAME.c, those two. CURIO_SAN names the sanitizer of the build, for
# the specs that must know. A file that ends without a count, or badly after one, as with a leak
# found at exit, has failed once more.

memcheck="valgrind -q --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect --error-exitcode=99 --num-callers=30 \
    --suppressions=tools/valgrind.supp --child-silent-after-fork=yes" # what a child leaves to exec, or to its end, is its parent's
all_leaks="--show-leak-kinds=definite,indirect,possible \
    --errors-for-leak-kinds=definite,indirect,possible"

# Of a unit test.
binary() { echo "$build/spec/$(basename "$1" .c)"; }

# One file, in a process of its own; xargs below starts this.
run_one() {
    part=$1 file=$2 log=$logs/$(echo "$1-$2" | tr / _)
    case $part in
    c) set -- "$(binary "$file")" ;;
    lua) set -- "$LUA" tools/busted.lua -o tools/tally.lua "$file" ;;
    curio) set -- "$build/bin/curio" tools/busted.lua -o tools/tally.lua "$file" ;;
    curio:*) set -- env CURIO_POLLER="${part#curio:}" "$build/bin/curio" tools/busted.lua -o tools/tally.lua "$file" ;;
    valgrind)
        case $file in
        *.lua) set -- "$build/bin/curio" tools/busted.lua -o tools/tally.lua "$file" ;;
        *) set -- "$(binary "$file")" ;;
        esac
        # All goes slower. What a spec starts as a process is looked at too, but may end without
        # closing its state; then what Lua refers to by its middle counts as possibly lost.
        export CURIO_SAN=valgrind CURIO_SLOW="${CURIO_SLOW:-5}" SPEC_SECONDS="${SPEC_SECONDS:-900}"
        export CURIO_THROUGH="$memcheck --log-file=$log.%p"
        set -- nice $memcheck $all_leaks "$@"
        ;;
    install)
        case $file in
        *.lua) set -- "$build/bin/curio" "$file" ;;
        *) set -- sh "$file" "$build" ;;
        esac
        export SPEC_SECONDS="${SPEC_SECONDS:-900}" # each compiles everything
        ;;
    esac
    # SIGQUIT has the program tell where each task sits, before it is killed.
    timeout -s QUIT -k 5 "${SPEC_SECONDS:-180}" "$@" >"$log" 2>&1 </dev/null
    status=$?
    count=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    if [ -z "$count" ]; then
        count="0 passed, 1 failed"
        echo "ended without a count, status $status" >>"$log"
    elif [ "$status" != 0 ] && [ "${count#*, }" = "0 failed" ]; then
        count="${count%,*}, 1 failed"
        echo "ended with status $status" >>"$log"
    fi
    echo "$count" >"$log.count"
    echo "$part $file: $count"
}

# Is there kqueue? libkqueue takes the errors that it reports away from the sockets, which kqueue does
# not; with one that does so nobody could be told of a connection that was refused or reset.
kqueue_works() {
    probe=$(CURIO_POLLER=kqueue "$build/bin/curio" -e '
        local curio, socket = require "curio", require "curio.socket"
        local gone = socket.socket(nil, socket.SOCK_DGRAM)
        gone:bind("127.0.0.1", 0)
        local sock, addr = socket.socket(nil, socket.SOCK_DGRAM), gone:getsockname()
        gone:close()
        sock:connect(addr)
        local task = curio.spawn(sock.recv, sock, 1)
        curio.sleep(0.01)
        sock:send "x"
        curio.ignore_after(1, task.wait, task)
        print(task.terminated and "works" or "errors are taken away from sockets")' 2>/dev/null)
    [ "$probe" = works ] && return
    echo "curio:kqueue is left out: ${probe:-the program was built without kqueue}" >&2
    return 1
}

if [ "$1" = --one ]; then
    run_one "$2" "$3"
    exit 0
fi

build=$1
shift
logs=$PWD/$build/logs
export build logs LUA="${LUA:-lua5.4}"
export LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;$PWD/?.lua;;" LUA_CPATH="$PWD/$build/?.so;;"
export CURIO_BUILD="$PWD/$build" PATH="$PWD/$build/bin:$PATH"
unset LUA_INIT LUA_INIT_5_4 LUA_PATH_5_4 LUA_CPATH_5_4 MAKEFLAGS MFLAGS
rm -rf "$logs"
mkdir -p "$logs"
ulimit -c 0

# The files of a part, or of those the ones that SPECS names.
files_of() {
    case $1 in
    c) find spec/c -name '*_test.c' ;;
    valgrind) find spec/c spec -name '*_test.c' -o -name '*_spec.lua' ;;
    install) printf '%s\n' tools/test_install.sh tools/test_readme.lua ;;
    *) find spec -name '*_spec.lua' ;;
    esac | sort -u | { [ -z "$SPECS" ] && cat || grep -Fx "$(printf '%s\n' $SPECS)"; }
}

for part; do
    [ "$part" = curio:kqueue ] && ! kqueue_works && continue
    files_of "$part" | sed "s|^|$part |"
done | xargs -r -n 2 -P 2 sh "$0" --one

# The logs of what failed, then the sum.
for count in "$logs"/*.count; do
    [ -e "$count" ] && grep -qv ' 0 failed$' "$count" || continue
    printf '\n--- %s\n' "$(basename "$count" .count)"
    cat "${count%.count}"
done
echo
cat "$logs"/*.count /dev/null | awk '
    { passed += $1; failed += $3 }
    END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }'
