#!/bin/sh
# fuzz.sh BUILD [NAME...]: the harnesses of spec/fuzz under libFuzzer, AddressSanitizer and UBSan,
# one after the other, FUZZ_SECONDS (60) each. The corpus grows in BUILD/fuzz/NAME.corpus, from the
# seeds in spec/fuzz/seeds; what crashes is kept as BUILD/fuzz/NAME.crash-*. FLAGS are those of the
# compiler, LIBS what the harnesses that need Lua are linked with.

build=$1
shift
seconds=${FUZZ_SECONDS:-60}
[ $# -gt 0 ] || set -- $(ls spec/fuzz/*.c | sed 's|.*/\(.*\)\.c$|\1|')
SANITIZE="-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
export ASAN_OPTIONS=detect_leaks=1:$ASAN_OPTIONS
mkdir -p "$build/fuzz"

compile() {
    sources=$(sed -n 's/^ \* Sources: //p' "spec/fuzz/$1.c")
    libs=
    case $sources in
    all*) sources=$(ls src/*.c | grep -v '/main\.c$') libs="$LIBS -lm -ldl" ;;
    *) sources=$(printf 'src/%s ' $sources) ;;
    esac
    clang $FLAGS $SANITIZE -DCURIO_PLAIN_MALLOC -pthread -O1 -g -o "$build/fuzz/$1" \
        "spec/fuzz/$1.c" $sources $libs
}

failed=
for name; do
    dir=$build/fuzz/$name
    echo "  $name: $seconds s"
    mkdir -p "$dir.corpus"
    if ! compile "$name"; then
        failed="$failed $name"
        continue
    fi
    seeds=
    [ -d "spec/fuzz/seeds/$name" ] && seeds=spec/fuzz/seeds/$name
    if "$dir" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$dir." "$dir.corpus" $seeds >"$dir.log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */    inputs tried: /p' "$dir.log"
    else
        tail -n 40 "$dir.log"
        failed="$failed $name"
    fi
done
[ -z "$failed" ] && echo "no findings" && exit 0
echo "findings in:$failed" >&2
exit 1
