/*
 * tasklib.c - curio.spawn, curio.current_task and the Task object.
 */
#include <math.h>
#include <string.h>

#include "clock.h"
#include "group.h"
#include "inspect.h"
#include "kernel.h"
#include "lib.h"
#include "outcome.h"

static const char *const spawn_options[] = {"daemon", "name", NULL};

/* The kernel that runs here, for calls that do not block; raises when there is none. */
static struct kernel *running(lua_State *L, const char *verb) {
    struct kernel *k = kernel_current;
    if (!k)
        luaL_error(L, "%s: no curio kernel is running", verb);
    return k;
}

/* With [options, fn, args...] from idx on: leaves the task alone on the stack from idx. */
static struct task *spawn(lua_State *L, int idx, const char *verb) {
    struct kernel *k = running(L, verb);
    bool daemon = args_bool(L, idx, verb, "daemon", false);
    struct task *t = task_spawn(L, k, lua_gettop(L) - idx - 1);
    if (daemon)
        t->flags |= T_DAEMON;
    if (lua_type(L, idx) == LUA_TTABLE) {
        if (lua_getfield(L, idx, "name") != LUA_TNIL) {
            error_text(L, -1);
            lua_setiuservalue(L, idx + 1, TASK_UV_NAME);
        }
        lua_settop(L, idx + 1);
    }
    task_announce(L, t);
    return t;
}

static int f_spawn(lua_State *L) {
    if (lua_type(L, 1) == LUA_TFUNCTION) { /* the common case, without detours */
        task_announce(L, task_spawn(L, running(L, "curio.spawn"), lua_gettop(L) - 1));
        return 1;
    }
    args_call(L, 1, "curio.spawn", spawn_options, 0);
    spawn(L, 1, "curio.spawn");
    return 1;
}

/* spawn_for(verb, fn, ...): as spawn, for calls that spawn under another name */
static int f_spawn_for(lua_State *L) {
    const char *verb = luaL_checkstring(L, 1);
    args_call(L, 2, verb, spawn_options, 0);
    spawn(L, 2, verb);
    return 1;
}

static int f_current(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k || !k->current)
        return luaL_error(L, "curio.current_task: no curio kernel is running");
    task_push(L, k->current);
    return 1;
}

/* ---- join and wait ---- */

#define CHAIN_TEXT 1000 /* bytes */

/* Pushes what to say of the error at idx. One TaskError may be the cause of the next, over
   thousands of tasks: each then tells the end of the chain it is at, not all of it. [-0, +1, m] */
static const char *push_cause_text(lua_State *L, int idx) {
    bool chained = error_is(L, idx, "TaskError");
    size_t len;
    error_text(L, idx);
    const char *text = lua_tolstring(L, -1, &len);
    if (!chained || len <= CHAIN_TEXT)
        return text;
    len = CHAIN_TEXT;
    while (len && (text[len] & 0xc0) == 0x80) /* not within a character of UTF-8 */
        len--;
    lua_pushlstring(L, text, len);
    lua_pushliteral(L, "...");
    lua_concat(L, 2);
    lua_replace(L, -2);
    return lua_tostring(L, -1);
}

/* Pushes the TaskError that tells of the failed task at stack index 1. [-0, +1, m] */
static void push_task_error(lua_State *L, struct task *t) {
    luaL_checkstack(L, 10, "task error");
    outcome_push_error(L, t, 1); /* error, traceback */
    const char *name = task_push_name(L, t, 1);
    const char *what = push_cause_text(L, -3);
    const char *how = error_is(L, -4, "CancelledError") ? "was cancelled" : "crashed";
    const char *id = lua_pushfstring(L, "%I", (LUAI_UACINT)t->id);
    error_new(L, "TaskError", "task %s (%s) %s: %s", id, name, how, what);
    int top = lua_gettop(L); /* error, traceback, name, what, id, TaskError */
    if (lua_type(L, top) == LUA_TTABLE) {
        lua_pushvalue(L, top - 5);
        lua_setfield(L, top, "cause");
        lua_pushvalue(L, top - 4);
        lua_setfield(L, top, "traceback");
        lua_pushvalue(L, 1);
        lua_setfield(L, top, "task");
    }
    lua_replace(L, top - 5);
    lua_settop(L, top - 5);
}

/* task_error(task): the TaskError of a task that failed, or nil */
static int f_task_error(lua_State *L) {
    struct task *t = task_check(L, 1);
    lua_settop(L, 1);
    if (!(t->flags & T_FAILED) || !(t->flags & T_DONE))
        return 0;
    push_task_error(L, t);
    return 1;
}

static int joined(lua_State *L, struct task *t) {
    if (t->member)
        group_detach(L, t);
    if (!(t->flags & T_FAILED))
        return outcome_push_results(L, t, 1);
    push_task_error(L, t);
    return lua_error(L);
}

static int join_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    task_woken(L);
    return joined(L, (struct task *)ctx);
}

static int m_join(lua_State *L) {
    struct task *t = task_check(L, 1);
    struct task *self = task_enter(L, "task:join");
    if (t == self)
        return luaL_error(L, "task:join: a task cannot wait for its own end");
    if (t->kernel != self->kernel && !(t->flags & T_DONE))
        return luaL_error(L, "task:join: the task belongs to another kernel");
    if (t->flags & T_DONE)
        return joined(L, t);
    task_sleep_until_end(self, t, TASK_JOIN, CLOCK_NEVER);
    return lua_yieldk(L, 0, (lua_KContext)t, join_woken);
}

static int wait_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    task_woken(L);
    return 0;
}

static int wait_in_state(lua_State *L, const char *state) {
    struct task *t = task_check(L, 1);
    struct task *self = task_enter(L, "task:wait");
    if (t == self)
        return luaL_error(L, "task:wait: a task cannot wait for its own end");
    if (t->flags & T_DONE)
        return 0;
    if (t->kernel != self->kernel)
        return luaL_error(L, "task:wait: the task belongs to another kernel");
    task_sleep_until_end(self, t, state, CLOCK_NEVER);
    return lua_yieldk(L, 0, 0, wait_woken);
}

static int m_wait(lua_State *L) {
    return wait_in_state(L, "TASK_WAIT");
}

/* outlast(task): as task:wait(), for who does not care how the task ends */
static int f_outlast(lua_State *L) {
    return wait_in_state(L, TASK_CANCEL);
}

/* is_task(value) */
static int f_is_task(lua_State *L) {
    lua_pushboolean(L, luaL_testudata(L, 1, "curio.Task") != NULL);
    return 1;
}

/* failed(task): has it ended by an error (which may be nil)? */
static int f_failed(lua_State *L) {
    lua_pushboolean(L, task_check(L, 1)->flags & T_FAILED);
    return 1;
}

static const char STATE_START[] = "TASK_START";

/* wait_start(task): blocks until the task ends or somebody rouses the caller */
static int f_wait_start(lua_State *L) {
    struct task *t = task_check(L, 1);
    struct task *self = task_enter(L, "group:start");
    if (t->flags & T_DONE)
        return 0;
    task_sleep_until_end(self, t, STATE_START, CLOCK_NEVER);
    return lua_yieldk(L, 0, 0, wait_woken);
}

/* rouse(task): wakes it from wait_start */
static int f_rouse(lua_State *L) {
    struct task *t = task_check(L, 1);
    if (t->flags & T_ASLEEP && t->state == STATE_START)
        task_wake(t, WAKE_OK);
    return 0;
}

/* ---- cancel ---- */

static const char *const cancel_options[] = {"blocking", "exc", "reason", "timeout", NULL};

/* Pushes the error that cancels: option exc as it is, or an instance of it if it is a class. */
static void push_order(lua_State *L, int opts) {
    if (lua_type(L, opts) != LUA_TTABLE || lua_getfield(L, opts, "exc") == LUA_TNIL) {
        error_new(L, "TaskCancelled", "cancelled");
    } else if (lua_type(L, -1) != LUA_TTABLE) {
        luaL_error(L, "task:cancel: option 'exc' must be an error class or object, got %s",
                   error_text(L, -1));
    } else {
        lua_pushliteral(L, "new");
        if (lua_rawget(L, -2) == LUA_TFUNCTION) { /* a class */
            lua_pushvalue(L, -2);
            lua_call(L, 1, 1);
        } else {
            lua_pop(L, 1);
        }
    }
}

static void describe_order(lua_State *L, int opts) {
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    int err = lua_gettop(L);
    if (kernel_current && kernel_current->current) {
        task_push(L, kernel_current->current);
        lua_setfield(L, err, "source");
    }
    if (lua_type(L, opts) == LUA_TTABLE && lua_getfield(L, opts, "reason") != LUA_TNIL) {
        lua_pushvalue(L, -1);
        lua_setfield(L, err, "reason");
        lua_pushfstring(L, "cancelled: %s", error_text(L, -1));
        if (error_is(L, err, "TaskCancelled"))
            lua_setfield(L, err, "message");
    }
    lua_settop(L, err);
}

static int cancel_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    struct task *t = (struct task *)ctx;
    task_woken(L);
    lua_pushboolean(L, t->flags & T_DONE);
    return 1;
}

static int wait_for_end(lua_State *L, struct task *t, double timeout) {
    struct task *self = task_enter(L, "task:cancel"); /* raises if it was itself */
    if (t->flags & T_DONE) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (timeout <= 0) {
        lua_pushboolean(L, 0);
        return 1;
    }
    int64_t until = clock_after(kernel_now(self->kernel), timeout);
    task_sleep_until_end(self, t, TASK_CANCEL, until);
    return lua_yieldk(L, 0, (lua_KContext)t, cancel_woken);
}

static int m_cancel(lua_State *L) {
    struct task *t = task_check(L, 1);
    args_options(L, 2, "task:cancel", cancel_options);
    lua_settop(L, 2);
    bool blocking = args_bool(L, 2, "task:cancel", "blocking", true);
    double timeout = args_seconds(L, 2, "task:cancel", "timeout", HUGE_VAL);
    struct kernel *k = running(L, "task:cancel");
    if (!(t->flags & T_DONE)) {
        if (t->kernel != k)
            return luaL_error(L, "task:cancel: the task belongs to another kernel");
        if (t->member)
            t->member->neutral = true;
        push_order(L, 2);
        describe_order(L, 2);
        task_cancel(L, t);
    }
    if (blocking)
        return wait_for_end(L, t, timeout);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- looking at a task ---- */

static int m_traceback(lua_State *L) {
    inspect_push_traceback(L, task_check(L, 1), 1);
    return 1;
}

static int m_where(lua_State *L) {
    lua_Debug ar;
    if (!inspect_where(L, task_check(L, 1), &ar))
        return 0;
    lua_pushstring(L, ar.short_src);
    lua_pushinteger(L, ar.currentline);
    return 2;
}

static void must_have_ended(lua_State *L, struct task *t, const char *what) {
    if (!(t->flags & T_DONE))
        luaL_error(L, "task.%s: task %d has not terminated", what, (int)t->id);
}

static int get_result(lua_State *L, struct task *t, const char *what) {
    must_have_ended(L, t, what);
    if (!(t->flags & T_FAILED))
        return outcome_push_results(L, t, 1);
    outcome_push_error(L, t, 1);
    lua_pop(L, 1);
    return lua_error(L);
}

static int first_result(lua_State *L, struct task *t) {
    int top = lua_gettop(L);
    get_result(L, t, "result");
    lua_settop(L, top + 1);
    return 1;
}

static int all_results(lua_State *L, struct task *t) {
    int top = lua_gettop(L);
    int n = get_result(L, t, "results");
    lua_createtable(L, n, 1);
    lua_insert(L, top + 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, top + 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, top + 1, "n");
    return 1;
}

static int get_exception(lua_State *L, struct task *t) {
    must_have_ended(L, t, "exception");
    if (!(t->flags & T_FAILED))
        return 0;
    outcome_push_error(L, t, 1);
    lua_pop(L, 1);
    return 1;
}

static int get_traceback(lua_State *L, struct task *t) {
    if (!(t->flags & T_FAILED))
        return 0;
    outcome_push_error(L, t, 1);
    return 1;
}

static int get_site(lua_State *L, struct task *t) {
    outcome_push_site(L, t, 1);
    return 1;
}

static int push_integer(lua_State *L, uint64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
}

static int push_flag(lua_State *L, bool flag) {
    lua_pushboolean(L, flag);
    return 1;
}

static int get_name(lua_State *L, struct task *t) {
    task_push_name(L, t, 1);
    return 1;
}

static int get_id(lua_State *L, struct task *t) {
    return push_integer(L, t->id);
}

static int get_parentid(lua_State *L, struct task *t) {
    return t->parent ? push_integer(L, t->parent) : 0;
}

static int get_cycles(lua_State *L, struct task *t) {
    return push_integer(L, t->cycles);
}

static int get_state(lua_State *L, struct task *t) {
    lua_pushstring(L, t->state);
    return 1;
}

static int get_daemon(lua_State *L, struct task *t) {
    return push_flag(L, t->flags & T_DAEMON);
}

static int get_cancelled(lua_State *L, struct task *t) {
    return push_flag(L, t->flags & T_CANCEL_ASKED);
}

static int get_terminated(lua_State *L, struct task *t) {
    return push_flag(L, t->flags & T_DONE);
}

static const struct field {
    const char *name;
    int (*get)(lua_State *L, struct task *t);
} fields[] = {
    {"id", get_id},
    {"name", get_name},
    {"daemon", get_daemon},
    {"state", get_state},
    {"cycles", get_cycles},
    {"parentid", get_parentid},
    {"cancelled", get_cancelled},
    {"terminated", get_terminated},
    {"result", first_result},
    {"results", all_results},
    {"exception", get_exception},
    {"error_traceback", get_traceback},
    {"spawned_at", get_site},
};

/* Upvalue 1: the methods. */
static int mm_index(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    struct task *t = task_check(L, 1);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!strcmp(fields[i].name, key))
            return fields[i].get(L, t);
    return 0;
}

static int mm_tostring(lua_State *L) {
    inspect_push_line(L, task_check(L, 1), 1);
    return 1;
}

static const luaL_Reg methods[] = {
    {"join", m_join},           {"wait", m_wait},   {"cancel", m_cancel},
    {"traceback", m_traceback}, {"where", m_where}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"spawn", f_spawn},           {"spawn_for", f_spawn_for},
    {"current", f_current},       {"task_error", f_task_error},
    {"wait_start", f_wait_start}, {"rouse", f_rouse},
    {"failed", f_failed},         {"is_task", f_is_task},
    {"outlast", f_outlast},       {NULL, NULL},
};

int open_tasklib(lua_State *L) {
    luaL_newmetatable(L, "curio.Task");
    luaL_newlib(L, methods);
    lua_pushcclosure(L, mm_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, mm_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
