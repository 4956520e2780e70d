/*
 * streamwritelib.c - writing to a stream: write(...), writelines(t).
 *
 * The pieces go out together, as they are, by one gathering system call if the other side takes
 * them; nothing is copied and nothing kept back. What remains is tried again when there is room. A
 * write that is cancelled, or fails, tells how much is gone: err.bytes_written.
 */
#include <errno.h>

#include "block.h"
#include "lib.h"
#include "streamlib.h"

#define PIECES_AT_ONCE 64
#define MOST_AT_ONCE (256 * 1024) /* others want to run too */

/* A write that goes on. It lives in C as long as it need not wait, then in a box on the stack. */
struct writing {
    const char *name;
    size_t done;       /* bytes */
    lua_Integer piece; /* the next one, from 1 */
    lua_Integer pieces;
    size_t offset; /* in that piece */
    bool listed;   /* the pieces stand in the table at 2, not on the stack */
    bool boxed;
    bool all; /* by the method sendall, not send */
};

static int write_on(lua_State *L, struct task *t, struct stream *s, struct writing *w);

/* May raise, so before anything that must be undone. */
static struct writing *box(lua_State *L, struct writing *w) {
    if (w->boxed)
        return w;
    struct writing *boxed = lua_newuserdatauv(L, sizeof *boxed, 0);
    *boxed = *w;
    boxed->boxed = true;
    return boxed;
}

/* ---- pieces ---- */

/* Number i, which stays where it is. */
static const char *piece(lua_State *L, const struct writing *w, lua_Integer i, size_t *len) {
    if (!w->listed)
        return lua_tolstring(L, (int)i + 1, len);
    lua_rawgeti(L, 2, i);
    const char *bytes = lua_tolstring(L, -1, len);
    lua_pop(L, 1);
    return bytes;
}

/* What is to be written next. */
static int gather(lua_State *L, const struct writing *w, struct iovec *v) {
    size_t total = 0, offset = w->offset;
    int n = 0;
    for (lua_Integer i = w->piece; i <= w->pieces && n < PIECES_AT_ONCE; i++) {
        size_t len;
        const char *bytes = piece(L, w, i, &len) + offset;
        len -= offset;
        offset = 0;
        if (len > MOST_AT_ONCE - total)
            len = MOST_AT_ONCE - total;
        if (len > 0)
            v[n++] = (struct iovec){(char *)bytes, len};
        total += len;
        if (total == MOST_AT_ONCE)
            break;
    }
    return n;
}

static void advance(lua_State *L, struct writing *w, size_t n) {
    w->done += n;
    for (size_t len; w->piece <= w->pieces; w->piece++) {
        piece(L, w, w->piece, &len);
        if (n < len - w->offset) {
            w->offset += n;
            return;
        }
        n -= len - w->offset;
        w->offset = 0;
    }
}

/* ---- how a write ends ---- */

/* Of the error on top. */
static void tell_written(lua_State *L, size_t done) {
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_pushinteger(L, (lua_Integer)done);
    lua_setfield(L, -2, "bytes_written");
}

static int fail(lua_State *L, const struct writing *w) {
    tell_written(L, w->done);
    return 2;
}

/* A cancellation that a call begins with has written nothing, whatever it says of the one before.
 */
static void tell_pending(lua_State *L) {
    struct task *t = task_pending(L);
    if (!t)
        return;
    task_push_interrupt(L, t);
    tell_written(L, 0);
    lua_pop(L, 1);
}

/* ---- sleeping ---- */

static int resumed(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    struct writing *w = (struct writing *)ctx;
    struct stream *s = lua_touserdata(L, 1);
    struct kernel *k = kernel_current;
    s->writer.task = 0;
    if (k && k->top == L && k->current->wake != WAKE_OK && task_interrupted(k->current)) {
        task_push_interrupt(L, k->current);
        tell_written(L, w->done);
        lua_pop(L, 1);
    }
    return write_on(L, task_woken(L), s, w);
}

static int fall_asleep(lua_State *L, struct task *t, struct stream *s, struct writing *boxed) {
    stream_claim(s, &s->writer, t, false);
    return lua_yieldk(L, 0, (lua_KContext)boxed, resumed);
}

static int give_way(lua_State *L, struct task *t, struct stream *s, struct writing *w) {
    w = box(L, w);
    task_give_way(t);
    return fall_asleep(L, t, s, w);
}

/* ---- writing by the transport ---- */

/* Bytes written, or as a transport's write. */
static ssize_t write_by_transport(lua_State *L, struct task *t, struct stream *s,
                                  const struct writing *w) {
    struct iovec v[PIECES_AT_ONCE];
    int pieces = gather(L, w, v);
    return pieces ? s->via->write(s->self, t, v, pieces) : 0;
}

static int transport_failed(lua_State *L, const struct stream *s, const struct writing *w,
                            ssize_t n) {
    if (n == -ESHUTDOWN)
        stream_closed(L, s, w->name);
    else
        s->via->failed(s->self, L, (int)n, stream_op(w->name));
    return fail(L, w);
}

static int wait_to_write(lua_State *L, struct task *t, struct stream *s, struct writing *w) {
    w = box(L, w);
    if (s->via->wait(s->self, L, t, LOOP_WRITE) == BLOCK_PARKED)
        return fall_asleep(L, t, s, w);
    return fail(L, w);
}

/* ---- writing by the methods send or sendall ---- */

/* Not all at once: what a method does not take is copied again. */
static size_t push_part(lua_State *L, const struct writing *w) {
    struct iovec v[PIECES_AT_ONCE];
    if (gather(L, w, v) == 0) {
        lua_pushliteral(L, "");
        return 0;
    }
    size_t n = v->iov_len < STREAM_CHUNK ? v->iov_len : STREAM_CHUNK;
    lua_pushlstring(L, v->iov_base, n);
    return n;
}

static lua_Integer integer_field(lua_State *L, int idx, const char *name) {
    lua_Integer n = 0;
    if (lua_type(L, idx) == LUA_TTABLE) {
        lua_getfield(L, idx, name);
        n = lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    return n > 0 ? n : 0;
}

/* With what the method returned on top, after the part that it was given: 0, or an error's results.
 */
static int take_sent(lua_State *L, struct stream *s, struct writing *w, int status) {
    size_t part;
    bool raised = status != LUA_OK && status != LUA_YIELD;
    s->writer.task = 0;
    if (raised || !lua_toboolean(L, -2))
        w->done += (size_t)(w->all ? integer_field(L, -1, "bytes_sent") : 0);
    if (raised && error_is(L, -1, "CancelledError"))
        tell_written(L, w->done);
    if (raised)
        return lua_error(L);
    if (!lua_toboolean(L, -2))
        return 2;
    lua_tolstring(L, -3, &part);
    size_t n = w->all ? part : (size_t)luaL_checkinteger(L, -2);
    if (n > part)
        return luaL_error(L, "%s: 'send' tells of more bytes than it was given", w->name);
    lua_pop(L, 3);
    advance(L, w, n);
    return 0;
}

static int sent(lua_State *L, int status, lua_KContext ctx) {
    struct stream *s = lua_touserdata(L, 1);
    struct writing *w = (struct writing *)ctx;
    return take_sent(L, s, w, status) ? fail(L, w) : write_on(L, kernel_current->current, s, w);
}

/* 0, or an error's results. */
static int write_by_method(lua_State *L, struct task *t, struct stream *s, struct writing *boxed) {
    luaL_checkstack(L, 8, boxed->name);
    if (push_part(L, boxed) == 0) {
        lua_pop(L, 1);
        advance(L, boxed, 0);
        return 0;
    }
    lua_getiuservalue(L, 1, STREAM_UV_OBJECT);
    boxed->all = lua_getfield(L, -1, "send") == LUA_TNIL;
    if (boxed->all) {
        lua_pop(L, 1);
        lua_getfield(L, -1, "sendall");
    }
    lua_insert(L, -2);
    lua_pushvalue(L, -3);
    stream_claim(s, &s->writer, t, true);
    return take_sent(L, s, boxed, lua_pcallk(L, 2, 2, 0, (lua_KContext)boxed, sent));
}

/* ---- the engine ---- */

static int write_on(lua_State *L, struct task *t, struct stream *s, struct writing *w) {
    while (w->piece <= w->pieces) {
        if (s->closed)
            return transport_failed(L, s, w, -ESHUTDOWN);
        if (s->via) {
            ssize_t n = write_by_transport(L, t, s, w);
            if (n == -EAGAIN)
                return wait_to_write(L, t, s, w);
            if (n < 0)
                return transport_failed(L, s, w, n);
            advance(L, w, (size_t)n);
        } else {
            w = box(L, w);
            if (write_by_method(L, t, s, w))
                return fail(L, w);
        }
        if (w->piece <= w->pieces && --t->kernel->io_budget < 0)
            return give_way(L, t, s, w);
    }
    lua_pushvalue(L, 1);
    return 1;
}

static int start(lua_State *L, struct stream *s, const char *name, lua_Integer pieces,
                 bool listed) {
    struct writing w = {.name = name, .piece = 1, .pieces = pieces, .listed = listed};
    tell_pending(L);
    struct task *t = task_enter(L, name);
    stream_may_claim(L, t, s, &s->writer, name);
    if (s->closed)
        return transport_failed(L, s, &w, -ESHUTDOWN);
    if (s->standard > 1) /* what print has kept back goes first */
        fflush(s->standard == 2 ? stdout : stderr);
    return task_spent(t) ? give_way(L, t, s, &w) : write_on(L, t, s, &w);
}

/* ---- write(...), writelines(t) ---- */

/* As Lua's files write numbers, which is not as tostring makes them. */
static void to_string(lua_State *L, int idx) {
    char text[64];
    if (lua_isinteger(L, idx)) {
        lua_tostring(L, idx);
        return;
    }
    int n = lua_number2str(text, sizeof text, lua_tonumber(L, idx));
    lua_pushlstring(L, text, (size_t)n);
    lua_replace(L, idx);
}

static int m_write(lua_State *L) {
    struct stream *s = stream_check(L, 1);
    int top = lua_gettop(L);
    for (int arg = 2; arg <= top; arg++) {
        if (lua_type(L, arg) == LUA_TNUMBER)
            to_string(L, arg);
        else
            luaL_checktype(L, arg, LUA_TSTRING);
    }
    return start(L, s, "stream:write", top - 1, false);
}

/* The list may be changed while we sleep, so it is a copy that is written. */
static int m_writelines(lua_State *L) {
    struct stream *s = stream_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_Integer n = luaL_len(L, 2);
    lua_createtable(L, n > 0 && n < 100000 ? (int)n : 0, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        int type = lua_geti(L, 2, i);
        if (type == LUA_TNUMBER)
            to_string(L, 4);
        else if (type != LUA_TSTRING)
            luaL_argerror(L, 2,
                          lua_pushfstring(L, "element %I is a %s value, not a string", i,
                                          luaL_typename(L, -1)));
        lua_rawseti(L, 3, i);
    }
    lua_replace(L, 2);
    return start(L, s, "stream:writelines", n, true);
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {{"write", m_write}, {"writelines", m_writelines}, {NULL, NULL}};

void stream_add_writers(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
