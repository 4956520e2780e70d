/*
 * timelib.c - sleeping, deadlines, shields: all that stands in a task's chain of scopes.
 *
 * A scope is left through a to-be-closed value, so that it cannot stay open whatever ends the
 * block: a return, an error, a generator that is closed. The function forms share one such value,
 * which closes the innermost scope entered by its coroutine; the block forms make an object that
 * knows its scope.
 */
#include <assert.h>
#include <string.h>

#include "clock.h"
#include "kernel.h"
#include "lib.h"

static char closer_key; /* registry: the shared to-be-closed value */

/* ---- sleep and clock ---- */

static int sleep_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    struct task *t = task_woken(L);
    lua_pushnumber(L, clock_seconds(t->kernel->now));
    return 1;
}

static int f_sleep(lua_State *L) {
    double seconds = args_check_seconds(L, 1);
    if (seconds < 0)
        return luaL_error(L, "curio.sleep: seconds must not be negative, got %f", seconds);
    struct task *t = task_enter(L, "curio.sleep");
    if (seconds > 0)
        task_sleep(t, "TIME_SLEEP", task_unlink, NULL, clock_after(kernel_now(t->kernel), seconds));
    else
        task_give_way(t);
    return lua_yieldk(L, 0, 0, sleep_woken);
}

static int schedule_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    task_woken(L);
    return 0;
}

static int f_schedule(lua_State *L) {
    task_give_way(task_enter(L, "curio.schedule"));
    return lua_yieldk(L, 0, 0, schedule_woken);
}

static int f_clock(lua_State *L) {
    struct kernel *k = kernel_current;
    lua_pushnumber(L, clock_seconds(k ? kernel_now(k) : clock_now()));
    return 1;
}

/* ---- leaving a timeout ---- */

static bool is_timeout(lua_State *L, int idx) {
    return error_is(L, idx, "TaskTimeout") || error_is(L, idx, "TimeoutCancellationError");
}

static int wrap_uncaught(lua_State *L, int err) {
    error_new(L, "UncaughtTimeoutError", "an inner timeout was not caught: %s", error_text(L, err));
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_pushvalue(L, err);
        lua_setfield(L, -2, "cause");
    }
    return 1;
}

/* Of s and the timeouts around it, as delivered, not by the clock. */
static struct scope *outermost_expired(struct scope *s) {
    struct scope *found = NULL;
    for (; s; s = s->outer)
        if (s->kind == SCOPE_TIMEOUT && s->expired)
            found = s;
    return found;
}

/* What the interrupted call told of itself goes along: err's bytes_sent, to the error on top. */
static void carry_over(lua_State *L, int err) {
    if (lua_istable(L, err) && lua_istable(L, -1)) {
        lua_getfield(L, err, "bytes_sent");
        lua_setfield(L, -2, "bytes_sent");
    }
}

/* The error at err is about to leave scope s, which is not unlinked yet. Pushes what it
   becomes out there and returns 1; or 0: it stays what it is. Of the scopes that have expired the
   outermost raises TaskTimeout; those inside it see TimeoutCancellationError. [-0, +(0|1), m] */
static int convert(lua_State *L, struct scope *s, int err) {
    if (!is_timeout(L, err))
        return 0;
    struct scope *expired = outermost_expired(s);
    if (!expired)
        return wrap_uncaught(L, err);
    const char *name = expired == s ? "TaskTimeout" : "TimeoutCancellationError";
    if (error_is(L, err, name))
        return 0;
    error_new(L, name, expired == s ? "timed out" : "cancelled: an outer timeout expired");
    carry_over(L, err);
    return 1;
}

/* Did s itself run out, and no scope around it? */
static bool own_expiry(lua_State *L, struct scope *s, int err) {
    return is_timeout(L, err) && outermost_expired(s) == s;
}

static int leave(lua_State *L, struct task *t, struct scope *s, int err) {
    int changed = 0;
    if (s->kind == SCOPE_TIMEOUT && !lua_isnoneornil(L, err))
        changed = convert(L, s, err);
    task_leave_scope(L, t, s);
    return changed ? lua_error(L) : 0;
}

/* ---- function forms ---- */

/* __close of the shared value: (value, error) */
static int close_innermost(lua_State *L) {
    struct kernel *k = kernel_current;
    struct task *t = k ? k->current : NULL;
    struct scope *s = t ? t->scope : NULL;
    while (s && (s->frame != L || s->handle))
        s = s->outer;
    return s ? leave(L, t, s, 2) : 0;
}

static struct scope *enter(lua_State *L, struct task *t, enum scope_kind kind, int64_t deadline) {
    struct scope *s = task_enter_scope(t, L, kind, deadline);
    if (!s)
        luaL_error(L, "not enough memory");
    return s;
}

/* Seconds or nil at idx -> the deadline. */
static int64_t check_deadline(lua_State *L, struct task *t, int idx) {
    if (lua_isnil(L, idx))
        return CLOCK_NEVER;
    double seconds = args_check_seconds(L, idx);
    return clock_after(kernel_now(t->kernel), seconds);
}

static struct task *current(lua_State *L, const char *verb) {
    struct kernel *k = kernel_current;
    if (!k || !k->current || k->top != L)
        luaL_error(L, "%s: %s", verb,
                   k && k->current ? "cannot block here" : "no curio kernel is running");
    assert(k);
    return k->current;
}

static int shielded_done(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    return lua_gettop(L) - (int)ctx;
}

/* With [..., fn, args...] from fn on: calls it inside a new scope. */
static int call_inside(lua_State *L, struct task *t, int fn, enum scope_kind kind,
                       int64_t deadline) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &closer_key);
    lua_insert(L, fn);
    enter(L, t, kind, deadline);
    lua_toclose(L, fn);
    lua_callk(L, lua_gettop(L) - fn - 1, LUA_MULTRET, fn, shielded_done);
    return shielded_done(L, LUA_OK, fn);
}

/* What users hold of a block's scope. */
struct context {
    struct scope *scope; /* NULL once left */
    bool expired;
};

static int new_context(lua_State *L, struct task *t, enum scope_kind kind, int64_t deadline) {
    struct context *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct context){NULL, false};
    luaL_setmetatable(L, kind == SCOPE_SHIELD ? "curio.shield" : "curio.timeout");
    c->scope = enter(L, t, kind, deadline);
    c->scope->handle = &c->scope;
    return 1;
}

static bool has_function(lua_State *L, int idx) {
    return lua_type(L, 1) == LUA_TTABLE || lua_gettop(L) >= idx;
}

static int f_timeout_after(lua_State *L) {
    static const char *const known[] = {NULL};
    struct task *t = current(L, "curio.timeout_after");
    luaL_checkany(L, 1);
    if (!has_function(L, 2))
        return new_context(L, t, SCOPE_TIMEOUT, check_deadline(L, t, 1));
    args_call(L, 1, "curio.timeout_after", known, 1);
    return call_inside(L, t, 3, SCOPE_TIMEOUT, check_deadline(L, t, 2));
}

/* [options, seconds, closer, fn results or error...] */
static int ignore_done(lua_State *L, int status, lua_KContext ctx) {
    struct scope *s = (struct scope *)ctx;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_closeslot(L, 3);
        return lua_gettop(L) - 3;
    }
    int err = lua_gettop(L);
    if (own_expiry(L, s, err)) {
        lua_closeslot(L, 3);
        if (lua_type(L, 1) == LUA_TTABLE)
            lua_getfield(L, 1, "timeout_result");
        else
            lua_pushnil(L);
        return 1;
    }
    task_caught(L); /* insists before it is looked at */
    if (!convert(L, s, err))
        lua_pushvalue(L, err);
    lua_closeslot(L, 3);
    return lua_error(L);
}

static int f_ignore_after(lua_State *L) {
    static const char *const known[] = {"timeout_result", NULL};
    struct task *t = current(L, "curio.ignore_after");
    luaL_checkany(L, 1);
    args_call(L, 1, "curio.ignore_after", known, 1);
    int64_t deadline = check_deadline(L, t, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &closer_key);
    lua_insert(L, 3);
    struct scope *s = enter(L, t, SCOPE_TIMEOUT, deadline);
    lua_toclose(L, 3);
    int status = lua_pcallk(L, lua_gettop(L) - 4, LUA_MULTRET, 0, (lua_KContext)s, ignore_done);
    return ignore_done(L, status, (lua_KContext)s);
}

static int f_disable_cancellation(lua_State *L) {
    static const char *const known[] = {NULL};
    struct task *t = current(L, "curio.disable_cancellation");
    if (lua_gettop(L) == 0)
        return new_context(L, t, SCOPE_SHIELD, CLOCK_NEVER);
    args_call(L, 1, "curio.disable_cancellation", known, 0);
    return call_inside(L, t, 2, SCOPE_SHIELD, CLOCK_NEVER);
}

/* ---- block forms ---- */

/* __close(context, error); also __gc, for a context nobody closed */
static int context_close(lua_State *L) {
    struct context *c = lua_touserdata(L, 1);
    struct kernel *k = kernel_current;
    struct task *t = k ? k->current : NULL;
    struct scope *s = c->scope;
    if (!s || !t)
        return 0;
    c->expired = s->expired;
    for (struct scope *in = t->scope; in; in = in->outer)
        if (in == s)
            return leave(L, t, s, 2);
    return 0; /* another task's: it goes with that task */
}

static int context_gc(lua_State *L) {
    struct context *c = lua_touserdata(L, 1);
    lua_settop(L, 1);
    context_close(L);
    if (c->scope)
        c->scope->handle = NULL;
    c->scope = NULL;
    return 0;
}

static int context_index(lua_State *L) {
    const struct context *c = lua_touserdata(L, 1);
    if (strcmp(luaL_checkstring(L, 2), "expired") != 0)
        return 0;
    lua_pushboolean(L, c->scope ? c->scope->expired : c->expired);
    return 1;
}

/* ---- looking at what is pending ---- */

static bool anything_pending(struct task *t) {
    return t->flags & T_CANCELLED || scope_expired(t->scope, t->kernel->now);
}

static void accept(lua_State *L, struct task *t) {
    if (t->flags & T_CANCELLED) {
        lua_pushnil(L);
        task_set_pending(L, t);
        return;
    }
    struct scope *s = scope_expired(t->scope, t->kernel->now);
    s->expired = false;
    scope_set_deadline(t->scope, s, CLOCK_NEVER);
    task_calm(L, t, s);
}

/* check_cancellation([class]) */
static int f_check_cancellation(lua_State *L) {
    struct task *t = current(L, "curio.check_cancellation");
    lua_settop(L, 1);
    if (!lua_isnil(L, 1))
        luaL_checktype(L, 1, LUA_TTABLE);
    if (!anything_pending(t))
        return 0;
    if (lua_isnil(L, 1) && !t->shields)
        return task_raise_interrupt(L, t);
    task_push_interrupt(L, t);
    if (lua_isnil(L, 1))
        return 1;
    if (!error_isa(L, -1, 1))
        return 0;
    accept(L, t);
    return 1;
}

/* set_cancellation(err or nil): the one that was pending */
static int f_set_cancellation(lua_State *L) {
    struct task *t = current(L, "curio.set_cancellation");
    lua_settop(L, 1);
    if (!lua_isnil(L, 1))
        luaL_argexpected(L, lua_istable(L, 1), 1, "error object");
    if (t->flags & T_CANCELLED)
        task_push_interrupt(L, t);
    else
        lua_pushnil(L);
    lua_pushvalue(L, 1);
    task_set_pending(L, t);
    return 1;
}

static const luaL_Reg functions[] = {
    {"sleep", f_sleep},
    {"schedule", f_schedule},
    {"clock", f_clock},
    {"timeout_after", f_timeout_after},
    {"ignore_after", f_ignore_after},
    {"disable_cancellation", f_disable_cancellation},
    {"check_cancellation", f_check_cancellation},
    {"set_cancellation", f_set_cancellation},
    {NULL, NULL},
};

static const luaL_Reg context_meta[] = {
    {"__close", context_close},
    {"__gc", context_gc},
    {"__index", context_index},
    {NULL, NULL},
};

int open_timelib(lua_State *L) {
    luaL_newmetatable(L, "curio.timeout");
    luaL_setfuncs(L, context_meta, 0);
    luaL_newmetatable(L, "curio.shield");
    luaL_setfuncs(L, context_meta, 0);
    lua_pop(L, 2);
    lua_createtable(L, 0, 0); /* the shared to-be-closed value */
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_innermost);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &closer_key);
    luaL_newlib(L, functions);
    return 1;
}
