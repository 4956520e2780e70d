/*
 * streammakelib.c - what streams can be made of: sockets, descriptors, files, objects.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "lib.h"
#include "streamlib.h"

/* Descriptors that the process began without: whoever opens something next gets their numbers, so
   it has to be known from the start. */
static bool was_closed[3];

__attribute__((constructor)) static void look_at_standard(void) {
    for (int fd = 0; fd < 3; fd++)
        was_closed[fd] = fcntl(fd, F_GETFD) < 0;
}

static bool has_method(lua_State *L, int idx, const char *name) {
    int type = lua_type(L, idx);
    if (type != LUA_TTABLE && !(type == LUA_TUSERDATA && luaL_getmetafield(L, idx, "__index")))
        return false;
    if (type == LUA_TUSERDATA)
        lua_pop(L, 1);
    bool yes = lua_getfield(L, idx, name) != LUA_TNIL;
    lua_pop(L, 1);
    return yes;
}

/* Over the object at idx. */
static struct stream *push_over(lua_State *L, int idx) {
    struct stream *s = stream_new(L);
    s->via = stream_transport(L, idx);
    s->self = lua_touserdata(L, idx);
    lua_pushvalue(L, idx);
    lua_setiuservalue(L, -2, STREAM_UV_OBJECT);
    return s;
}

static bool is_socket(lua_State *L, int idx) {
    return stream_transport(L, idx) ||
           (has_method(L, idx, "recv") &&
            (has_method(L, idx, "send") || has_method(L, idx, "sendall")));
}

/* socket(sock): a stream over a socket, or whatever has its methods recv and send */
static int f_socket(lua_State *L) {
    luaL_checkany(L, 1);
    if (stream_test(L, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    luaL_argexpected(L, is_socket(L, 1), 1, "socket");
    push_over(L, 1);
    return 1;
}

#define OP "FileStream" /* what errors name */

static int failed(lua_State *L, int err, const char *op, int fd) {
    char subject[32];
    snprintf(subject, sizeof subject, "fd %d", fd);
    return error_os_return(L, -err, op, subject);
}

/* `own`: closing the descriptor is the stream's business, not that of an object. */
static int adopt(lua_State *L, struct stream *s, int fd, bool own) {
    int err = fdio_adopt(&s->file, fd);
    if (err < 0)
        return failed(L, err, OP, fd);
    s->file.own = own;
    stream_fill_own(s);
    return 1;
}

/* Moves what Lua's file has read ahead into the buffer, `most` bytes at most. */
static int take_ahead(struct stream *s, FILE *file, size_t most) {
    size_t ahead = fdio_ahead(file);
    size_t n = ahead < most ? ahead : most;
    char *to = n ? buffer_reserve(&s->in, n) : NULL;
    if (n && !to)
        return -ENOMEM;
    if (n)
        buffer_fill(&s->in, fdio_read_ahead(file, to, n));
    return 0;
}

/* What Lua's file has read ahead goes to the stream's buffer, what it has not yet written is
   written. */
static int adopt_file(lua_State *L, struct stream *s, FILE *file) {
    bool ahead = fdio_ahead(file) > 0;
    int err = ahead ? take_ahead(s, file, SIZE_MAX) : 0;
    if (!ahead && fflush(file) == EOF && errno != EBADF)
        err = -errno;
    return err < 0 ? failed(L, err, OP, fileno(file)) : adopt(L, s, fileno(file), false);
}

static int call_fileno(lua_State *L, int idx) {
    lua_getfield(L, idx, "fileno");
    lua_pushvalue(L, idx);
    lua_call(L, 1, 1);
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0 || lua_tointeger(L, -1) > INT_MAX)
        luaL_argerror(L, idx, "its fileno is not a descriptor (closed?)");
    int fd = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return fd;
}

/* file(fd): a stream over a descriptor, a Lua file, or an object with fileno */
static int f_file(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (lua_isinteger(L, 1)) {
        lua_Integer fd = lua_tointeger(L, 1);
        luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "not a descriptor");
        return adopt(L, stream_new(L), (int)fd, true);
    }
    const luaL_Stream *file = luaL_testudata(L, 1, LUA_FILEHANDLE);
    if (file) {
        luaL_argcheck(L, file->closef, 1, "the file is closed");
        return adopt_file(L, push_over(L, 1), file->f);
    }
    if (stream_test(L, 1) || stream_transport(L, 1))
        return f_socket(L);
    luaL_argexpected(L, has_method(L, 1, "fileno"), 1, "descriptor or object with fileno");
    int fd = call_fileno(L, 1);
    return adopt(L, push_over(L, 1), fd, false);
}

/* standard(n): a stream on descriptor 0, 1 or 2, which stays as it is */
static int f_standard(lua_State *L) {
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= 2, 1, "not a standard stream");
    struct stream *s = stream_new(L);
    s->standard = (uint8_t)(n + 1);
    if (!was_closed[n])
        fdio_share(&s->file, (int)n, n > 0);
    int err = n == 0 && s->file.fd >= 0 ? take_ahead(s, stdin, SIZE_MAX) : 0;
    if (err < 0)
        return failed(L, err, "stdin", 0);
    stream_fill_own(s);
    return 1;
}

/* kind(value): "stream"; "shareable", which `shared` takes; nil: another */
static int f_kind(lua_State *L) {
    luaL_checkany(L, 1);
    if (stream_test(L, 1))
        lua_pushliteral(L, "stream");
    else if (lua_isinteger(L, 1) || luaL_testudata(L, 1, LUA_FILEHANDLE) || is_socket(L, 1))
        lua_pushliteral(L, "shareable");
    else
        lua_pushnil(L);
    return 1;
}

/* has(value, name): can that method be called? */
static int f_has(lua_State *L) {
    lua_pushboolean(L, has_method(L, 1, luaL_checkstring(L, 2)));
    return 1;
}

static int share(lua_State *L, struct stream *s, int fd, FILE *file, bool writing, size_t most) {
    int err = fdio_share(&s->file, fd, writing);
    if (err >= 0 && file && !writing)
        err = take_ahead(s, file, most);
    else if (err >= 0 && file && fflush(file) == EOF)
        err = -errno;
    if (err < 0)
        return failed(L, err, "io.copy", fd);
    stream_fill_own(s);
    return 1;
}

/* shared(value, writing, most): a stream over a descriptor, a Lua file, or a socket that stays
   another's; of what a file has read ahead it takes `most` bytes at most */
static int f_shared(lua_State *L) {
    const luaL_Stream *file = luaL_testudata(L, 1, LUA_FILEHANDLE);
    bool writing = lua_toboolean(L, 2);
    lua_Integer most = luaL_optinteger(L, 3, -1);
    lua_settop(L, 1);
    luaL_argcheck(L, !file || file->closef, 1, "the file is closed");
    struct stream *s = push_over(L, 1);
    s->borrowed = true;
    if (!file && !lua_isinteger(L, 1))
        return 1;
    lua_Integer fd = file ? fileno(file->f) : lua_tointeger(L, 1);
    luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "not a descriptor");
    return share(L, s, (int)fd, file ? file->f : NULL, writing, most < 0 ? SIZE_MAX : (size_t)most);
}

/* ---- opening ---- */

static const luaL_Reg functions[] = {
    {"socket", f_socket}, {"file", f_file}, {"standard", f_standard},
    {"shared", f_shared}, {"kind", f_kind}, {"has", f_has},
    {NULL, NULL}};

void stream_add_makers(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
