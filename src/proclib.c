/*
 * proclib.c - "curio.process": a child that was started, its ends of the pipes, its end.
 *
 * The object is made first and the child started into it. One task at a time watches the pidfd;
 * others that wait for the same child stand in a list, and whoever stops watching, for whatever
 * reason, wakes the first of them to take its place. Without pidfds all stand in the list and
 * SIGCHLD makes the kernel look. A child whose object is collected is disowned, not forgotten.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block.h"
#include "clock.h"
#include "lib.h"
#include "proc.h"
#include "proclib.h"
#include "sig.h"
#include "sigtake.h"
#include "waitlist.h"

#define NAME "curio.process"

struct process {
    struct io io; /* the pidfd; -1: none, or the child has been reaped */
    pid_t pid;    /* 0: none was started */
    pid_t owner;  /* whose child it is */
    int status;   /* once ended, unless err */
    int err;      /* instead of a status: ECHILD */
    bool ended;
    int ends[3]; /* ours of the pipes; -1: none, or handed on */
    struct task *watcher;
    struct waitlist sleepers;
    struct sig_waiter waiter; /* without a pidfd */
    struct sigtaker child_signal;
};

static struct process *check(lua_State *L) {
    return luaL_checkudata(L, 1, NAME);
}

/* ---- its end ---- */

static void wake_sleepers(struct process *p) {
    struct task *t;
    while ((t = waitlist_first(&p->sleepers)) != NULL)
        task_wake(t, WAKE_OK);
}

static void release_pidfd(struct process *p, bool closing) {
    int fd = p->io.fd;
    p->io.fd = -1;
    if (fd >= 0)
        block_release(fd, closing);
    if (fd >= 0 && closing)
        close(fd);
}

static bool reap(struct process *p) {
    if (p->ended)
        return true;
    struct proc child = {p->pid, p->io.fd};
    int got = proc_reap(&child, &p->status);
    if (got == 0)
        return false;
    p->err = got < 0 ? -got : 0;
    p->ended = true;
    release_pidfd(p, true);
    sigtake_leave(&p->child_signal);
    wake_sleepers(p);
    return true;
}

static int push_end(lua_State *L, const struct process *p) {
    if (p->err) {
        lua_pushnil(L);
        error_os(L, p->err, "wait", lua_pushfstring(L, "process %d", (int)p->pid));
        return 2;
    }
    lua_pushinteger(L, p->status);
    return 1;
}

/* ---- waiting ---- */

static void stop_watching(struct task *t) {
    struct process *p = t->on;
    p->watcher = NULL;
    if (p->io.fd >= 0)
        loop_forget(&t->kernel->loop, p->io.fd, LOOP_READ);
    struct task *next = waitlist_first(&p->sleepers);
    if (next)
        task_wake(next, WAKE_OK);
}

static void look(struct sig_waiter *w) {
    reap(container_of(w, struct process, waiter));
}

static void leave_sleepers(struct task *t) {
    struct process *p = t->on;
    list_del(&t->link);
    t->kernel->external--;
    if (!--p->sleepers.count)
        list_del(&p->waiter.link);
}

static int await_signal(lua_State *L, struct task *t, struct process *p) {
    int err = 0;
    if (!p->child_signal.signo)
        err = sigtake_enter(&p->child_signal, SIGCHLD, SIGTAKE_COUNT, NULL);
    if (!err && !p->sleepers.count)
        err = sig_wait(t->kernel, &p->waiter);
    if (err < 0)
        return error_os_return(L, -err, "wait", NULL);
    list_add_tail(&p->sleepers.sleepers, &t->link);
    p->sleepers.count++;
    t->kernel->external++;
    task_sleep(t, "PROCESS_WAIT", leave_sleepers, p, CLOCK_NEVER);
    reap(p); /* what has ended before we listened */
    return BLOCK_PARKED;
}

static int watch(lua_State *L, struct task *t, struct process *p) {
    int err = loop_wait(&t->kernel->loop, &p->io, LOOP_READ, t);
    if (err > 0) /* a system whose poller knows no pidfds */
        return await_signal(L, t, p);
    if (err < 0)
        return error_os_return(L, -err, "wait", NULL);
    p->watcher = t;
    task_sleep(t, "PROCESS_WAIT", stop_watching, p, CLOCK_NEVER);
    return BLOCK_PARKED;
}

static int wait_attempt(lua_State *L, struct task *t) {
    struct process *p = lua_touserdata(L, 1);
    if (reap(p))
        return push_end(L, p);
    if (p->io.fd < 0)
        return await_signal(L, t, p);
    if (!p->watcher)
        return watch(L, t, p);
    waitlist_sleep(&p->sleepers, t, "PROCESS_WAIT");
    return BLOCK_PARKED;
}

static const struct verb wait_verb = {"process:wait", wait_attempt, NULL};

/* wait(): its exit status, or minus the signal that ended it; blocks */
static int m_wait(lua_State *L) {
    check(L);
    lua_settop(L, 1);
    return block_run(L, &wait_verb);
}

/* poll(): the same if it has ended, else nil */
static int m_poll(lua_State *L) {
    struct process *p = check(L);
    return reap(p) ? push_end(L, p) : 0;
}

/* returncode(): the same if that is known already */
static int m_returncode(lua_State *L) {
    const struct process *p = check(L);
    if (!p->ended || p->err)
        return 0;
    lua_pushinteger(L, p->status);
    return 1;
}

/* signal(signo, group): true, or false if it has ended */
static int m_signal(lua_State *L) {
    struct process *p = check(L);
    int signo = (int)luaL_checkinteger(L, 2);
    bool group = lua_toboolean(L, 3);
    bool ended = reap(p);
    struct proc child = {p->pid, p->io.fd};
    int err = ended && !group ? -ESRCH : proc_signal(&child, signo, group);
    if (err < 0 && err != -ESRCH)
        return error_os_return(L, -err, "kill", lua_pushfstring(L, "process %d", (int)p->pid));
    lua_pushboolean(L, err == 0);
    return 1;
}

static int m_pid(lua_State *L) {
    lua_pushinteger(L, check(L)->pid);
    return 1;
}

/* ---- pipes ---- */

static int check_end(lua_State *L, const struct process *p) {
    lua_Integer i = luaL_checkinteger(L, 2);
    luaL_argcheck(L, i >= 0 && i < 3 && p->ends[i] >= 0, 2, "no such pipe");
    return (int)i;
}

/* pipe(i): our end of the pipe to its descriptor i; still the object's */
static int m_pipe(lua_State *L) {
    const struct process *p = check(L);
    lua_pushinteger(L, p->ends[check_end(L, p)]);
    return 1;
}

/* handed(i): now it is somebody else's */
static int m_handed(lua_State *L) {
    struct process *p = check(L);
    p->ends[check_end(L, p)] = -1;
    return 0;
}

static void close_ends(struct process *p) {
    for (int i = 0; i < 3; i++) {
        if (p->ends[i] >= 0)
            close(p->ends[i]);
        p->ends[i] = -1;
    }
}

static int mm_gc(lua_State *L) {
    struct process *p = check(L);
    close_ends(p);
    sigtake_leave(&p->child_signal);
    if (!p->pid || p->ended)
        return 0;
    struct proc child = {p->pid, p->io.fd};
    bool ours = p->owner == getpid();
    release_pidfd(p, !ours);
    p->ended = true;
    p->err = ECHILD;
    if (ours)
        proc_disown(&child);
    return 0;
}

/* ---- starting: start(args, options, stdio) ---- */

enum { ARGS = 1, OPTIONS, STDIO, PROCESS };

/* Objects become their descriptors; false when one is closed. */
static bool resolve_stdio(lua_State *L) {
    for (int i = 1; i <= 3; i++) {
        int type = lua_rawgeti(L, STDIO, i);
        if (type != LUA_TNUMBER && type != LUA_TSTRING && lua_toboolean(L, -1)) {
            const luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
            int fd = args_to_fileno(L, lua_gettop(L));
            if (fd < 0)
                return false;
            if (file)
                fflush(file->f); /* what we have written comes before what the child writes */
            lua_pushinteger(L, fd);
            lua_rawseti(L, STDIO, i);
        }
        lua_pop(L, 1);
    }
    return true;
}

/* The child's end of what stdio[i] says; -1 with *err 0: as the parent has it. Ours goes into the
   object, the child's own into `opened`. */
static int child_end(lua_State *L, struct process *p, int i, int opened[3], int *err) {
    int type = lua_rawgeti(L, STDIO, i + 1);
    const char *what = type == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    int fd = type == LUA_TNUMBER ? (int)lua_tointeger(L, -1) : -1;
    lua_pop(L, 1);
    if (!what || !strcmp(what, "stdout"))
        return fd;
    if (!strcmp(what, "null")) {
        opened[i] = open("/dev/null", i ? O_WRONLY | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
        *err = opened[i] < 0 ? errno : 0;
        return opened[i];
    }
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        *err = errno;
        return -1;
    }
    p->ends[i] = fds[i == 0];
    opened[i] = fds[i != 0];
    return opened[i];
}

static int open_stdio(lua_State *L, struct process *p, struct proc_order *o, int opened[3]) {
    int err = 0;
    for (int i = 0; i < 3 && !err; i++)
        o->stdio[i] = child_end(L, p, i, opened, &err);
    lua_rawgeti(L, STDIO, 3);
    const char *what = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (!err && !strcmp(what, "stdout"))
        o->stdio[2] = o->stdio[1] >= 0 ? o->stdio[1] : 1;
    lua_pop(L, 1);
    return err;
}

static const char *const steps[] = {
    [PROC_FORK] = "fork",       [PROC_SESSION] = "setsid",    [PROC_STDIO] = "dup2",
    [PROC_PASS] = "pass_fds",   [PROC_TERMINAL] = "terminal", [PROC_LIMIT] = "setrlimit",
    [PROC_GROUP] = "setgroups", [PROC_USER] = "setuid",       [PROC_CWD] = "chdir",
    [PROC_EXEC] = "exec",
};

static void fill(struct process *p, const struct proc *child) {
    p->pid = child->pid;
    p->owner = getpid();
    p->ended = false;
    if (child->pidfd >= 0)
        p->io = (struct io){.fd = child->pidfd, .gen = loop_generation()};
}

/* A negative errno with what failed, or 0. Raises nothing, so that all it opens is closed. */
static int start(lua_State *L, struct process *p, struct proc_order *o, const char **op) {
    int opened[3] = {-1, -1, -1};
    enum proc_step step;
    struct proc child;
    *op = "pipe";
    int err = -open_stdio(L, p, o, opened);
    if (!err) {
        err = proc_start(o, &child, &step);
        *op = steps[step];
    }
    if (!err)
        fill(p, &child);
    for (int i = 0; i < 3; i++)
        if (opened[i] >= 0)
            close(opened[i]);
    return err;
}

static struct process *push_box(lua_State *L) {
    struct process *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (struct process){.io = {.fd = -1}, .ended = true, .ends = {-1, -1, -1}};
    waitlist_init(&p->sleepers);
    list_init(&p->waiter.link);
    p->waiter.look = look;
    luaL_setmetatable(L, NAME);
    return p;
}

/* start(args, options, stdio): the strings `args`; options env (strings), path, cwd, umask,
   session, terminal (which one it is), uid, gid, groups, pass_fds (ascending), limits; stdio three
   times a descriptor or what has one, "pipe", "null", or false: as we have it; the third may be
   "stdout". The object, or nil and an OSError. */
static int f_start(lua_State *L) {
    struct proc_order order = {0};
    lua_settop(L, STDIO);
    if (!resolve_stdio(L))
        return error_closed_return(L, "start", "stream given to the child");
    struct process *p = push_box(L);
    proc_read_order(L, ARGS, OPTIONS, &order);
    lua_getfield(L, OPTIONS, "path");
    char **files = proc_files(order.argv[0], lua_tostring(L, -1));
    if (!files)
        return error_os_return(L, ENOMEM, "exec", order.argv[0]);
    order.files = files;
    const char *op;
    int err = start(L, p, &order, &op);
    free(files);
    if (err) {
        close_ends(p);
        bool there = op != steps[PROC_CWD];
        return error_os_return(L, -err, op, there ? order.argv[0] : order.cwd);
    }
    lua_pushvalue(L, PROCESS);
    return 1;
}

/* fileno(value): the descriptor of what has one; nil if it is closed */
static int f_fileno(lua_State *L) {
    luaL_checkany(L, 1);
    int fd = args_to_fileno(L, 1);
    if (fd < 0)
        return 0;
    lua_pushinteger(L, fd);
    return 1;
}

/* pretend_old(yes): for specs */
static int f_pretend_old(lua_State *L) {
    proc_pretend_old(lua_toboolean(L, 1));
    return 0;
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {
    {"wait", m_wait}, {"poll", m_poll}, {"returncode", m_returncode}, {"signal", m_signal},
    {"pid", m_pid},   {"pipe", m_pipe}, {"handed", m_handed},         {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"start", f_start}, {"fileno", f_fileno}, {"pretend_old", f_pretend_old}, {NULL, NULL}};

int open_proclib(lua_State *L) {
    luaL_newmetatable(L, NAME);
    lua_pushcfunction(L, mm_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
