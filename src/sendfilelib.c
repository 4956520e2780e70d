/*
 * sendfilelib.c - sock:sendfile(file, offset, n): a part of a regular file to a stream socket,
 * without copying it through this process.
 *
 * The file is asked for its descriptor at each attempt, so that one that is closed meanwhile is
 * noticed; its position is neither used nor moved. The system reads what is not in memory while the
 * call lasts, on the kernel's thread: see design.md.
 */
#include <errno.h>

#include "block.h"
#include "lib.h"
#include "socketlib.h"
#include "splice.h"

#define SEND_MOST (256 * 1024) /* bytes for one call: others want to run too */

/* LEFT: bytes still to send; -1: as many as there are. */
enum { SOCKET = 1, FILE_, OFFSET, LEFT, DONE };

static void set_integer(lua_State *L, int idx, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_replace(L, idx);
}

/* Of the error on top. */
static void set_bytes_sent(lua_State *L) {
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_pushvalue(L, DONE);
    lua_setfield(L, -2, "bytes_sent");
}

static int failed(lua_State *L, int err) {
    const struct sock *s = lua_touserdata(L, SOCKET);
    if (s->io.fd < 0)
        error_closed_return(L, "sendfile", "socket");
    else if (!err)
        error_closed_return(L, "sendfile", "file");
    else
        socket_failed(L, s, err, "sendfile");
    set_bytes_sent(L);
    return 2;
}

/* Bytes moved, 0 when all is done, or a negative errno. */
static ssize_t move_some(lua_State *L, const struct sock *s, int fd) {
    lua_Integer left = lua_tointeger(L, LEFT);
    off_t offset = (off_t)lua_tointeger(L, OFFSET);
    size_t part = left >= 0 && left < SEND_MOST ? (size_t)left : SEND_MOST;
    ssize_t n = part ? splice_sendfile(s->io.fd, fd, &offset, part) : 0;
    if (n <= 0)
        return n;
    set_integer(L, OFFSET, offset);
    set_integer(L, DONE, lua_tointeger(L, DONE) + n);
    if (left >= 0)
        set_integer(L, LEFT, left - n);
    return n;
}

static int sendfile_attempt(lua_State *L, struct task *t) {
    const struct sock *s = lua_touserdata(L, SOCKET);
    if (s->io.fd < 0)
        return failed(L, 0);
    int fd = args_to_fileno(L, FILE_);
    if (fd < 0)
        return failed(L, 0);
    do {
        if (!loop_ready(&t->kernel->loop, &s->io, LOOP_WRITE))
            return block_wait(L, t, &s->io, LOOP_WRITE);
        ssize_t n = move_some(L, s, fd);
        if (n == -EAGAIN)
            return block_again(L, t, &s->io, LOOP_WRITE);
        if (n < 0)
            return failed(L, (int)-n);
        if (n == 0) {
            lua_pushvalue(L, DONE);
            return 1;
        }
    } while (--t->kernel->io_budget >= 0);
    task_give_way(t);
    return BLOCK_PARKED;
}

static void interrupted(lua_State *L, struct task *t) {
    (void)t;
    set_bytes_sent(L);
}

static const struct verb sendfile_verb = {"socket:sendfile", sendfile_attempt, interrupted};

static lua_Integer check_count(lua_State *L, int arg, lua_Integer def, const char *what) {
    lua_Integer n = luaL_optinteger(L, arg, def);
    if (n < 0 && !lua_isnoneornil(L, arg))
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be 0 or more, not %I", what, n));
    return n;
}

static int m_sendfile(lua_State *L) {
    const struct sock *s = socket_check(L, SOCKET);
    luaL_argcheck(L, s->type == SOCK_STREAM, SOCKET, "sendfile needs a stream socket");
    args_fileno(L, FILE_);
    lua_Integer offset = check_count(L, OFFSET, 0, "the offset");
    lua_Integer left = check_count(L, LEFT, -1, "the number of bytes");
    lua_settop(L, FILE_);
    lua_pushinteger(L, offset);
    lua_pushinteger(L, left);
    lua_pushinteger(L, 0);
    return block_run(L, &sendfile_verb);
}

void socket_add_sendfile(lua_State *L) {
    lua_pushcfunction(L, m_sendfile);
    lua_setfield(L, -2, "sendfile");
}
