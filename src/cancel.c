/*
 * cancel.c - cancellation, deadlines and shields of a task: what a blocking call must raise, and
 * when.
 *
 * Cancellation is level-triggered: the error stays pending, and every blocking call raises it
 * again, until the task ends, accepts it, or leaves the scope that expired. It insists: caught too
 * often it passes through pcall, and who never listens is closed.
 */
#include <assert.h>
#include <stdlib.h>

#include "clock.h"
#include "kernel.h"
#include "lib.h"
#include "task.h"

#define SWALLOW_LIMIT 8    /* a cancellation caught that often passes through pcall */
#define HOOK_PERIOD 100000 /* instructions until it is raised again in a task that computes */
#define GRACE 10000        /* instructions that a task has to come to a call that blocks */

/* ---- interruption ---- */

/* The cached clock may be behind by what the task has computed. */
static bool deadline_passed(struct task *t) {
    if (!t->scope || t->scope->effective == CLOCK_NEVER)
        return false;
    return t->scope->effective <= t->kernel->now || t->scope->effective <= kernel_now(t->kernel);
}

bool task_interrupted(struct task *t) {
    return !t->shields && (t->flags & T_CANCELLED || deadline_passed(t));
}

/* One error object for each expired scope (or inner scope that sees an outer one expire), so that
   it stays the same however often it is raised. */
static void push_scope_error(lua_State *L, struct task *t) {
    struct scope *expired = scope_expired(t->scope, t->kernel->now);
    struct scope *inner = scope_innermost(t->scope, SCOPE_TIMEOUT);
    bool own = expired == inner;
    struct scope *key = expired->kind == SCOPE_GROUP || own ? expired : inner;
    if (kernel_kept(L, t->kernel, key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    if (expired->kind == SCOPE_GROUP)
        error_new(L, "TaskCancelled", "cancelled: a member of the group failed");
    else if (own)
        error_new(L, "TaskTimeout", "timed out");
    else
        error_new(L, "TimeoutCancellationError", "cancelled: an outer timeout expired");
    lua_pushvalue(L, -1);
    kernel_keep(L, t->kernel, key);
}

static void reset_counts(struct task *t) {
    t->delivered = t->swallowed = t->counted = 0;
    t->flags &= (uint16_t)~T_HOOKED;
}

void task_push_interrupt(lua_State *L, struct task *t) {
    luaL_checkstack(L, 5, "cancellation");
    if (t->flags & T_CANCELLED)
        kernel_kept(L, t->kernel, task_pending_key(t));
    else
        push_scope_error(L, t);
}

int task_raise_interrupt(lua_State *L, struct task *t) {
    t->kernel->grace = 0; /* the clean-up may take its time */
    task_push_interrupt(L, t);
    if (t->delivered < UINT8_MAX)
        t->delivered++;
    return lua_error(L);
}

int task_raise_in_hook(lua_State *L, struct task *t) {
    t->flags |= T_HOOKED;
    return task_raise_interrupt(L, t);
}

/* It was caught where the task computes, and clean-up is not under way. */
static void raise_again(lua_State *L, lua_Debug *ar) {
    (void)ar;
    const struct kernel *k = kernel_current;
    lua_sethook(L, NULL, 0, 0);
    if (k && k->inner == L && task_interrupted(k->current))
        task_raise_interrupt(L, k->current);
}

/* At each instruction while there is some grace left. */
static void raise_in_time(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct kernel *k = kernel_current;
    bool due = k && k->inner == L && k->grace && --k->grace == 0;
    if (!due && k && k->grace)
        return;
    lua_sethook(L, NULL, 0, 0);
    if (due && task_interrupted(k->current))
        task_raise_in_hook(L, k->current);
}

void task_raise_in_time(lua_State *L, struct task *t) {
    if (lua_gethook(L))
        task_raise_in_hook(L, t);
    t->kernel->grace = GRACE;
    task_grace_goes_on(L);
}

void task_grace_goes_on(lua_State *L) {
    if (!lua_gethook(L))
        lua_sethook(L, raise_in_time, LUA_MASKCOUNT, 1);
}

static int raise_after_giving_way(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    struct task *t = kernel_current->current;
    if (task_interrupted(t))
        return task_raise_interrupt(L, t);
    return luaL_error(L, "cancellation withdrawn while it was delivered");
}

/* Whoever is told again and again would otherwise spin: others run first. */
static void raise_pending(lua_State *L, struct task *t) {
    if (!t->delivered)
        task_raise_interrupt(L, t);
    if (t->delivered >= TASK_DELIVER_LIMIT) {
        t->flags |= T_CLOSE;
        t->kernel->parked = true;
    } else {
        task_give_way(t);
    }
    lua_yieldk(L, 0, 0, raise_after_giving_way);
}

static const char *why_not(lua_State *L, struct kernel *k) {
    if (!k || !k->current)
        return "no curio kernel is running";
    if (!lua_isyieldable(L) || k->inner == L)
        return "cannot block here, Lua cannot yield across this call (a comparator, a gsub "
               "callback, "
               "a metamethod of C, a finaliser, require under stock Lua, ...)";
    return "cannot block in a coroutine that was not resumed by coroutine.resume or coroutine.wrap "
           "in this task";
}

static bool must_raise(struct task *t) {
    return task_bounded(t) && task_interrupted(t);
}

struct task *task_pending(const lua_State *L) {
    struct kernel *k = kernel_current;
    return k && k->top == L && must_raise(k->current) ? k->current : NULL;
}

struct task *task_enter(lua_State *L, const char *verb) {
    struct kernel *k = kernel_current;
    if (!k || k->top != L || !lua_isyieldable(L))
        luaL_error(L, "%s: %s", verb, why_not(L, k));
    assert(k);
    struct task *t = k->current;
    if (must_raise(t))
        raise_pending(L, t);
    return t;
}

struct task *task_woken(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k || k->top != L)
        luaL_error(L, "a coroutine asleep in a task was resumed by other means than its kernel");
    assert(k);
    struct task *t = k->current;
    if (t->wake == WAKE_OK)
        return t;
    if (t->flags & T_THROW) {
        t->flags &= (uint16_t)~T_THROW;
        kernel_kept(L, k, task_throw_key(t));
        kernel_forget(L, k, task_throw_key(t));
        lua_error(L);
    }
    task_raise_interrupt(L, t);
    return NULL;
}

void task_throw(lua_State *L, struct task *t) {
    kernel_keep(L, t->kernel, task_throw_key(t));
    t->flags |= T_THROW;
    task_wake(t, WAKE_INTERRUPTED);
}

static void interrupt(struct task *t) {
    reset_counts(t);
    if (t->flags & T_ASLEEP && !t->shields)
        task_wake(t, WAKE_INTERRUPTED);
}

void task_cancel(lua_State *L, struct task *t) {
    if (t->flags & (T_DONE | T_CANCELLED)) {
        lua_pop(L, 1);
        return;
    }
    kernel_keep(L, t->kernel, task_pending_key(t));
    t->flags |= T_CANCELLED | T_CANCEL_ASKED;
    interrupt(t);
}

void task_set_pending(lua_State *L, struct task *t) {
    bool pending = !lua_isnil(L, -1);
    kernel_keep(L, t->kernel, task_pending_key(t));
    t->flags &= (uint16_t)~T_CANCELLED;
    if (pending)
        t->flags |= T_CANCELLED;
    reset_counts(t);
}

static bool is_pending(lua_State *L, struct task *t) {
    if (error_is(L, -1, "CancelledError"))
        return true;
    if (!(t->flags & T_CANCELLED))
        return false;
    kernel_kept(L, t->kernel, task_pending_key(t));
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    return same;
}

/* Whatever comes out of a body in which a cancellation was raised counts as swallowed, also an
   error that a __close has put in its place; but each raising counts once, however many pcalls pass
   it on. */
void task_caught(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k || k->top != L)
        return;
    struct task *t = k->current;
    if (!task_bounded(t) || !task_interrupted(t))
        return;
    bool raised = t->delivered != t->counted;
    t->counted = t->delivered;
    if (raised && t->swallowed <= SWALLOW_LIMIT)
        t->swallowed++;
    if (raised && t->flags & T_HOOKED && !lua_gethook(L))
        lua_sethook(L, raise_again, LUA_MASKCOUNT, HOOK_PERIOD);
    if (t->swallowed <= SWALLOW_LIMIT || !(raised || is_pending(L, t)))
        return;
    task_push_interrupt(L, t);
    lua_error(L);
}

void task_expose(lua_State *L, struct task *t) {
    for (struct scope *s = t->scope; s; s = s->outer)
        if (s->kind == SCOPE_SHIELD)
            s->kind = SCOPE_TIMEOUT; /* without a deadline: of no effect */
    t->shields = 0;
    lua_pushnil(L);
    task_set_pending(L, t);
}

void task_insist(struct task *t) {
    t->swallowed = SWALLOW_LIMIT + 1;
}

/* ---- scopes ---- */

struct scope *task_enter_scope(struct task *t, lua_State *L, enum scope_kind kind,
                               int64_t deadline) {
    struct scope *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->kind = kind;
    s->deadline = deadline;
    s->frame = L;
    s->task = t;
    scope_enter(&t->scope, s);
    if (kind == SCOPE_SHIELD)
        t->shields++;
    return s;
}

static void release_scope(struct task *t, struct scope *s) {
    scope_leave(&t->scope, s);
    if (s->kind == SCOPE_SHIELD)
        t->shields--;
    if (s->handle)
        *s->handle = NULL;
    free(s);
}

void task_calm(lua_State *L, struct task *t, struct scope *s) {
    kernel_forget(L, t->kernel, s);
    if (!task_interrupted(t))
        reset_counts(t);
}

void task_leave_scope(lua_State *L, struct task *t, struct scope *s) {
    if (s->effective <= t->kernel->now || s->expired)
        kernel_forget(L, t->kernel, s);
    release_scope(t, s);
    if (!task_interrupted(t))
        reset_counts(t);
}

struct scope *task_detach_scopes(struct task *t, lua_State *L) {
    struct scope *taken = scope_detach(&t->scope, L);
    for (struct scope *s = taken; s; s = s->outer)
        s->task = NULL;
    t->shields -= scope_shields(taken);
    return taken;
}

void task_attach_scopes(struct task *t, struct scope *taken) {
    t->shields += scope_shields(taken);
    for (struct scope *s = taken; s; s = s->outer)
        s->task = t;
    scope_attach(&t->scope, taken);
}

void task_drop_scopes(struct scope *taken) {
    while (taken) {
        struct scope *outer = taken->outer;
        if (taken->handle)
            *taken->handle = NULL;
        free(taken);
        taken = outer;
    }
}

void task_expire_scope(struct scope *s) {
    struct task *t = s->task;
    if (s->expired)
        return;
    s->expired = true;
    s->deadline = INT64_MIN;
    if (!t)
        return;
    scope_set_deadline(t->scope, s, INT64_MIN);
    if (!(t->flags & T_CANCELLED))
        interrupt(t);
}
