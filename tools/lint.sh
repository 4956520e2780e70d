#!/bin/sh
# lint.sh C_FILE...: every linter, over everything; FLAGS are those of the compiler. All of them
# run, also after one has found something.

failed=
run() {
    echo "  $1"
    shift
    "$@" || failed=yes
}

# The linters take a file at a time: two at once, each ended by its own findings.
each() {
    printf '%s\n' $sources | xargs -n 1 -P 2 "$@"
}

sources=$(printf '%s\n' "$@" | grep '\.c$')
lua_dirs=$(ls -d lua spec examples bench tools types 2>/dev/null)

run luacheck luacheck --quiet --no-color $lua_dirs curio-dev-1.rockspec
run clang-format clang-format --dry-run -Werror "$@"
run "gcc, no warnings" gcc $FLAGS -fsyntax-only $sources
run "clang, no warnings" clang $FLAGS -fsyntax-only $sources
run cppcheck cppcheck --quiet --std=c11 --enable=warning,performance,portability \
    --inline-suppr --error-exitcode=1 -D_GNU_SOURCE -DLUA_VERSION_NUM=504 -Isrc -j 2 $sources
run clang-tidy each sh -c 'clang-tidy --quiet "$0" -- $FLAGS 2>/dev/null'
[ -z "$failed" ] && echo "no findings"
