/*
 * joblib.c - the thread's side of joblib.h: its state, the call, what came of it.
 *
 * The state is made at a thread's first job and stays with it. In it a job is one protected call;
 * whatever goes wrong there, memory included, ends in `out` or in `failure`.
 */
#include "joblib.h"

#include <stdio.h>
#include <stdlib.h>

#include "interrupt.h"
#include "kernel.h"
#include "lib.h"
#include "standinlib.h"

#define TIRED 4096 /* KiB that a state may grow by before it is collected as it becomes idle */

/* What a thread keeps. */
struct quarters {
    lua_State *L;
    struct state_paths *paths; /* in force in L */
    int floor;                 /* KiB in use after the last collection */
    bool located;              /* L has task-locals */
};

static char traceback_key; /* registry: of the error that is on its way */

static __thread struct luajob *current __attribute__((tls_model("initial-exec")));

struct luajob *luajob_current(void) {
    return current;
}

/* ---- making and freeing ---- */

void luajob_free(struct luajob *j) {
    message_drop(&j->in);
    message_drop(&j->out);
    message_drop(&j->request);
    message_drop(&j->answer);
    state_paths_unref(j->paths);
    free(j);
}

static void drop(struct thread_job *job) {
    luajob_free((struct luajob *)job);
}

static void work(struct thread_job *job, struct thread *t);

struct luajob *luajob_new(struct state_paths *paths) {
    static atomic_ullong serial;
    struct luajob *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->serial = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed) + 1;
    j->job.work = work;
    j->job.drop = drop;
    message_init(&j->in);
    message_init(&j->out);
    message_init(&j->request);
    message_init(&j->answer);
    state_paths_ref(paths);
    j->paths = paths;
    return j;
}

void luajob_desert(struct luajob *j) {
    thread_lock();
    j->deserted = true;
    if (j->asker)
        thread_unpark(j->asker);
    thread_unlock();
    thread_interrupt(&j->job);
    thread_job_unref(&j->job);
}

/* ---- the thread's state ---- */

static void leave(void *kept) {
    struct quarters *q = kept;
    state_close(q->L);
    state_paths_unref(q->paths);
    free(q);
}

static bool tired(void *kept) {
    struct quarters *q = kept;
    return lua_gc(q->L, LUA_GCCOUNT) > q->floor + TIRED;
}

static void rest(void *kept) {
    struct quarters *q = kept;
    lua_gc(q->L, LUA_GCCOLLECT);
    q->floor = lua_gc(q->L, LUA_GCCOUNT);
}

static const struct thread_keeper keeper = {leave, tired, rest};

void luajob_prepare(void) {
    thread_set_keeper(&keeper);
    interrupt_prepare();
}

static int use_paths(lua_State *L) {
    state_use_paths(L, lua_touserdata(L, 1));
    return 0;
}

static void follow_paths(struct quarters *q, struct luajob *j) {
    if (q->paths == j->paths)
        return;
    lua_pushcfunction(q->L, use_paths);
    lua_pushlightuserdata(q->L, j->paths);
    if (lua_pcall(q->L, 1, 0, 0) != LUA_OK) {
        lua_pop(q->L, 1); /* no memory: the job will notice */
        return;
    }
    state_paths_unref(q->paths);
    state_paths_ref(j->paths);
    q->paths = j->paths;
}

/* NULL: the job's failure says why. */
static struct quarters *move_in(struct luajob *j) {
    char why[100];
    struct quarters *q = calloc(1, sizeof *q);
    lua_State *L = q ? state_open(j->paths, why, sizeof why) : NULL;
    if (!L) {
        snprintf(j->failure, sizeof j->failure, "cannot make a Lua state for a thread: %s",
                 q ? why : "not enough memory");
        free(q);
        return NULL;
    }
    q->L = L;
    state_paths_ref(j->paths);
    q->paths = j->paths;
    q->floor = lua_gc(L, LUA_GCCOUNT);
    return q;
}

/* ---- the call ---- */

/* The message handler: [err] -> [err], for __close handlers see it. The traceback is kept aside; an
   error of curio's knows it, too. */
static int describe(lua_State *L) {
    lua_settop(L, 1);
    luaL_traceback(L, L, NULL, 1);
    if (error_is(L, 1, "CurioError")) {
        lua_pushliteral(L, "traceback");
        if (lua_rawget(L, 1) == LUA_TNIL) {
            lua_pushliteral(L, "traceback");
            lua_pushvalue(L, 2);
            lua_rawset(L, 1);
        }
    }
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    return 1;
}

/* [j, err, traceback] */
static int pack_failure(lua_State *L) {
    struct luajob *j = lua_touserdata(L, 1);
    lua_pushboolean(L, 0);
    lua_insert(L, 2);
    copy_out(L, 2, 3, standin_threads_how(j, "ok", "error"), &j->out);
    return 0;
}

static int pack_words(lua_State *L) {
    error_new(L, "CurioError", "%s", error_text(L, 2));
    lua_replace(L, 2);
    return pack_failure(L);
}

/* [err, traceback] at the top, of which it disposes. An error that cannot be sent is told in words.
 */
static void fail(lua_State *L, struct luajob *j) {
    static int (*const ways[])(lua_State *) = {pack_failure, pack_words};
    int base = lua_gettop(L) - 2;
    for (size_t i = 0; i < 2; i++) {
        lua_pushcfunction(L, ways[i]);
        lua_pushlightuserdata(L, j);
        lua_pushvalue(L, base + 1);
        lua_pushvalue(L, base + 2);
        if (lua_pcall(L, 3, 0, 0) == LUA_OK) {
            lua_settop(L, base);
            return;
        }
        lua_settop(L, base + 2);
    }
    lua_settop(L, base);
    snprintf(j->failure, sizeof j->failure, "not enough memory");
}

/* [..., locals] -> [...] */
static void adopt_locals(lua_State *L) {
    struct quarters *q = *thread_kept(thread_self());
    if (lua_isnil(L, -1) && !q->located) {
        lua_pop(L, 1);
        return;
    }
    q->located = !lua_isnil(L, -1);
    state_require(L, "curio.task");
    kernel_hook(L, "adopt", 1);
}

/* [j]; raises what went wrong before or after the function */
static int call(lua_State *L) {
    struct luajob *j = lua_touserdata(L, 1);
    if (j->async)
        state_require(L, "curio.thread"); /* what proxies do */
    int n = copy_in(L, &j->in, standin_threads_how(j, NULL, NULL));
    message_drop(&j->in);
    luaL_checkstack(L, LUA_MINSTACK, "arguments");
    adopt_locals(L);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    lua_pushcfunction(L, describe);
    lua_insert(L, 2);
    interrupt_arm(L);
    int status = lua_pcall(L, n - 2, LUA_MULTRET, 2);
    interrupt_arm(NULL);
    if (status == LUA_OK) {
        luaL_checkstack(L, LUA_MINSTACK, "results");
        lua_pushboolean(L, 1);
        lua_replace(L, 2);
        copy_out(L, 2, lua_gettop(L) - 1, standin_threads_how(j, "ok", "results"), &j->out);
        return 0;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
    fail(L, j);
    return 0;
}

static void run(lua_State *L, struct luajob *j) {
    lua_settop(L, 0);
    lua_pushcfunction(L, call);
    lua_pushlightuserdata(L, j);
    int status = lua_pcall(L, 1, 0, 0);
    interrupt_arm(NULL);
    if (status != LUA_OK) {
        lua_pushnil(L);
        fail(L, j);
    }
    lua_settop(L, 0);
}

static bool was_interrupted(struct luajob *j) {
    thread_lock();
    bool interrupted = j->job.interrupted;
    thread_unlock();
    return interrupted;
}

/* What an interrupted function had in hand, sockets that were sent to it, say, shall not stay open
   until the next collection. */
static void clear_up(lua_State *L, struct luajob *j) {
    message_drop(&j->in);
    if (was_interrupted(j))
        lua_gc(L, LUA_GCCOLLECT);
}

static void work(struct thread_job *job, struct thread *t) {
    struct luajob *j = (struct luajob *)job;
    void **kept = thread_kept(t);
    struct quarters *q = *kept ? *kept : (*kept = move_in(j));
    if (!q)
        return;
    follow_paths(q, j);
    current = j;
    run(q->L, j);
    clear_up(q->L, j);
    current = NULL;
}
