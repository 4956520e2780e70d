/*
 * threadlib.c - jobs as tasks and plain code see them: core.thread, and the objects of threadlib.h.
 *
 * A ticket on its way to the kernel cannot be taken back, only forgotten; then it is freed when it
 * arrives. The talk with a running job (AWAIT) is in awaitlib.c.
 */
#include <errno.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "clock.h"
#include "interrupt.h"
#include "lib.h"
#include "standinlib.h"
#include "threadlib.h"

#define JOB "curio.job"
#define GATE "curio.gate"

static char gate_key; /* registry: the gate box of this state */

/* ---- what a state has for its jobs ---- */

struct gatebox {
    struct gate *gate;
    struct state_paths *paths;
};

static int gate_gc(lua_State *L) {
    struct gatebox *g = lua_touserdata(L, 1);
    if (g->gate)
        gate_unref(g->gate);
    state_paths_unref(g->paths);
    g->gate = NULL;
    g->paths = NULL;
    return 0;
}

/* [-0, +1, m] */
static struct gatebox *push_gatebox(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &gate_key) == LUA_TUSERDATA)
        return lua_touserdata(L, -1);
    lua_pop(L, 1);
    struct gatebox *g = lua_newuserdatauv(L, sizeof *g, 3);
    memset(g, 0, sizeof *g);
    if (luaL_newmetatable(L, GATE)) {
        lua_pushcfunction(L, gate_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    g->gate = gate_new();
    if (!g->gate)
        luaL_error(L, "not enough memory");
    luajob_prepare();
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_LOADLIBNAME);
    lua_setiuservalue(L, -3, 3);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &gate_key);
    return g;
}

/* Is the package's field the string that the box remembers as its user value? Remembers it. */
static bool unchanged(lua_State *L, int box, int package, const char *name, int uv) {
    lua_getfield(L, package, name);
    lua_getiuservalue(L, box, uv);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    lua_setiuservalue(L, box, uv);
    return same;
}

/* The gate box of this state, which stays alive, with package.path and cpath as they are now.
   [-0, +0, m] */
static struct gatebox *gatebox(lua_State *L) {
    luaL_checkstack(L, 6, "thread");
    struct gatebox *g = push_gatebox(L);
    int box = lua_gettop(L);
    lua_getiuservalue(L, box, 3);
    bool path = unchanged(L, box, box + 1, "path", 1);
    bool cpath = unchanged(L, box, box + 1, "cpath", 2);
    if (!g->paths || !path || !cpath) {
        state_paths_unref(g->paths);
        g->paths = NULL;
        g->paths = state_paths_of(L);
        if (!g->paths)
            luaL_error(L, "not enough memory");
    }
    lua_settop(L, box - 1);
    return g;
}

/* Idle threads are kept until the kernel ends. */
static void hold_threads(struct kernel *k) {
    if (!k->holds_threads)
        thread_hold();
    k->holds_threads = true;
}

/* ---- job objects ---- */

struct ticket {
    struct listener listener;
    struct wake_node node;
    struct wake *wake;
    struct task *task;  /* who sleeps; NULL: nobody any more. The kernel's thread only */
    struct jobbox *box; /* likewise */
    bool lost;          /* the kernel has ended; under thread_lock */
};

static void forget_ticket(struct jobbox *b) {
    struct ticket *ticket = b->ticket;
    b->ticket = NULL;
    if (thread_unlisten(&ticket->listener) || ticket->lost) {
        wake_unref(ticket->wake);
        free(ticket);
        return;
    }
    ticket->task = NULL;
    ticket->box = NULL;
}

/* Gives up the job; with `stop` it is told to end. */
static void give_up(lua_State *L, struct jobbox *b, bool stop) {
    struct luajob *j = b->j;
    b->j = NULL;
    if (!j)
        return;
    if (j->async)
        standin_forget(L, j);
    if (j->job.state == THREAD_JOB_NEW)
        luajob_free(j);
    else if (stop)
        luajob_desert(j);
    else
        thread_job_unref(&j->job);
}

/* What nobody waits for, or its coroutine is garbage, perhaps with its kernel. */
static int job_gc(lua_State *L) {
    struct jobbox *b = lua_touserdata(L, 1);
    if (b->ticket)
        forget_ticket(b);
    give_up(L, b, b->sole || (b->j && b->j->async));
    return 0;
}

/* [-0, +1, m] */
static struct jobbox *push_box(lua_State *L, bool sole) {
    struct jobbox *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct jobbox){.sole = sole};
    luaL_setmetatable(L, JOB);
    return b;
}

struct jobbox *jobbox_any(lua_State *L) {
    return luaL_checkudata(L, 1, JOB);
}

struct jobbox *jobbox_check(lua_State *L) {
    struct jobbox *b = jobbox_any(L);
    if (!b->j)
        luaL_error(L, "the job has been given up");
    return b;
}

/* ---- sleeping on a job ---- */

/* In its kernel's thread. */
static void arrived(struct wake_node *node) {
    struct ticket *ticket = container_of(node, struct ticket, node);
    struct task *t = ticket->task;
    if (ticket->box)
        ticket->box->ticket = NULL;
    wake_unref(ticket->wake);
    free(ticket);
    if (t)
        task_wake(t, WAKE_OK);
}

/* Afterwards the ticket may be gone. */
static void notify(struct listener *l) {
    struct ticket *ticket = container_of(l, struct ticket, listener);
    struct wake *wake = ticket->wake;
    wake_ref(wake);
    if (!wake_post(wake, &ticket->node))
        ticket->lost = true;
    wake_unref(wake);
}

static void undo(struct task *t) {
    struct jobbox *b = t->on;
    t->kernel->external--;
    if (!b->ticket)
        return;
    forget_ticket(b);
    if (b->sole) {
        luajob_desert(b->j);
        b->j = NULL;
    }
}

static struct ticket *ticket_new(struct jobbox *b, struct task *t) {
    struct ticket *ticket = calloc(1, sizeof *ticket);
    if (!ticket)
        return NULL;
    ticket->listener.notify = notify;
    ticket->node.run = arrived;
    wake_ref(t->kernel->wake);
    ticket->wake = t->kernel->wake;
    ticket->task = t;
    ticket->box = b;
    return ticket;
}

static bool ended(const struct luajob *j) {
    return j->job.state == THREAD_JOB_ENDED;
}

bool jobbox_sleep(lua_State *L, struct task *t, struct jobbox *b, happened_fn *happened,
                  const char *state) {
    struct ticket *ticket = ticket_new(b, t);
    if (!ticket)
        luaL_error(L, "not enough memory");
    thread_lock();
    bool now = happened(b->j);
    if (!now)
        list_add_tail(&b->j->job.listeners, &ticket->listener.link);
    thread_unlock();
    if (now) {
        wake_unref(ticket->wake);
        free(ticket);
        return false;
    }
    b->ticket = ticket;
    t->kernel->external++;
    task_sleep(t, state, undo, b, CLOCK_NEVER);
    return true;
}

/* Plain code waits with its thread. */
static void unpark(struct listener *l);

struct parked {
    struct listener listener;
    struct thread *thread;
};

static void unpark(struct listener *l) {
    thread_unpark(container_of(l, struct parked, listener)->thread);
}

/* True: it has ended; false: the time is up. */
static bool park_on(lua_State *L, struct luajob *j, int64_t deadline) {
    struct parked p = {.listener = {.notify = unpark}, .thread = thread_self()};
    if (!p.thread)
        luaL_error(L, "not enough memory");
    list_init(&p.listener.link);
    int err = 0;
    while (!err && thread_listen(&j->job, &p.listener)) {
        err = thread_park(deadline);
        thread_unlisten(&p.listener);
        if (err == -EINTR) {
            interrupt_raise(L);
            err = 0;
        }
    }
    return !err;
}

/* ---- making and starting ---- */

/* Makes a job of [fn, args..., locals], the values from idx on. [-0, +0, v] */
static void make(lua_State *L, int idx, struct jobbox *b, bool async) {
    struct gatebox *g = gatebox(L);
    struct luajob *j = b->j = luajob_new(g->paths);
    if (!j) {
        luaL_error(L, "not enough memory");
        return;
    }
    j->async = async;
    copy_out(L, idx, lua_gettop(L) - idx + 1, standin_owners_how(j, "fn", "args"), &j->in);
}

static int start(struct jobbox *b, struct gate *gate, int limit) {
    if (kernel_current)
        hold_threads(kernel_current);
    return thread_start(&b->j->job, gate, limit);
}

/* ---- outcomes ---- */

/* Pushes true and results, or false, error, traceback; how many. [-0, +n, v] */
static int push_outcome(lua_State *L, struct luajob *j) {
    if (!j->job.refused && !j->failure[0])
        return copy_in(L, &j->out, standin_owners_how(j, NULL, NULL));
    lua_pushboolean(L, 0);
    if (j->job.refused == -ECANCELED)
        error_new(L, "TaskCancelled", "cancelled before it began");
    else if (j->job.refused)
        error_os(L, -j->job.refused, "start a thread", NULL);
    else
        error_new(L, "CurioError", "%s", j->failure);
    lua_pushnil(L);
    return 3;
}

/* [..., error, traceback or nil] -> [..., error]: what is raised where the outcome is wanted. The
   thread's own cancellation is none of the waiting task. */
static void finish_error(lua_State *L) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_replace(L, -3);
    }
    lua_pop(L, 1);
    if (!error_is(L, -1, "CancelledError"))
        return;
    error_new(L, "TaskError", "the function was cancelled: %s", error_text(L, -1));
    lua_remove(L, -2); /* the text */
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "cause");
    lua_getfield(L, -2, "traceback");
    lua_setfield(L, -2, "traceback");
    lua_remove(L, -2);
}

/* ---- run(limit, locals, fn, ...): blocks ---- */

static int run_attempt(lua_State *L, struct task *t) {
    struct jobbox *b = lua_touserdata(L, 1);
    if (!thread_job_ended(&b->j->job) && jobbox_sleep(L, t, b, ended, "THREAD_WAIT"))
        return BLOCK_PARKED;
    int n = push_outcome(L, b->j);
    bool ok = lua_toboolean(L, -n);
    if (!ok)
        finish_error(L);
    give_up(L, b, false);
    return ok ? n - 1 : lua_error(L);
}

static const struct verb run_verb = {"run_in_thread", run_attempt, NULL};

static const char *const no_options[] = {NULL};

static int f_run(lua_State *L) {
    struct task *t = task_enter(L, "run_in_thread");
    int limit = (int)luaL_checkinteger(L, 1);
    args_call(L, 3, "run_in_thread", no_options, 0);
    lua_remove(L, 3); /* options: there are none */
    lua_rotate(L, 2, -1);
    struct jobbox *b = push_box(L, true);
    lua_replace(L, 1);
    make(L, 2, b, false);
    int err = start(b, push_gatebox(L)->gate, limit);
    if (err < 0) {
        copy_undo(&b->j->in);
        return error_os_return(L, -err, "run_in_thread", NULL);
    }
    lua_settop(L, 1);
    return block_now(L, t, &run_verb);
}

/* ---- make(async, locals, fn, ...): a job object; it is not started yet ---- */

static int f_make(lua_State *L) {
    bool async = lua_toboolean(L, 1);
    lua_rotate(L, 2, -1);
    struct jobbox *b = push_box(L, false);
    lua_replace(L, 1);
    make(L, 2, b, async);
    lua_settop(L, 1);
    return 1;
}

/* ---- methods ---- */

static int wait_attempt(lua_State *L, struct task *t) {
    struct jobbox *b = lua_touserdata(L, 2);
    if (!thread_job_ended(&b->j->job) && jobbox_sleep(L, t, b, ended, "THREAD_JOIN"))
        return BLOCK_PARKED;
    give_up(L, b, false);
    return 0;
}

static const struct verb wait_verb = {"thread:join", wait_attempt, NULL};

/* job:start(verb): true, or nil and an error */
static int m_start(lua_State *L) {
    struct jobbox *b = jobbox_check(L);
    const char *verb = luaL_checkstring(L, 2);
    luaL_argcheck(L, b->j->job.state == THREAD_JOB_NEW, 1, "has been started");
    int err = start(b, NULL, 0);
    if (err < 0)
        return error_os_return(L, -err, verb, NULL);
    lua_pushboolean(L, 1);
    return 1;
}

/* job:wait(): until it has ended; blocks, or without a kernel blocks the thread. Several may. */
static int m_wait(lua_State *L) {
    struct jobbox *b = jobbox_check(L);
    lua_settop(L, 1);
    if (!kernel_current) {
        park_on(L, b->j, CLOCK_NEVER);
        return 0;
    }
    struct jobbox *own = push_box(L, false);
    thread_job_ref(&b->j->job);
    own->j = b->j;
    return block_run(L, &wait_verb);
}

/* job:ended() */
static int m_ended(lua_State *L) {
    struct jobbox *b = jobbox_check(L);
    lua_pushboolean(L, thread_job_ended(&b->j->job));
    return 1;
}

/* job:outcome(): of one that has ended: true and results, or false, error, traceback */
static int m_outcome(lua_State *L) {
    struct jobbox *b = jobbox_check(L);
    if (!thread_job_ended(&b->j->job))
        return luaL_error(L, "the thread has not ended");
    return push_outcome(L, b->j);
}

/* job:interrupt(): tells it to end */
static int m_interrupt(lua_State *L) {
    thread_interrupt(&jobbox_check(L)->j->job);
    return 0;
}

/* job:desert(): the same, and nobody will ask again */
static int m_desert(lua_State *L) {
    struct jobbox *b = luaL_checkudata(L, 1, JOB);
    give_up(L, b, true);
    return 0;
}

/* raise(error, traceback or nil): as from a thread */
static int f_raise(lua_State *L) {
    lua_settop(L, 2);
    finish_error(L);
    return lua_error(L);
}

/* counts(): threads of the crew in this process, and those with a job that goes on */
static int f_counts(lua_State *L) {
    int threads, busy;
    thread_counts(&threads, &busy);
    lua_pushinteger(L, threads);
    lua_pushinteger(L, busy);
    return 2;
}

static const luaL_Reg methods[] = {{"wait", m_wait},
                                   {"ended", m_ended},
                                   {"outcome", m_outcome},
                                   {"interrupt", m_interrupt},
                                   {"desert", m_desert},
                                   {"start", m_start},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"run", f_run}, {"make", f_make}, {"counts", f_counts}, {"raise", f_raise}, {NULL, NULL}};

int open_threadlib(lua_State *L) {
    luaL_newmetatable(L, JOB);
    lua_pushcfunction(L, job_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    awaitlib_methods(L);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    awaitlib_functions(L);
    return 1;
}
