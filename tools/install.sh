#!/bin/sh
# install.sh install|uninstall BUILD: for "make install" and "make uninstall", which tell by BINDIR,
# LIBDIR, LUADIR and MANDIR where things go, and by DESTDIR what stands before those. What is
# installed can be read by all, whatever the umask is; what is removed is our files, and then the
# directories of ours that are empty.

verb=$1
build=$2

# MODE SOURCE DIRECTORY
install_file() {
    install -d "$DESTDIR$3" && install -m "$1" "$2" "$DESTDIR$3"
}

# MODE SOURCE DIRECTORY
uninstall_file() {
    rm -f "$DESTDIR$3/${2##*/}" || return
    case $3 in */curio | */curio/*) rmdir "$DESTDIR$3" 2>/dev/null || : ;; esac
}

set -e
umask 022
"${verb}_file" 755 "$build/bin/curio" "$BINDIR"
"${verb}_file" 644 "$build/curio/core.so" "$LIBDIR/curio"
"${verb}_file" 644 docs/curio.1 "$MANDIR/man1"
find lua -name '*.lua' | sort -r | while read -r file; do # what lies deeper goes first
    directory=${file%/*}
    "${verb}_file" 644 "$file" "$LUADIR${directory#lua}"
done
