#!/bin/sh
# demo.sh BUILD: the echo server of the examples, under load that checks every byte.

build=$1
log=$build/demo.log
: >"$log"
ulimit -n "$(ulimit -Hn)" 2>/dev/null

"$build/bin/curio" examples/echoserv.lua 0 >"$log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null' EXIT
trap 'exit 130' INT TERM

port=
for _ in 1 2 3 4 5 6 7 8 9 10; do
    port=$(sed -n 's/^Server listening at .*[^0-9]\([0-9]\{1,5\}\)[^0-9]*$/\1/p' "$log")
    [ -z "$port" ] || break
    sleep 0.3
done
if [ -z "$port" ]; then
    echo "examples/echoserv.lua did not start:" >&2
    cat "$log" >&2
    exit 1
fi

echo "curio examples/echoserv.lua, on port $port, with 1,000 connections for two seconds:"
"$build/bench/echo_load" 127.0.0.1 "$port" --connections 1000 --size 1024 --seconds 2
status=$?
if ! kill -0 "$server" 2>/dev/null; then
    echo "The server did not survive it:" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
[ "$status" = 0 ] && echo "Every byte came back as it was sent."
exit "$status"
