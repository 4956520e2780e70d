/*
 * streamcopylib.c - pumping from one stream to another, by the cheapest means there are.
 *
 * First goes what the source's buffer holds. Then a regular file is sent by sendfile, sockets and
 * pipes are spliced, and everything else passes through the memory that all tasks share. What was
 * taken from the source and could not be written is put into the source's buffer when the pumping
 * ends, so that nothing is lost; where nobody has that buffer the error takes it along.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "block.h"
#include "lib.h"
#include "net.h"
#include "socketlib.h"
#include "splice.h"
#include "streamlib.h"

#define NAME "curio.copy"
#define VERB "io.copy"
#define MOST_AT_ONCE (1024 * 1024) /* others want to run too */
#define WORTH (64 * 1024)          /* bytes that count as one operation */

enum means { BY_MEMORY, BY_SENDFILE, BY_DIRECT_SPLICE, BY_SPLICE };

/* The box at 3, between the two streams at 1 and 2. */
struct copy {
    struct attendant attendant; /* of the side that it does not wait for */
    struct io attended;         /* which is this */
    enum loop_dir side;
    struct stream *from, *to;
    struct splice pipe;
    enum means means;
    size_t done;
    size_t left; /* SIZE_MAX: all */
    bool pumping;
};

/* What one step has come to. */
enum { STEP_MOVED, STEP_END, STEP_WAIT_FROM, STEP_WAIT_TO, STEP_FROM_FAILED, STEP_TO_FAILED };

static int copy_on(lua_State *L, struct task *t, struct copy *c);

static struct copy *box(lua_State *L) {
    return lua_touserdata(L, 3);
}

static size_t portion(const struct copy *c, size_t most) {
    return c->left < most ? c->left : most;
}

static void count(struct copy *c, size_t n) {
    c->done += n;
    if (c->left != SIZE_MAX)
        c->left -= n;
}

/* ---- what the descriptors allow ---- */

static bool is_pumpable(int fd, mode_t mode) {
    int type;
    return S_ISFIFO(mode) ||
           (S_ISSOCK(mode) && net_info(fd, NULL, &type, NULL) >= 0 && type == SOCK_STREAM);
}

static enum means choose(const struct copy *c) {
    const struct io *from = stream_raw(c->from), *to = stream_raw(c->to);
    struct stat a, b;
    if (!from || !to || from->fd < 0 || to->fd < 0)
        return BY_MEMORY;
    if (fstat(from->fd, &a) < 0 || fstat(to->fd, &b) < 0)
        return BY_MEMORY;
    if (S_ISREG(a.st_mode))
        return BY_SENDFILE;
    if (!is_pumpable(from->fd, a.st_mode) || !is_pumpable(to->fd, b.st_mode))
        return BY_MEMORY;
    return S_ISFIFO(a.st_mode) || S_ISFIFO(b.st_mode) ? BY_DIRECT_SPLICE : BY_SPLICE;
}

static bool is_refusal(ssize_t n) {
    return n == -EINVAL || n == -ENOSYS || n == -EOPNOTSUPP;
}

/* ---- one step of each ---- */

/* The error stands in *err. */
static int write_buffered(struct copy *c, struct task *t, int *err) {
    struct stream *from = c->from, *to = c->to;
    struct iovec piece = {(char *)buffer_bytes(&from->in), portion(c, buffer_size(&from->in))};
    if (piece.iov_len > MOST_AT_ONCE)
        piece.iov_len = MOST_AT_ONCE;
    ssize_t n = to->via->write(to->self, t, &piece, 1);
    if (n < 0)
        return (*err = (int)n) == -EAGAIN ? STEP_WAIT_TO : STEP_TO_FAILED;
    buffer_drop(&from->in, (size_t)n);
    count(c, (size_t)n);
    return STEP_MOVED;
}

static int keep(struct copy *c, const char *bytes, size_t n, int *err) {
    if (buffer_append(&c->from->in, bytes, n) == 0)
        return STEP_MOVED;
    *err = -ENOMEM;
    return STEP_FROM_FAILED;
}

static int by_memory(struct copy *c, struct task *t, int *err) {
    struct stream *from = c->from, *to = c->to;
    char *scratch = t->kernel->scratch;
    ssize_t n = from->via->read(from->self, t, scratch, portion(c, STREAM_CHUNK));
    if (n == 0)
        return STEP_END;
    if (n < 0)
        return (*err = (int)n) == -EAGAIN ? STEP_WAIT_FROM : STEP_FROM_FAILED;
    ssize_t written = to->via->write(to->self, t, &(struct iovec){scratch, (size_t)n}, 1);
    size_t gone = written > 0 ? (size_t)written : 0;
    count(c, gone);
    if (keep(c, scratch + gone, (size_t)n - gone, err) != STEP_MOVED)
        return STEP_FROM_FAILED;
    if (written < 0 && written != -EAGAIN) {
        *err = (int)written;
        return STEP_TO_FAILED;
    }
    return written < 0 ? STEP_WAIT_TO : STEP_MOVED;
}

static int exhausted(struct task *t, const struct io *io, enum loop_dir dir) {
    loop_blocked(&t->kernel->loop, io, dir);
    return dir == LOOP_READ ? STEP_WAIT_FROM : STEP_WAIT_TO;
}

static bool is_ready(struct task *t, const struct io *io, enum loop_dir dir) {
    return loop_ready(&t->kernel->loop, io, dir);
}

static int by_sendfile(struct copy *c, struct task *t, int *err) {
    const struct io *from = stream_raw(c->from), *to = stream_raw(c->to);
    if (!is_ready(t, to, LOOP_WRITE))
        return STEP_WAIT_TO;
    ssize_t n = splice_sendfile(to->fd, from->fd, NULL, portion(c, MOST_AT_ONCE));
    if (n == -EAGAIN)
        return exhausted(t, to, LOOP_WRITE);
    if (n < 0) {
        *err = (int)n;
        return STEP_TO_FAILED;
    }
    count(c, (size_t)n);
    return n ? STEP_MOVED : STEP_END;
}

static bool polls(int fd, short events) {
    struct pollfd ask = {.fd = fd, .events = events};
    return poll(&ask, 1, 0) != 0;
}

/* The system does not say which of the two would have blocked, and either may have changed since.
 */
static int one_exhausted(struct task *t, const struct io *from, const struct io *to) {
    if (!polls(from->fd, POLLIN))
        return exhausted(t, from, LOOP_READ);
    if (!polls(to->fd, POLLOUT))
        return exhausted(t, to, LOOP_WRITE);
    return STEP_MOVED; /* by now neither would */
}

static int by_direct_splice(struct copy *c, struct task *t, int *err) {
    const struct io *from = stream_raw(c->from), *to = stream_raw(c->to);
    if (!is_ready(t, from, LOOP_READ))
        return STEP_WAIT_FROM;
    if (!is_ready(t, to, LOOP_WRITE))
        return STEP_WAIT_TO;
    ssize_t n = splice_direct(from->fd, to->fd, portion(c, MOST_AT_ONCE));
    if (n == -EAGAIN)
        return one_exhausted(t, from, to);
    if (n < 0) {
        *err = (int)n;
        return n == -EPIPE ? STEP_TO_FAILED : STEP_FROM_FAILED;
    }
    count(c, (size_t)n);
    return n ? STEP_MOVED : STEP_END;
}

static int fill_pipe(struct copy *c, struct task *t, const struct io *from, int *err) {
    if (!is_ready(t, from, LOOP_READ))
        return STEP_WAIT_FROM;
    int opened = c->pipe.rd < 0 ? splice_acquire(&c->pipe) : 0;
    ssize_t n = opened < 0 ? opened : splice_in(&c->pipe, from->fd, portion(c, MOST_AT_ONCE));
    if (n == -EAGAIN)
        return exhausted(t, from, LOOP_READ);
    if (n < 0)
        *err = (int)n;
    return n > 0 ? STEP_MOVED : n == 0 ? STEP_END : STEP_FROM_FAILED;
}

static int by_splice(struct copy *c, struct task *t, int *err) {
    const struct io *from = stream_raw(c->from), *to = stream_raw(c->to);
    if (c->pipe.held == 0) {
        int filled = fill_pipe(c, t, from, err);
        if (filled != STEP_MOVED)
            return filled;
    }
    if (!is_ready(t, to, LOOP_WRITE))
        return STEP_WAIT_TO;
    ssize_t n = splice_out(&c->pipe, to->fd);
    if (n == -EAGAIN)
        return exhausted(t, to, LOOP_WRITE);
    if (n < 0) {
        *err = (int)n;
        return STEP_TO_FAILED;
    }
    count(c, (size_t)n);
    return STEP_MOVED;
}

/* Puts what the pipe holds into the source's buffer, before what is there, which is nothing. */
static int take_back(struct copy *c) {
    while (c->pipe.held > 0) {
        char *to = buffer_reserve(&c->from->in, c->pipe.held);
        ssize_t n = to ? splice_take_back(&c->pipe, to, c->pipe.held) : -ENOMEM;
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        buffer_fill(&c->from->in, (size_t)n);
    }
    return 0;
}

static int step(struct copy *c, struct task *t, int *err) {
    static int (*const steps[])(struct copy *, struct task *,
                                int *) = {by_memory, by_sendfile, by_direct_splice, by_splice};
    if (c->left == 0)
        return STEP_END;
    if (c->pipe.held == 0 && buffer_size(&c->from->in) > 0)
        return write_buffered(c, t, err);
    int result = steps[c->means](c, t, err);
    if (result < STEP_FROM_FAILED || c->means == BY_MEMORY || !is_refusal(*err))
        return result;
    c->means = BY_MEMORY; /* the system cannot do it for these two */
    *err = take_back(c);
    return *err < 0 ? STEP_FROM_FAILED : STEP_MOVED;
}

/* ---- the side that is not waited for ---- */

static void other_closed(struct attendant *a) {
    stream_wake_reader(((struct copy *)a)->from);
}

static void attend(struct copy *c, struct task *t, bool reading) {
    const struct io *other = stream_raw(reading ? c->to : c->from);
    if (!other || other->fd < 0)
        return;
    c->attended = *other;
    c->side = reading ? LOOP_WRITE : LOOP_READ;
    loop_attend(&t->kernel->loop, other, c->side, &c->attendant);
}

static void leave(struct copy *c) {
    if (c->attended.fd >= 0 && kernel_current)
        loop_leave(&kernel_current->loop, &c->attended, c->side, &c->attendant);
    c->attended.fd = -1;
}

/* ---- how it ends ---- */

static void stop(struct copy *c) {
    if (!c->pumping)
        return;
    c->pumping = false;
    c->from->reader.task = c->to->writer.task = 0;
    splice_release(&c->pipe);
    splice_end();
    if (c->from->closed)
        buffer_free(&c->from->in);
}

/* The error on top gets what there is to know. */
static void tell(lua_State *L, struct copy *c) {
    take_back(c);
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_pushinteger(L, (lua_Integer)c->done);
    lua_setfield(L, -2, "bytes_copied");
    if (lua_toboolean(L, 4) && buffer_size(&c->from->in)) {
        lua_pushlstring(L, buffer_bytes(&c->from->in), buffer_size(&c->from->in));
        lua_setfield(L, -2, "unsent");
    }
}

static void tell_pending(lua_State *L, struct copy *c) {
    struct task *t = task_pending(L);
    if (!t)
        return;
    task_push_interrupt(L, t);
    tell(L, c);
    lua_pop(L, 1);
}

static int fail(lua_State *L, struct copy *c) {
    tell(L, c);
    stop(c);
    return 2;
}

static int fail_of(lua_State *L, struct copy *c, int err, bool reading) {
    const struct stream *s = reading ? c->from : c->to;
    const char *op = reading ? "read" : "write";
    if (err == -ESHUTDOWN)
        stream_closed(L, s, VERB);
    else
        s->via->failed(s->self, L, err, op);
    return fail(L, c);
}

/* ---- the engine ---- */

static int resumed(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    struct copy *c = box(L);
    struct kernel *k = kernel_current;
    leave(c);
    c->from->reader.task = c->to->writer.task = 0;
    if (k && k->top == L && k->current->wake != WAKE_OK) {
        take_back(c);
        if (task_interrupted(k->current)) {
            task_push_interrupt(L, k->current);
            tell(L, c);
            lua_pop(L, 1);
        }
        stop(c);
    }
    return copy_on(L, task_woken(L), c);
}

static int fall_asleep(lua_State *L, struct task *t, struct copy *c) {
    if (c->pipe.held == 0)
        splice_release(&c->pipe);
    stream_claim(c->from, &c->from->reader, t, false);
    stream_claim(c->to, &c->to->writer, t, false);
    return lua_yieldk(L, 0, 0, resumed);
}

static int wait_for(lua_State *L, struct task *t, struct copy *c, bool reading) {
    struct stream *s = reading ? c->from : c->to;
    int n = s->via->wait(s->self, L, t, reading ? LOOP_READ : LOOP_WRITE);
    if (n != BLOCK_PARKED)
        return fail(L, c);
    attend(c, t, reading);
    return fall_asleep(L, t, c);
}

/* Also by the socket's own method. A standard stream may never have had a descriptor. */
static bool is_closed(const struct stream *s) {
    const struct io *raw = stream_raw(s);
    return s->closed || (raw && raw->fd < 0 && !s->standard);
}

static int copy_on(lua_State *L, struct task *t, struct copy *c) {
    for (;;) {
        int err = 0;
        if (is_closed(c->from) || is_closed(c->to))
            return fail_of(L, c, -ESHUTDOWN, is_closed(c->from));
        size_t before = c->done;
        int result = step(c, t, &err);
        if (result == STEP_END) {
            stop(c);
            lua_pushinteger(L, (lua_Integer)c->done);
            return 1;
        }
        if (result == STEP_WAIT_FROM || result == STEP_WAIT_TO)
            return wait_for(L, t, c, result == STEP_WAIT_FROM);
        if (result != STEP_MOVED)
            return fail_of(L, c, err, result == STEP_FROM_FAILED);
        t->kernel->io_budget -= (int)((c->done - before) / WORTH);
        if (task_spent(t)) {
            task_give_way(t);
            return fall_asleep(L, t, c);
        }
    }
}

/* ---- the box ---- */

static int mm_gc(lua_State *L) {
    struct copy *c = lua_touserdata(L, 1);
    leave(c);
    if (c->pumping) {
        c->pumping = false;
        splice_release(&c->pipe);
        splice_end();
    }
    return 0;
}

static struct copy *push_box(lua_State *L) {
    struct copy *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct copy){.attendant = {other_closed}, .attended = {.fd = -1}, .pipe = {-1, -1, 0}};
    if (luaL_newmetatable(L, NAME)) {
        lua_pushcfunction(L, mm_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return c;
}

/* copy(from, to, n, tells): n: bytes, nil: all; tells: an error takes unsent bytes along */
static int f_copy(lua_State *L) {
    struct stream *from = stream_check(L, 1), *to = stream_check(L, 2);
    lua_Integer n = luaL_optinteger(L, 3, -1);
    luaL_argcheck(L, from->via && to->via, 1, "a stream without a transport");
    lua_settop(L, 4);
    struct copy *c = push_box(L);
    lua_replace(L, 3);
    c->from = from;
    c->to = to;
    tell_pending(L, c);
    struct task *t = task_enter(L, VERB);
    stream_may_claim(L, t, from, &from->reader, VERB);
    stream_may_claim(L, t, to, &to->writer, VERB);
    c->left = n < 0 ? SIZE_MAX : (size_t)n;
    c->means = choose(c);
    c->pumping = true;
    splice_begin();
    if (task_spent(t)) {
        task_give_way(t);
        return fall_asleep(L, t, c);
    }
    return copy_on(L, t, c);
}

/* copies(from, to): can it be done here? */
static int f_copies(lua_State *L) {
    const struct stream *from = stream_test(L, 1), *to = stream_test(L, 2);
    lua_pushboolean(L, from && to && from->via && to->via);
    return 1;
}

/* put_back(stream, bytes): puts bytes that were read before what is in the buffer */
static int f_put_back(lua_State *L) {
    struct stream *s = stream_check(L, 1);
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    if (buffer_prepend(&s->in, bytes, n) < 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

static const luaL_Reg functions[] = {
    {"copy", f_copy}, {"copies", f_copies}, {"put_back", f_put_back}, {NULL, NULL}};

void stream_add_copying(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
