/*
 * kernellib.c - the Kernel object: run, shutdown, and what a program needs beside them.
 */
#include <string.h>
#include <unistd.h>

#include "inspect.h"
#include "interrupt.h"
#include "kernel.h"
#include "lib.h"
#include "outcome.h"
#include "sig.h"

static char outside_key; /* registry: code that no task runs has set task-locals */

static const char *const kernel_options[] = {"poller", "dump", NULL};
static const char *const run_options[] = {"shutdown", NULL};

static struct kernel *kernel_check(lua_State *L) {
    return luaL_checkudata(L, 1, "curio.Kernel");
}

/* kernel{poller=, dump=}: a new kernel; dump: it is the curio program's, SIGQUIT prints the stacks
 */
static int f_kernel(lua_State *L) {
    lua_settop(L, 1);
    args_options(L, 1, "curio.Kernel", kernel_options);
    const char *poller = NULL;
    bool dump = args_bool(L, 1, "curio.Kernel", "dump", false);
    if (lua_type(L, 1) == LUA_TTABLE) {
        lua_getfield(L, 1, "poller");
        poller = luaL_optstring(L, -1, NULL);
    }
    struct kernel *k = kernel_new(L, poller);
    k->dump = dump;
    return 1;
}

static void check_usable(lua_State *L, const struct kernel *k, const char *verb) {
    if (k->closed)
        luaL_error(L, "%s: the kernel has been shut down or has crashed", verb);
    if (k->pid != getpid())
        luaL_error(L, "%s: a forked child must not use its parent's kernel", verb);
    if (kernel_current)
        luaL_error(L, "%s: a kernel is running in this thread already", verb);
}

/* ---- the loop, protected: should it raise, the kernel is not left half alive ---- */

struct order {
    struct kernel *kernel;
    struct task *until;
    bool once;
    bool shutdown;
};

static int obey(lua_State *L) {
    struct order *o = lua_touserdata(L, 1);
    if (o->shutdown) {
        kernel_shutdown(L, o->kernel);
        return 0;
    }
    if (o->until && lua_rawgetp(L, LUA_REGISTRYINDEX, &outside_key) != LUA_TNIL)
        o->until->flags |= T_LOCALS;
    if (o->until && (o->kernel->observed || o->until->flags & T_LOCALS)) {
        task_push(L, o->until);
        task_announce(L, o->until);
    }
    kernel_loop(L, o->kernel, o->until, o->once);
    return 0;
}

static void drive(lua_State *L, struct order *o) {
    struct kernel *k = o->kernel;
    lua_pushvalue(L, 1);
    kernel_set_running(L);
    kernel_current = k;
    sig_enter(k, k->dump);
    kernel_trace_begin(k);
    lua_pushcfunction(L, obey);
    lua_pushlightuserdata(L, o);
    int status = lua_pcall(L, 1, 0, 0);
    kernel_trace_end(k);
    sig_leave(k);
    kernel_current = NULL;
    interrupt_resume();
    k->L = NULL;
    k->current = NULL;
    k->top = k->inner = NULL;
    k->parked = false;
    lua_pushnil(L);
    kernel_set_running(L);
    if (status == LUA_OK)
        return;
    k->closed = true;
    lua_error(L);
}

static void shut_down(lua_State *L, struct kernel *k) {
    struct order o = {.kernel = k, .shutdown = true};
    if (k->closed)
        return;
    drive(L, &o);
    kernel_discard(L, k);
}

/* ---- methods ---- */

/* Strings gain the traceback; other errors stay the objects they are. */
static int raise_outcome(lua_State *L, struct task *t, int object) {
    outcome_push_error(L, t, object);
    if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
        return lua_error(L);
    }
    lua_pop(L, 1);
    return lua_error(L);
}

/* [kernel, options, fn, args...] */
static int run_main(lua_State *L, struct kernel *k) {
    bool shutdown = args_bool(L, 2, "kernel:run", "shutdown", false);
    struct task *t = task_spawn(L, k, lua_gettop(L) - 3);
    lua_replace(L, 3);
    lua_settop(L, 3);
    k->main = k->principal = t;
    struct order o = {.kernel = k, .until = t};
    drive(L, &o);
    k->main = k->principal = NULL;
    if (shutdown || k->exit_asked)
        shut_down(L, k);
    if (k->exit_asked)
        return 0;
    if (t->flags & T_FAILED)
        return raise_outcome(L, t, 3);
    return outcome_push_results(L, t, 3);
}

static bool only_shutdown(lua_State *L) {
    if (lua_type(L, 2) != LUA_TTABLE || args_callable(L, 2))
        return false;
    bool plain = lua_rawgeti(L, 2, 1) == LUA_TNIL;
    lua_pop(L, 1);
    return plain;
}

/* run(fn, ...), run{fn, ..., shutdown=}, run{shutdown=true}, run() */
static int m_run(lua_State *L) {
    struct kernel *k = kernel_check(L);
    check_usable(L, k, "kernel:run");
    if (lua_isnoneornil(L, 2)) {
        struct order o = {.kernel = k, .once = true};
        drive(L, &o);
        return 0;
    }
    if (only_shutdown(L)) {
        args_options(L, 2, "kernel:run", run_options);
        if (args_bool(L, 2, "kernel:run", "shutdown", false))
            shut_down(L, k);
        return 0;
    }
    args_call(L, 2, "kernel:run", run_options, 0);
    return run_main(L, k);
}

static int m_shutdown(lua_State *L) {
    struct kernel *k = kernel_check(L);
    if (k->closed)
        return 0;
    check_usable(L, k, "kernel:shutdown");
    shut_down(L, k);
    return 0;
}

static int mm_close(lua_State *L) {
    return m_shutdown(L);
}

static int mourn_all(lua_State *L) {
    struct kernel *k = kernel_check(L);
    for (uint32_t slot = 1; slot <= k->nslots; slot++)
        if (slot_task(k->slots[slot]))
            task_mourn(L, slot_task(k->slots[slot]));
    return 0;
}

/* A kernel that has crashed may have tasks left, too. */
static int mm_gc(lua_State *L) {
    struct kernel *k = kernel_check(L);
    if (kernel_current == k) /* lua_close in the middle of a run */
        kernel_current = NULL;
    if (k->live && k->pid == getpid()) {
        if (!k->closed) {
            lua_pushinteger(L, k->live);
            kernel_hook(L, "abandoned", 1);
        }
        lua_pushcfunction(L, mourn_all);
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK)
            lua_pop(L, 1);
        for (uint32_t slot = 1; slot <= k->nslots; slot++)
            if (slot_task(k->slots[slot]))
                task_abandon(L, slot_task(k->slots[slot]));
    }
    kernel_discard(L, k);
    return 0;
}

static int mm_tostring(lua_State *L) {
    struct kernel *k = kernel_check(L);
    if (k->closed)
        lua_pushliteral(L, "Kernel(shut down)");
    else
        lua_pushfstring(L, "Kernel(%d tasks, %s)", (int)k->live, k->loop.poller.ops->name);
    return 1;
}

/* ---- functions for the Lua layer ---- */

static int f_running(lua_State *L) {
    lua_pushboolean(L, kernel_current && kernel_current->current);
    return 1;
}

/* main_chunk(): under the curio program the task that runs its main chunk, elsewhere nil.
   main_chunk(task), main_chunk(nil): it is that one from now on, or the main task again */
static int f_main_chunk(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k || !k->dump || !k->main)
        return 0;
    if (lua_gettop(L) > 0) {
        k->chunk = lua_isnil(L, 1) ? NULL : task_check(L, 1);
        return 0;
    }
    task_push(L, k->chunk ? k->chunk : k->main);
    return 1;
}

/* Makes the task on the stack, or with nil the main one, the one that is told of SIGINT and
 * Deadlock. */
static int f_principal(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k)
        return luaL_error(L, "no curio kernel is running");
    struct task *chunk = k->chunk ? k->chunk : k->main;
    k->principal = lua_isnoneornil(L, 1) ? chunk : task_check(L, 1);
    sig_rearm(k);
    return 0;
}

/* tasks(): a list of the tasks alive */
static int f_tasks(lua_State *L) {
    struct kernel *k = kernel_current;
    lua_createtable(L, 0, 0);
    if (!k)
        return 1;
    lua_Integer n = 0;
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (!t)
            continue;
        task_push(L, t);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int never(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    task_insist(kernel_current->current);
    task_woken(L);
    return 0;
}

static void stay_asleep(struct task *t) {
    (void)t;
}

/* Where Lua cannot yield the task cannot go to sleep at once. It is cancelled instead, which passes
   through pcall; the run is left when it blocks next or ends. So it is between two tasks, when a
   finaliser asks. */
static int exit_later(lua_State *L, struct kernel *k) {
    error_new(L, "TaskCancelled", "cancelled: os.exit, called where Lua cannot yield");
    if (k->current) {
        lua_pushvalue(L, -1);
        task_set_pending(L, k->current);
        task_insist(k->current);
    }
    return lua_error(L);
}

/* exit(code): leaves the run, shuts the kernel down; what asked goes to sleep until it is cancelled
 */
static int f_exit(lua_State *L) {
    int code = (int)luaL_checkinteger(L, 1);
    struct kernel *k = kernel_current;
    if (!k)
        return luaL_error(L, "no curio kernel is running");
    k->exit_asked = true;
    k->exit_code = code;
    if (k->current)
        task_expose(L, k->current);
    if (k->top != L || !lua_isyieldable(L))
        return exit_later(L, k);
    task_sleep(k->current, "EXIT", stay_asleep, NULL, INT64_MAX);
    return lua_yieldk(L, 0, 0, never);
}

/* exit_code(kernel): the code that was asked for, or nil */
static int m_exit_code(lua_State *L) {
    struct kernel *k = kernel_check(L);
    if (!k->exit_asked)
        return 0;
    lua_pushinteger(L, k->exit_code);
    return 1;
}

static int f_hooks(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    kernel_set_hooks(L);
    return 0;
}

static int f_own_source(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    inspect_set_own(L);
    return 0;
}

/* mark_locals(): the running task's spawns inherit its locals from now on; outside of tasks: the
   main tasks of this state do */
static int f_mark_locals(lua_State *L) {
    if (kernel_current && kernel_current->current) {
        kernel_current->current->flags |= T_LOCALS;
        return 0;
    }
    lua_pushboolean(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &outside_key);
    return 0;
}

static const luaL_Reg methods[] = {
    {"run", m_run},
    {"shutdown", m_shutdown},
    {"exit_code", m_exit_code},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", mm_close},
    {"__gc", mm_gc},
    {"__tostring", mm_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"kernel", f_kernel},
    {"running", f_running},
    {"main_chunk", f_main_chunk},
    {"principal", f_principal},
    {"tasks", f_tasks},
    {"exit", f_exit},
    {"hooks", f_hooks},
    {"own_source", f_own_source},
    {"mark_locals", f_mark_locals},
    {NULL, NULL},
};

int open_kernellib(lua_State *L) {
    luaL_newmetatable(L, "curio.Kernel");
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
