/*
 * streamlib.c - streams: what they are made of, and the methods that never wait.
 */
#include "streamlib.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "block.h"
#include "lib.h"
#include "net.h"
#include "socketlib.h"

#define NAME "curio.stream"

static const char stream_tag;
static char methods_key; /* registry */

const char *stream_standard(const struct stream *s) {
    static const char *const names[] = {"", "stdin", "stdout", "stderr"};
    return names[s->standard];
}

/* ---- a descriptor of our own ---- */

static ssize_t file_read(void *self, struct task *t, char *buf, size_t room) {
    struct stream *s = self;
    struct loop *lp = &t->kernel->loop;
    if (s->io.fd < 0)
        return s->closed ? -ESHUTDOWN : -EBADF;
    if (!loop_ready(lp, &s->io, LOOP_READ))
        return -EAGAIN;
    ssize_t n = fdio_read(&s->file, buf, room);
    if (n == -EAGAIN)
        loop_blocked(lp, &s->io, LOOP_READ);
    else if (n > 0 && (size_t)n < room && s->file.short_is_empty)
        loop_drained(lp, &s->io, LOOP_READ);
    return n;
}

static ssize_t file_write(void *self, struct task *t, const struct iovec *pieces, int n) {
    struct stream *s = self;
    struct loop *lp = &t->kernel->loop;
    if (s->io.fd < 0)
        return s->closed ? -ESHUTDOWN : -EBADF;
    if (!loop_ready(lp, &s->io, LOOP_WRITE))
        return -EAGAIN;
    ssize_t written = fdio_write(&s->file, pieces, n);
    if (written == -EAGAIN)
        loop_blocked(lp, &s->io, LOOP_WRITE);
    return written;
}

static int file_wait(void *self, lua_State *L, struct task *t, enum loop_dir dir) {
    const struct stream *s = self;
    return block_wait(L, t, &s->io, dir);
}

static int file_failed(void *self, lua_State *L, int err, const char *op) {
    const struct stream *s = self;
    char subject[32];
    snprintf(subject, sizeof subject, "fd %d", s->io.fd);
    return error_os_return(L, -err, op, s->standard ? stream_standard(s) : subject);
}

static const struct transport file_transport = {"stream", file_read, file_write, file_wait,
                                                file_failed};

/* ---- the box ---- */

struct stream *stream_test(lua_State *L, int idx) {
    struct stream *s = lua_touserdata(L, idx);
    return s && lua_rawlen(L, idx) == sizeof *s && s->tag == &stream_tag ? s : NULL;
}

struct stream *stream_check(lua_State *L, int arg) {
    struct stream *s = stream_test(L, arg);
    if (!s)
        luaL_typeerror(L, arg, NAME);
    return s;
}

struct stream *stream_new(lua_State *L) {
    struct stream *s = lua_newuserdatauv(L, sizeof *s, 1);
    memset(s, 0, sizeof *s);
    s->io.fd = s->file.fd = -1;
    s->tag = &stream_tag;
    luaL_setmetatable(L, NAME);
    return s;
}

const struct transport *stream_transport(lua_State *L, int idx) {
    const struct transport *via = NULL;
    if (lua_type(L, idx) == LUA_TUSERDATA && luaL_getmetafield(L, idx, TRANSPORT_KEY)) {
        via = lua_touserdata(L, -1);
        lua_pop(L, 1);
    }
    return via;
}

void stream_fill_own(struct stream *s) {
    s->io = (struct io){.fd = s->file.fd, .gen = loop_generation()};
    s->via = &file_transport;
    s->self = s;
}

const char *stream_op(const char *verb) {
    const char *colon = strchr(verb, ':');
    return colon ? colon + 1 : verb;
}

int stream_closed(lua_State *L, const struct stream *s, const char *verb) {
    return error_closed_return(L, stream_op(verb), s->via ? s->via->what : "stream");
}

/* ---- claims ---- */

/* Two tasks of a slot share these bits only if 2^32 others were made between them. */
static uint32_t brief(uint64_t id) {
    return (uint32_t)id | !(uint32_t)id;
}

static struct task *holder(const struct stream *s, const struct claim *c) {
    struct kernel *k = kernel_current;
    if (!c->task || !k || s->kernel != k->serial || c->slot > k->nslots)
        return NULL;
    struct task *t = slot_task(k->slots[c->slot]);
    return t && brief(t->id) == c->task && (c->lasting || (uint32_t)t->cycles == c->cycle) ? t
                                                                                           : NULL;
}

/* The claims of another kernel's tasks are void. */
void stream_claim(struct stream *s, struct claim *c, const struct task *t, bool lasting) {
    if (s->kernel != t->kernel->serial)
        s->reader.task = s->writer.task = 0;
    s->kernel = t->kernel->serial;
    *c = (struct claim){brief(t->id), (uint32_t)t->cycles, t->slot & INT32_MAX, lasting};
}

void stream_may_claim(lua_State *L, struct task *t, const struct stream *s, const struct claim *c,
                      const char *verb) {
    const struct task *by = holder(s, c);
    bool reading = c == &s->reader;
    if (!by || by == t)
        return;
    error_new(L, reading ? "ReadResourceBusy" : "WriteResourceBusy",
              "%s: another task is %s this stream", verb, reading ? "reading from" : "writing to");
    lua_error(L);
}

const struct io *stream_raw(const struct stream *s) {
    const struct sock *sock = socket_of_transport(s->via, s->self);
    if (sock)
        return &sock->io;
    return s->via == &file_transport && s->file.kind != FDIO_CAREFUL ? &s->io : NULL;
}

/* ---- closing ---- */

static void release_own(struct stream *s) {
    int fd = s->io.fd;
    if (fd < 0)
        return;
    s->io.fd = -1;
    block_release(fd, true);
}

/* Whatever it waits for. Who is in a method of the object is woken by that. */
static void wake_holder(const struct stream *s, const struct claim *c) {
    struct task *t = holder(s, c);
    if (t && !c->lasting && t->flags & T_ASLEEP)
        task_wake(t, WAKE_OK);
}

void stream_wake_reader(const struct stream *s) {
    wake_holder(s, &s->reader);
}

/* The reader that sleeps here looks at its input once more, and then frees it. */
static void close_box(struct stream *s) {
    s->closed = true;
    release_own(s);
    wake_holder(s, &s->reader);
    wake_holder(s, &s->writer);
    if (!holder(s, &s->reader))
        buffer_free(&s->in);
}

static void close_own(struct stream *s) {
    int fd = s->file.fd;
    s->file.fd = -1;
    if (fd >= 0 && s->file.own)
        net_close(fd);
}

static int closed(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

/* Closes what it was made of, in that one's own way. */
static int close_object(lua_State *L) {
    if (lua_getfield(L, -1, "close") == LUA_TNIL) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_insert(L, -2);
    lua_callk(L, 1, LUA_MULTRET, 0, closed);
    return lua_gettop(L) - 1;
}

/* Also __close. */
static int m_close(lua_State *L) {
    struct stream *s = stream_check(L, 1);
    lua_settop(L, 1);
    if (!s->closed) {
        close_box(s);
        close_own(s);
        if (!s->borrowed && lua_getiuservalue(L, 1, STREAM_UV_OBJECT) != LUA_TNIL)
            return close_object(L);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int mm_gc(lua_State *L) {
    struct stream *s = stream_check(L, 1);
    release_own(s);
    buffer_free(&s->in);
    close_own(s);
    s->closed = true;
    s->tag = NULL;
    return 0;
}

/* ---- what never waits ---- */

/* What the object's method gives: its descriptor, or nil and an error. */
static int object_fileno(lua_State *L) {
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, STREAM_UV_OBJECT);
    if (lua_getfield(L, 2, "fileno") == LUA_TNIL)
        return error_os_return(L, EBADF, "fileno", error_text(L, 2));
    lua_insert(L, 2);
    lua_call(L, 1, 2);
    return 2;
}

static int m_fileno(lua_State *L) {
    const struct stream *s = stream_check(L, 1);
    if (s->closed)
        return stream_closed(L, s, "fileno");
    if (s->standard) {
        lua_pushinteger(L, s->standard - 1);
        return 1;
    }
    if (s->io.fd >= 0) {
        lua_pushinteger(L, s->io.fd);
        return 1;
    }
    return object_fileno(L);
}

/* There is nothing to flush. */
static int m_flush(lua_State *L) {
    const struct stream *s = stream_check(L, 1);
    if (s->closed)
        return stream_closed(L, s, "flush");
    lua_settop(L, 1);
    return 1;
}

static int mm_tostring(lua_State *L) {
    const struct stream *s = stream_check(L, 1);
    if (s->closed)
        lua_pushliteral(L, NAME " (closed)");
    else if (s->standard)
        lua_pushfstring(L, NAME " (%s)", stream_standard(s));
    else if (s->io.fd >= 0)
        lua_pushfstring(L, NAME " (fd %d)", s->io.fd);
    else {
        lua_getiuservalue(L, 1, STREAM_UV_OBJECT);
        lua_pushfstring(L, NAME " (%s)", error_text(L, -1));
    }
    return 1;
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {
    {"close", m_close}, {"fileno", m_fileno}, {"flush", m_flush}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {
    {"__tostring", mm_tostring}, {"__close", m_close}, {"__gc", mm_gc}, {NULL, NULL}};

int open_streamlib(lua_State *L) {
    luaL_newmetatable(L, NAME);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    stream_add_readers(L);
    stream_add_writers(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &methods_key);
    lua_setfield(L, -2, "__index");
    lua_newtable(L);
    stream_add_makers(L);
    stream_add_copying(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &methods_key);
    lua_setfield(L, -2, "methods");
    lua_remove(L, -2);
    return 1;
}
