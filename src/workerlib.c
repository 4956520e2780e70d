/*
 * workerlib.c - both ends of the socket between a kernel and a worker process: core.worker.
 *
 * The kernel's end is a verb: it sends a frame, then receives one, and sleeps where it must. The
 * worker's end simply blocks. The socket must have a descriptor of its own in the worker, none of
 * the standard three, so that nothing that is printed gets in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#include <sys/prctl.h>
#endif

#include "block.h"
#include "copylib.h"
#include "frame.h"
#include "lib.h"
#include "socketlib.h"

#define EXCHANGE "curio.exchange"

static const struct copy_how args_how = {.root = "args", .first = "fn", .flags = COPY_REMOTE};
static const struct copy_how results_how = {.root = "results", .first = "ok", .flags = COPY_REMOTE};

/* ---- a frame each way ---- */

struct exchange {
    struct message message;
    struct frame_out out;
    struct frame_in in;
    bool sent;
};

static int exchange_gc(lua_State *L) {
    struct exchange *e = lua_touserdata(L, 1);
    message_drop(&e->message);
    frame_in_term(&e->in);
    return 0;
}

/* [-0, +1, m] */
static struct exchange *push_exchange(lua_State *L) {
    struct exchange *e = lua_newuserdatauv(L, sizeof *e, 0);
    memset(e, 0, sizeof *e);
    message_init(&e->message);
    frame_in_init(&e->in);
    if (luaL_newmetatable(L, EXCHANGE)) {
        lua_pushcfunction(L, exchange_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return e;
}

/* [values... from idx on] */
static void pack(lua_State *L, int idx, int n, struct exchange *e, const struct copy_how *how) {
    copy_out(L, idx, n, how, &e->message);
    if (frame_out_init(&e->out, &e->message) < 0) {
        copy_undo(&e->message);
        luaL_error(L, "%s: more than %d sockets in one message", how->root, FRAME_FDS);
    }
}

/* ---- the kernel's end: exchange(out, in, message) -> true, results | false, error, traceback |
   nil, error | `unsent`: the worker is dead and never got the message; blocks ----

   Two sockets, as whoever polls a Unix socket that he writes to is woken each time the other side
   has read. */

static char unsent;

static int failed(lua_State *L, int err, const char *op) {
    if (err == -EPIPE || err == -ECONNRESET)
        return error_closed_return(L, op, "worker");
    return error_os_return(L, -err, op, NULL);
}

static int attempt(lua_State *L, struct task *t) {
    struct sock *to = socket_check(L, 1), *s = socket_check(L, 2);
    struct exchange *e = lua_touserdata(L, 3);
    if (to->io.fd < 0 || s->io.fd < 0)
        return error_closed_return(L, "run_in_process", "worker");
    if (!e->sent) {
        int err = frame_send(to->io.fd, &e->out);
        if (err == -EAGAIN)
            return block_again(L, t, &to->io, LOOP_WRITE);
        if (err < 0 && e->out.sent == 0) {
            lua_pushlightuserdata(L, &unsent);
            return 1;
        }
        if (err < 0)
            return failed(L, err, "run_in_process");
        e->sent = true;
        message_drop(&e->message);
    }
    if (!loop_ready(&t->kernel->loop, &s->io, LOOP_READ))
        return block_wait(L, t, &s->io, LOOP_READ);
    int err = frame_recv(s->io.fd, &e->in);
    if (err == -EAGAIN)
        return block_again(L, t, &s->io, LOOP_READ);
    if (err < 0)
        return failed(L, err, "run_in_process");
    loop_drained(&t->kernel->loop, &s->io, LOOP_READ);
    int n = copy_in(L, &e->in.message, &results_how);
    frame_in_term(&e->in);
    return n;
}

static const struct verb exchange_verb = {"run_in_process", attempt, NULL};

static int f_exchange(lua_State *L) {
    socket_check(L, 1);
    socket_check(L, 2);
    luaL_checkudata(L, 3, EXCHANGE);
    lua_settop(L, 3);
    return block_run(L, &exchange_verb);
}

/* pack(fn, args...): what exchange sends */
static int f_pack(lua_State *L) {
    int n = lua_gettop(L);
    struct exchange *e = push_exchange(L);
    pack(L, 1, n, e, &args_how);
    return 1;
}

/* ---- the worker's end ---- */

/* prepare(in, out): the worker leaves SIGINT to its parent, and does not outlive it */
static int f_prepare(lua_State *L) {
    for (int i = 1; i <= 2; i++) {
        int fd = (int)luaL_checkinteger(L, i);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
    signal(SIGINT, SIG_IGN);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    return 0;
}

/* receive(fd): the values of the next message; nothing when there will be no more */
static int f_receive(lua_State *L) {
    int fd = (int)luaL_checkinteger(L, 1);
    lua_settop(L, 1);
    struct exchange *e = push_exchange(L);
    int err = frame_recv(fd, &e->in);
    if (err < 0)
        return err == -EPIPE || err == -ECONNRESET ? 0 : luaL_error(L, "%s", strerror(-err));
    int n = copy_in(L, &e->in.message, &args_how);
    frame_in_term(&e->in);
    return n;
}

/* reply(fd, ok, ...): raises what cannot be sent */
static int f_reply(lua_State *L) {
    int fd = (int)luaL_checkinteger(L, 1);
    int n = lua_gettop(L) - 1;
    struct exchange *e = push_exchange(L);
    pack(L, 2, n, e, &results_how);
    int err = frame_send(fd, &e->out);
    message_drop(&e->message);
    return err < 0 ? luaL_error(L, "%s", strerror(-err)) : 0;
}

/* cores(): processors that this process may use */
static int f_cores(lua_State *L) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
#endif
    lua_pushinteger(L, n > 0 ? n : 1);
    return 1;
}

/* program(): the file of the program that runs; nil where the system does not tell */
static int f_program(lua_State *L) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    if (n <= 0)
        return 0;
    lua_pushlstring(L, path, (size_t)n);
    return 1;
}

static const luaL_Reg functions[] = {
    {"program", f_program}, {"exchange", f_exchange}, {"pack", f_pack},   {"prepare", f_prepare},
    {"receive", f_receive}, {"reply", f_reply},       {"cores", f_cores}, {NULL, NULL}};

int open_workerlib(lua_State *L) {
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, &unsent);
    lua_setfield(L, -2, "unsent");
    return 1;
}
