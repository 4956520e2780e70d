/*
 * colib.c - Lua's coroutine functions and protected calls, made to know tasks.
 *
 * A blocking call inside a plain coroutine yields a trap, which must reach the kernel and not the
 * program that resumed the coroutine. So resume and wrap look whether the running task has put
 * itself to sleep; if so they yield onwards, and when woken resume inwards. In all else these
 * functions behave as those of Lua 5.4. pcall and xpcall differ in one point: a cancellation that
 * has been swallowed too often passes through them.
 */
#include <assert.h>

#include "interrupt.h"
#include "kernel.h"
#include "lib.h"

/* ---- resume ---- */

static bool is_trapped(lua_State *co) {
    return lua_status(co) == LUA_YIELD && lua_gettop(co) > 0 &&
           lua_touserdata(co, -1) == TASK_TRAP_MARK;
}

static char known_key; /* registry: weak table of the tasks' coroutines that the program knows of */

/* Is co the coroutine of a task? */
static bool is_tasks(lua_State *L, lua_State *co) {
    bool yes = false;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key) == LUA_TTABLE) {
        lua_pushthread(co);
        lua_xmove(co, L, 1);
        yes = lua_rawget(L, -2) != LUA_TNIL;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return yes;
}

/* Is L the innermost coroutine of this thread's running task? */
static struct kernel *kernel_of(lua_State *L) {
    struct kernel *k = kernel_current;
    return k && k->inner == L ? k : NULL;
}

static int refuse(lua_State *L, const char *why) {
    lua_pushstring(L, why);
    return -1;
}

/* ---- scopes that a suspended coroutine holds open ---- */

static char held_key; /* registry: weak table, coroutine -> box with its scopes */

static int box_gc(lua_State *L) {
    struct scope **box = lua_touserdata(L, 1);
    task_drop_scopes(*box);
    *box = NULL;
    return 0;
}

/* [-0, +1, m] */
static struct scope **new_box(lua_State *L) {
    struct scope **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    if (luaL_newmetatable(L, "curio.scopes")) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return box;
}

/* co has yielded to the program, or died: its scopes no longer bound the running task. */
static void put_aside(lua_State *L, struct task *t, lua_State *co, bool dead) {
    if (!t->scope || t->scope->frame != co)
        return;
    if (dead) {
        task_drop_scopes(task_detach_scopes(t, co));
        return;
    }
    luaL_checkstack(L, 4, "coroutine");
    weak_push(L, &held_key, "k");
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    struct scope **box = new_box(L);
    *box = task_detach_scopes(t, co);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* co goes on: so do its scopes. */
static void bring_back(lua_State *L, struct task *t, lua_State *co) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &held_key) == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    struct scope **box = lua_touserdata(L, -1);
    if (box && *box) {
        task_attach_scopes(t, *box);
        *box = NULL;
        lua_pop(L, 1);
        lua_pushnil(L);
        lua_rawset(L, -3);
        lua_pop(L, 1);
    } else {
        lua_pop(L, 3);
    }
}

enum { PASS_ON = -2 }; /* the coroutine sleeps in a trap */

/* Resumes co with the narg values on top of L. The number of results, which are moved to L; -1 and
   an error message; or PASS_ON. */
static int resume(lua_State *L, lua_State *co, int narg) {
    int nres;
    if (!lua_checkstack(co, narg + 1) || !lua_checkstack(L, 5))
        return refuse(L, "too many arguments to resume");
    if (is_trapped(co))
        return refuse(L, "cannot resume a coroutine that is asleep in a task");
    if (is_tasks(L, co))
        return refuse(L, "cannot resume non-suspended coroutine");
    struct kernel *k = kernel_of(L);
    lua_State *top = NULL;
    if (k) {
        bring_back(L, k->current, co);
        top = k->top;
        k->inner = co;
        if (k->grace)
            task_grace_goes_on(co);
        k->top = top == L && lua_isyieldable(L) ? co : NULL;
    }
    lua_xmove(L, co, narg);
    lua_State *outer = interrupt_running;
    if (outer)
        interrupt_running = co;
    int status = lua_resume(co, L, narg, &nres);
    interrupt_running = outer;
    if (k) {
        k->inner = L;
        k->top = top;
        if (k->grace)
            task_grace_goes_on(L);
    }
    if (k && !k->parked && status != LUA_OK)
        put_aside(L, k->current, co, status != LUA_YIELD);
    if (status == LUA_OK || status == LUA_YIELD) {
        if (status == LUA_YIELD && k && k->parked)
            return PASS_ON;
        if (!lua_checkstack(L, nres + 1)) {
            lua_pop(co, nres);
            return refuse(L, "too many results to resume");
        }
        lua_xmove(co, L, nres);
        return nres;
    }
    lua_xmove(co, L, 1);
    return -1;
}

/* On L, above `base` values: leaves the marks by which the sleeping chain is known, and yields on.
 */
static int pass_on(lua_State *L, lua_State *co, int base, lua_KFunction k) {
    lua_settop(L, base);
    assert(lua_checkstack(co, 1) && lua_checkstack(L, 2)); /* C frames have LUA_MINSTACK slots */
    lua_pushlightuserdata(co, TASK_TRAP_MARK);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushlightuserdata(L, TASK_NEST_MARK);
    return lua_yieldk(L, 0, base, k);
}

/* Woken: [base values, co, mark, values...] on L. */
static int resume_inwards(lua_State *L, lua_State *co, int base) {
    int nvalues = lua_gettop(L) - base - 2;
    lua_pop(co, 1); /* the trap mark */
    return resume(L, co, nvalues);
}

/* ---- coroutine.resume ---- */

static int resume_ended(lua_State *L, int r) {
    if (r < 0) {
        task_caught(L);
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushboolean(L, 1);
    lua_insert(L, -(r + 1));
    return r + 1;
}

static int resume_woken(lua_State *L, int status, lua_KContext base) {
    (void)status;
    lua_State *co = lua_tothread(L, 1);
    int r = resume_inwards(L, co, (int)base);
    return r == PASS_ON ? pass_on(L, co, 1, resume_woken) : resume_ended(L, r);
}

static lua_State *check_co(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "thread");
    return co;
}

static int f_resume(lua_State *L) {
    lua_State *co = check_co(L);
    int r = resume(L, co, lua_gettop(L) - 1);
    return r == PASS_ON ? pass_on(L, co, 1, resume_woken) : resume_ended(L, r);
}

/* ---- coroutine.wrap ---- */

static int wrap_ended(lua_State *L, lua_State *co, int r) {
    if (r >= 0)
        return r;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        status = lua_resetthread(co); /* runs its pending __close handlers */
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrap_woken(lua_State *L, int status, lua_KContext base) {
    (void)status;
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int r = resume_inwards(L, co, (int)base);
    return r == PASS_ON ? pass_on(L, co, 0, wrap_woken) : wrap_ended(L, co, r);
}

static int wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int r = resume(L, co, lua_gettop(L));
    return r == PASS_ON ? pass_on(L, co, 0, wrap_woken) : wrap_ended(L, co, r);
}

static int body_ended(lua_State *L, int status, lua_KContext ctx) {
    (void)ctx;
    return status == LUA_OK || status == LUA_YIELD ? lua_gettop(L) : lua_error(L);
}

/* Upvalue 1: the function. Runs it protected, so that an error unwinds in the coroutine, where
   __close handlers may block; wrap would run them afterwards, when they may not. */
static int body(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return body_ended(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, body_ended), 0);
}

static int f_wrap(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, body, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

/* ---- the others ---- */

/* The coroutine of a task may become known to the program only here. From then on its object is
   held by the kernel's table, should somebody take the coroutine apart. */
static int f_running(lua_State *L) {
    struct kernel *k = kernel_of(L);
    if (k && k->current->L == L) {
        task_push(L, k->current);
        weak_push(L, &known_key, "k");
        lua_pushthread(L);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
        lua_pop(L, 2);
    }
    lua_pushboolean(L, lua_pushthread(L));
    return 2;
}

static int f_yield(lua_State *L) {
    struct kernel *k = kernel_of(L);
    if (k && k->current->L == L)
        return luaL_error(L,
                          "attempt to yield from outside a coroutine (a task is not a generator)");
    return lua_yield(L, lua_gettop(L));
}

static const char *status_of(lua_State *L, lua_State *co) {
    lua_Debug ar;
    if (L == co)
        return "running";
    if (is_trapped(co) || is_tasks(L, co))
        return "normal"; /* it waits inside a task, or is one */
    if (lua_status(co) == LUA_YIELD)
        return "suspended";
    if (lua_status(co) != LUA_OK)
        return "dead";
    if (lua_getstack(co, 0, &ar))
        return "normal";
    return lua_gettop(co) == 0 ? "dead" : "suspended";
}

static int f_status(lua_State *L) {
    lua_pushstring(L, status_of(L, check_co(L)));
    return 1;
}

static int f_close(lua_State *L) {
    lua_State *co = check_co(L);
    const char *status = status_of(L, co);
    if (*status != 'd' && *status != 's')
        return luaL_error(L, "cannot close a %s coroutine", status);
    if (lua_resetthread(co) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

/* ---- protected calls ---- */

static int pcall_ended(lua_State *L, int status, lua_KContext skip) {
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)skip;
    task_caught(L);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int f_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, pcall_ended);
    return pcall_ended(L, status, 0);
}

static int xpcall_with(lua_State *L, lua_KFunction ended) {
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, ended);
    return ended(L, status, 2);
}

static int f_xpcall(lua_State *L) {
    return xpcall_with(L, pcall_ended);
}

/* curio.pcall: cancellation passes through at once. */
static int strict_ended(lua_State *L, int status, lua_KContext skip) {
    bool failed = status != LUA_OK && status != LUA_YIELD;
    if (failed && error_is(L, -1, "CancelledError"))
        return lua_error(L);
    return pcall_ended(L, status, skip);
}

static int f_strict_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, strict_ended);
    return strict_ended(L, status, 0);
}

/* The user's handler must not turn a cancellation into something else. Upvalue 1: that handler. */
static int strict_handler(lua_State *L) {
    if (error_is(L, 1, "CancelledError"))
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int f_strict_xpcall(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, strict_handler, 1);
    lua_replace(L, 2);
    return xpcall_with(L, strict_ended);
}

static const luaL_Reg coroutine_functions[] = {
    {"resume", f_resume}, {"wrap", f_wrap},       {"yield", f_yield}, {"status", f_status},
    {"close", f_close},   {"running", f_running}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"pcall", f_strict_pcall},
    {"xpcall", f_strict_xpcall},
    {NULL, NULL},
};

/* Puts the replacements in place; leaves curio's own pcall and xpcall. */
int open_colib(lua_State *L) {
    lua_getglobal(L, "coroutine");
    if (lua_type(L, -1) == LUA_TTABLE)
        luaL_setfuncs(L, coroutine_functions, 0);
    lua_pop(L, 1);
    lua_pushcfunction(L, f_pcall);
    lua_setglobal(L, "pcall");
    lua_pushcfunction(L, f_xpcall);
    lua_setglobal(L, "xpcall");
    luaL_newlib(L, functions);
    return 1;
}
