/*
 * streamreadlib.c - the engine of reading from a stream: look, fill, sleep, look again.
 *
 * A read_verb looks at the input and either gives its results or wants more. Bytes leave the buffer
 * only with the results, so a cancellation needs no undoing. The state of a read is in the stream,
 * guarded by a claim that ends with the reader's sleep.
 */
#include <errno.h>
#include <stdint.h>

#include "block.h"
#include "lib.h"
#include "streamlib.h"

#define AT_LEAST 4096         /* room worth a system call */
#define DIRECT KERNEL_SCRATCH /* bytes asked for at once, when much is wanted */

static int read_on(lua_State *L, struct task *t, struct stream *s);

/* ---- how a read ends ---- */

static int end(struct stream *s, int results) {
    s->reader.task = 0;
    if (s->closed)
        buffer_free(&s->in);
    return results;
}

/* With nil and an error on top, which takes along what there is. */
static void add_partial(lua_State *L, struct stream *s) {
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_pushlstring(L, buffer_size(&s->in) ? buffer_bytes(&s->in) : "", buffer_size(&s->in));
    lua_setfield(L, -2, "partial");
    buffer_free(&s->in);
}

/* With nil and an error on top. */
static int fail(lua_State *L, struct stream *s) {
    const struct read_verb *verb = s->rd.verb;
    if (verb->partial)
        add_partial(L, s);
    end(s, 2);
    if (!verb->raises)
        return 2;
    if (!error_is(L, -1, "ClosedError"))
        return lua_error(L);
    lua_pushnil(L);
    return 1;
}

/* ---- sleeping ---- */

static int resumed(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    struct stream *s = lua_touserdata(L, 1);
    s->reader.task = 0;
    return read_on(L, task_woken(L), s);
}

static int fall_asleep(lua_State *L, struct task *t, struct stream *s) {
    if (buffer_size(&s->in))
        buffer_shrink(&s->in);
    stream_claim(s, &s->reader, t, false);
    return lua_yieldk(L, 0, 0, resumed);
}

static int give_way(lua_State *L, struct task *t, struct stream *s) {
    stream_claim(s, &s->reader, t, false);
    task_give_way(t);
    return lua_yieldk(L, 0, 0, resumed);
}

/* ---- filling by the transport ---- */

static int no_memory(lua_State *L, const struct stream *s) {
    return error_os_return(L, ENOMEM, stream_op(s->rd.verb->name), NULL);
}

/* -ENOMEM is asked for before the bytes are taken from the system. */
static ssize_t fill_direct(struct task *t, struct stream *s) {
    size_t room = s->rd.want < DIRECT ? s->rd.want : DIRECT;
    char *to = buffer_reserve(&s->in, room);
    if (!to)
        return -ENOMEM;
    ssize_t n = s->via->read(s->self, t, to, room);
    buffer_fill(&s->in, n > 0 ? (size_t)n : 0);
    return n;
}

/* More than is wanted, if that is little; but who has only borrowed what is read from must leave
   there what is not wanted. */
static size_t asked(const struct stream *s) {
    size_t n = s->rd.want > AT_LEAST || s->borrowed ? s->rd.want : STREAM_CHUNK;
    return n < KERNEL_SCRATCH ? n : KERNEL_SCRATCH;
}

/* Into the memory that all tasks share: streams need none of their own for what is wanted whole. */
static ssize_t fill_shared(lua_State *L, struct task *t, struct stream *s, int *results) {
    const struct read_verb *verb = s->rd.verb;
    char *scratch = t->kernel->scratch;
    bool empty = buffer_size(&s->in) == 0;
    ssize_t n = s->via->read(s->self, t, scratch, asked(s));
    if (n <= 0)
        return n;
    if (empty && verb->whole && (*results = verb->whole(L, s, scratch, (size_t)n)) >= 0)
        return n;
    int err = buffer_append(&s->in, scratch, (size_t)n);
    return err < 0 ? err : n;
}

static int fill_by_transport(lua_State *L, struct task *t, struct stream *s, int *results) {
    bool direct = s->rd.want > KERNEL_SCRATCH;
    ssize_t n = direct ? fill_direct(t, s) : fill_shared(L, t, s, results);
    if (n >= 0) {
        s->rd.ended = n == 0;
        return 0;
    }
    s->rd.dry = s->rd.want == 0;
    if (n == -EAGAIN && s->rd.dry)
        return 0;
    if (n == -EAGAIN)
        return s->via->wait(s->self, L, t, LOOP_READ);
    if (n == -ESHUTDOWN)
        return stream_closed(L, s, s->rd.verb->name);
    return n == -ENOMEM ? no_memory(L, s)
                        : s->via->failed(s->self, L, (int)n, stream_op(s->rd.verb->name));
}

/* ---- filling by the method recv ---- */

/* With what recv returned on top: as stream_fill. */
static int take_received(lua_State *L, struct stream *s) {
    size_t n = 0;
    const char *bytes = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &n) : NULL;
    if (!bytes && !lua_isnil(L, -1))
        return 2;
    if (buffer_append(&s->in, bytes, n) < 0)
        return no_memory(L, s);
    s->rd.ended = n == 0;
    lua_pop(L, 2);
    return 0;
}

static int take_result(lua_State *L, struct stream *s, int status) {
    s->reader.task = 0;
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return s->closed ? 0 : take_received(L, s);
}

static int received(lua_State *L, int status, lua_KContext ctx) {
    (void)ctx;
    struct stream *s = lua_touserdata(L, 1);
    return take_result(L, s, status) ? fail(L, s) : read_on(L, kernel_current->current, s);
}

static int fill_by_method(lua_State *L, struct task *t, struct stream *s) {
    luaL_checkstack(L, 6, s->rd.verb->name);
    lua_getiuservalue(L, 1, STREAM_UV_OBJECT);
    lua_getfield(L, -1, "recv");
    lua_insert(L, -2);
    lua_pushinteger(L, (lua_Integer)asked(s));
    stream_claim(s, &s->reader, t, true);
    return take_result(L, s, lua_pcallk(L, 2, 2, 0, 0, received));
}

/* ---- the engine ---- */

static int read_on(lua_State *L, struct task *t, struct stream *s) {
    const struct read_verb *verb = s->rd.verb;
    for (;;) {
        if (s->closed) {
            stream_closed(L, s, verb->name);
            return fail(L, s);
        }
        int results = verb->attempt(L, s);
        if (results != READ_MORE)
            return end(s, results);
        int n = s->via ? fill_by_transport(L, t, s, &results) : fill_by_method(L, t, s);
        if (results != READ_MORE)
            return end(s, results);
        if (n == BLOCK_PARKED)
            return fall_asleep(L, t, s);
        if (n)
            return fail(L, s);
        if (task_spent(t))
            return give_way(L, t, s);
    }
}

int stream_read_on(lua_State *L, struct task *t, struct stream *s, const struct reading *what) {
    stream_may_claim(L, t, s, &s->reader, what->verb->name);
    s->rd = *what;
    return task_spent(t) ? give_way(L, t, s) : read_on(L, t, s);
}

int stream_read(lua_State *L, const struct reading *what) {
    return stream_read_on(L, task_enter(L, what->verb->name), lua_touserdata(L, 1), what);
}
