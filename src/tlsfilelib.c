/*
 * tlsfilelib.c - parts of a file, for sendfile by TLS: what is to be encrypted has to pass through
 * this process.
 *
 * The file's position is neither used nor moved, as of the plain socket's sendfile. The part is
 * read while the kernel waits, as there; the Lua layer asks for small ones.
 */
#include <errno.h>
#include <unistd.h>

#include "kernel.h"
#include "lib.h"
#include "tlslib.h"

/* In a userdata, which an error does not leak. */
static char *room(lua_State *L, size_t n) {
    return lua_newuserdatauv(L, n, 0);
}

static ssize_t read_part(int fd, char *buf, size_t n, off_t offset) {
    ssize_t got;
    do
        got = pread(fd, buf, n, offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* read_part(file, offset, n): a string, empty at the end of the file; or nil, err */
static int f_read_part(lua_State *L) {
    off_t offset = (off_t)luaL_checkinteger(L, 2);
    size_t n = (size_t)luaL_checkinteger(L, 3);
    int fd = args_to_fileno(L, 1);
    if (fd < 0)
        return error_closed_return(L, "sendfile", "file");
    char *buf = room(L, n);
    ssize_t got = read_part(fd, buf, n, offset);
    if (got < 0)
        return error_os_return(L, (int)-got, "sendfile", NULL);
    lua_pushlstring(L, buf, (size_t)got);
    return 1;
}

/* check_file(file): raises unless it is one that is open */
static int f_check_file(lua_State *L) {
    args_fileno(L, 1);
    return 0;
}

static const luaL_Reg functions[] = {
    {"read_part", f_read_part}, {"check_file", f_check_file}, {NULL, NULL}};

void tls_add_files(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
