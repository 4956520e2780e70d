/*
 * outcome.c - the base function under which every body runs, and what it leaves behind.
 *
 * The body is called protected, inside the coroutine: an error unwinds there, where __close
 * handlers may still block. What remains is one value: nil, the result, a table of results, or a
 * failure record that holds the error, the traceback and where the task was spawned.
 */
#include "outcome.h"

#include "kernel.h"
#include "lib.h"

static char failure_key; /* registry: the metatable that tells a failure record from other tables */

/* A failure record is {error, traceback, where spawned}; the metatable marks it. [-3, +1, m] */
static void make_failure(lua_State *L) {
    lua_createtable(L, 3, 0);
    lua_insert(L, -4);
    for (int i = 3; i >= 1; i--)
        lua_rawseti(L, -i - 1, i);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 0);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &failure_key);
    }
    lua_setmetatable(L, -2);
}

bool outcome_is_failure(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key);
    bool yes = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return yes;
}

/* Message handler. The error must stay what it is, since __close handlers see it; the traceback is
   kept beside it, and in it if it is one of ours and has none. */
int outcome_handler(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k || !k->current || error_is(L, 1, "TaskCancelled"))
        return 1; /* an order, not an accident */
    luaL_traceback(L, L, NULL, 1);
    if (error_is(L, 1, "CurioError")) {
        lua_pushliteral(L, "traceback");
        if (lua_rawget(L, 1) == LUA_TNIL) {
            lua_pushvalue(L, 2);
            lua_setfield(L, 1, "traceback");
        }
        lua_settop(L, 2);
    }
    kernel_keep(L, k, task_traceback_key(k->current));
    return 1;
}

static void pack_results(lua_State *L, int n) {
    lua_createtable(L, n, 1);
    lua_insert(L, -n - 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, -i - 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
}

/* Makes one value of the n results on top of L. */
static void keep_results(lua_State *L, struct task *t, int n) {
    if (n == 0) {
        lua_pushnil(L);
    } else if (n > 1 || lua_isnil(L, -1)) {
        pack_results(L, n);
        t->flags |= T_PACKED;
    }
}

static void push_site_text(lua_State *L) {
    lua_Debug ar;
    if (!lua_isfunction(L, BASE_SITE) || lua_tointeger(L, BASE_LINE) < 0) {
        lua_pushnil(L);
        return;
    }
    lua_pushvalue(L, BASE_SITE);
    lua_getinfo(L, ">S", &ar);
    lua_pushfstring(L, "%s:%d", ar.short_src, (int)lua_tointeger(L, BASE_LINE));
}

/* Returns the outcome and the task's object. The outcome is nil, the result, the table of results,
 * or the failure. */
static int base_ended(lua_State *L, int status, lua_KContext ctx) {
    (void)ctx;
    struct task *t = lua_touserdata(L, BASE_TASK);
    if (!kernel_current ||
        kernel_current->current != t) /* resumed by somebody else: the kernel will see */
        return 0;
    if (status != LUA_OK && status != LUA_YIELD) {
        t->flags |= T_FAILED;
        kernel_kept(L, t->kernel, task_traceback_key(t));
        push_site_text(L);
        make_failure(L);
    } else {
        keep_results(L, t, lua_gettop(L) - BASE_HANDLER);
    }
    lua_pushvalue(L, BASE_TASK);
    return 2;
}

/* Called with [task, site, line, handler, function, arguments...]. The task's object lives here as
   long as the body runs; site and line say who spawned it. */
int outcome_base(lua_State *L) {
    int nargs = lua_gettop(L) - BASE_HANDLER - 1;
    return base_ended(L, lua_pcallk(L, nargs, LUA_MULTRET, BASE_HANDLER, 0, base_ended), 0);
}

/* ---- reading it ---- */

void outcome_push_error(lua_State *L, struct task *t, int object) {
    (void)t;
    lua_getiuservalue(L, object, TASK_UV_OUTCOME);
    if (!outcome_is_failure(L, -1)) {
        lua_pushnil(L);
        return;
    }
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    lua_remove(L, -3);
}

void outcome_push_site(lua_State *L, struct task *t, int object) {
    (void)t;
    lua_getiuservalue(L, object, TASK_UV_OUTCOME);
    if (outcome_is_failure(L, -1))
        lua_rawgeti(L, -1, 3);
    else
        lua_pushnil(L);
    lua_remove(L, -2);
}

int outcome_push_results(lua_State *L, struct task *t, int object) {
    lua_getiuservalue(L, object, TASK_UV_OUTCOME);
    if (!(t->flags & T_PACKED))
        return lua_isnil(L, -1) ? (lua_pop(L, 1), 0) : 1;
    lua_getfield(L, -1, "n");
    int n = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, n, "results");
    int results = lua_gettop(L);
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, results, i);
    lua_remove(L, results);
    return n;
}
