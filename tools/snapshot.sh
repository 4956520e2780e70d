#!/bin/sh
# snapshot.sh DIR: a fresh checkout in DIR of this working tree as it stands, changes that are not
# committed and new files included; all of it is committed there. What git ignores is left out.
# Where there is no git, as in an archive made by "make dist", it is a copy without history.

mkdir -p "$1" || exit 1
files() {
    git ls-files --cached --others --exclude-standard 2>/dev/null || find . -path ./build -prune -o -type f -print
}
files | while read -r file; do
    [ ! -e "$file" ] || echo "$file" # deleted, and not committed yet
done | tar -cf - -T - | tar -xf - -C "$1" && cd "$1" || exit 1

command -v git >/dev/null || exit 0
git init -q -b main . && git add -A &&
    git -c user.name=curio -c user.email=curio@localhost commit -q -m "The working tree"
