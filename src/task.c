/*
 * task.c - the life of a task: made, resumed, asleep, woken, cancelled, ended.
 *
 * A body runs under a base function that calls it protected, inside the coroutine. So an error
 * unwinds there, where `__close` handlers may still block; and a task is cancelled by raising in it
 * at the place where it sleeps, never by taking its coroutine away. Cancellation is
 * level-triggered: the error stays pending, and every blocking call raises it again.
 */
#include "task.h"

#include <assert.h>
#include <string.h>

#include "clock.h"
#include "group.h"
#include "kernel.h"
#include "lib.h"
#include "outcome.h"
#include "trace.h"

#define IO_BUDGET 64

const char TASK_INITIAL[] = "INITIAL";
const char TASK_READY[] = "READY";
const char TASK_RUNNING[] = "RUNNING";
const char TASK_TERMINATED[] = "TERMINATED";
const char TASK_JOIN[] = "TASK_JOIN";
const char TASK_CANCEL[] = "TASK_CANCEL";

char task_trap_mark, task_nest_mark;

/* ---- making ---- */

/* Pushes the function that spawns and its line. [-0, +2, -] */
static void push_site(lua_State *L) {
    lua_Debug ar;
    if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "fl", &ar)) {
        lua_pushinteger(L, ar.currentline);
        return;
    }
    lua_pushnil(L);
    lua_pushinteger(L, -1);
}

/* A new object, of no task yet. [-0, +1, m] */
static struct task *new_object(lua_State *L, struct kernel *k) {
    struct task *t = lua_newuserdatauv(L, sizeof *t, 2);
    memset(t, 0, sizeof *t);
    list_init(&t->link);
    t->kernel = k;
    t->state = TASK_INITIAL;
    t->flags = T_DONE; /* until it is started */
    lua_rawgeti(L, LUA_REGISTRYINDEX, k->meta_ref);
    lua_setmetatable(L, -2);
    return t;
}

/* Nothing in here may raise: the task is made. */
static void start(struct kernel *k, struct task *t, lua_State *co) {
    uint32_t slot = k->idle_slots[--k->idle];
    k->slots[slot].tagged = (uintptr_t)t;
    t->L = co;
    t->slot = slot;
    t->id = ++k->last_id;
    t->flags = 0;
    if (k->current) {
        t->parent = k->current->id;
        t->flags = k->current->flags & T_LOCALS;
    }
    k->live++;
    list_add_tail(&k->ready, &t->link);
}

struct task *task_spawn(lua_State *L, struct kernel *k, int nargs) {
    int fn = lua_gettop(L) - nargs;
    luaL_checkstack(L, nargs + 8, "spawn");
    struct task *t = new_object(L, k);
    int object = fn + nargs + 1;
    /* From here on nothing may collect garbage: a finaliser that spawns would take the same
     * coroutine. */
    lua_State *co = kernel_idle_coroutine(L, k);
    if (!lua_checkstack(co, nargs + 8))
        luaL_error(L, "spawn: too many arguments (%d)", nargs);
    lua_pushvalue(L, fn);
    lua_setiuservalue(L, object, TASK_UV_NAME);
    lua_pushcfunction(L, outcome_base);
    lua_pushvalue(L, object);
    push_site(L);
    lua_pushcfunction(L, outcome_handler);
    for (int i = fn; i < object; i++)
        lua_pushvalue(L, i);
    lua_xmove(L, co, nargs + 6);
    if (lua_gethook(L))
        lua_sethook(co, lua_gethook(L), lua_gethookmask(L), lua_gethookcount(L));
    lua_copy(L, object, fn);
    lua_settop(L, fn);
    start(k, t, co);
    return t;
}

/* Calls a hook with the task's object, which is on top. [-0, +0, -] */
static void tell(lua_State *L, const char *hook) {
    lua_pushvalue(L, -1);
    kernel_hook(L, hook, 1);
}

void task_announce(lua_State *L, struct task *t) {
    if (t->flags & T_LOCALS)
        tell(L, "inherit");
    if (t->kernel->observed & OBSERVED_BY_TRACE) {
        trace_created(t->kernel->trace, t->slot, t->id, task_push_name(L, t, -1));
        lua_pop(L, 1);
    }
    if (t->kernel->observed & OBSERVED_BY_LUA)
        tell(L, "created");
}

/* The object stands in the frame of the base function, at the bottom of the coroutine. */
static void push_from_stack(lua_State *L, struct task *t) {
    lua_Debug ar;
    lua_State *co = t->L;
    luaL_checkstack(co, 2, "task");
    int level = 0;
    while (t->flags & T_STARTED && lua_getstack(co, level, &ar))
        level++;
    if (!(t->flags & T_STARTED) || (level == 0 && lua_status(co) == LUA_ERRMEM)) {
        lua_pushvalue(co, 1 + BASE_TASK); /* not begun, or no memory to begin */
    } else {
        if (!level)
            luaL_error(L, "the coroutine of task %d was taken apart", (int)t->id);
        lua_getstack(co, level - 1, &ar);
        lua_getlocal(co, &ar, BASE_TASK);
    }
    if (co != L)
        lua_xmove(co, L, 1);
}

/* Who asks is likely to ask again: from then on it stands in a table of the kernel too. */
void task_push(lua_State *L, struct task *t) {
    kernel_push_table(L, t->kernel, KERNEL_TASKS);
    if (t->flags & T_LISTED) {
        lua_rawgeti(L, -1, t->slot);
    } else {
        push_from_stack(L, t);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, t->slot);
        t->flags |= T_LISTED;
    }
    lua_remove(L, -2);
}

struct task *task_check(lua_State *L, int arg) {
    struct kernel *k = kernel_current;
    if (k && lua_type(L, arg) == LUA_TUSERDATA && lua_getmetatable(L, arg)) {
        bool same = lua_topointer(L, -1) == k->task_meta;
        lua_pop(L, 1);
        if (same)
            return lua_touserdata(L, arg);
    }
    return luaL_checkudata(L, arg, "curio.Task");
}

/* ---- sleeping and waking ---- */

static bool deadlines_count(const struct task *t) {
    return t->scope && !t->shields && !(t->flags & T_CANCELLED);
}

void task_sleep(struct task *t, const char *state, void (*undo)(struct task *), void *on,
                int64_t wake_at) {
    struct kernel *k = t->kernel;
    assert(k->current == t && !k->parked);
    t->flags |= T_ASLEEP;
    t->state = state;
    t->undo = undo;
    t->on = on;
    k->parked = true;
    if (deadlines_count(t) && t->scope->effective < wake_at)
        wake_at = t->scope->effective;
    if (wake_at != CLOCK_NEVER)
        heap_add(&k->timers, &t->timer, wake_at);
}

bool task_spent(struct task *t) {
    struct kernel *k = t->kernel;
    if (task_afford(k))
        return false;
    return --k->io_budget < 0 || (!k->jumping && clock_tick() != k->tick);
}

void task_give_way(struct task *t) {
    t->state = TASK_READY;
    t->wake = WAKE_OK;
    t->kernel->parked = true;
    list_add_tail(&t->kernel->ready, &t->link);
}

void task_unlink(struct task *t) {
    list_del(&t->link);
}

void task_wake(struct task *t, enum wake_reason why) {
    struct kernel *k = t->kernel;
    assert(t->flags & T_ASLEEP);
    if (k->observed & OBSERVED_BY_TRACE)
        trace_woken(k->trace, t->slot, t->id);
    t->undo(t);
    if (timer_pending(&t->timer))
        heap_del(&k->timers, &t->timer);
    t->flags &= (uint16_t)~T_ASLEEP;
    t->wake = (uint8_t)why;
    t->state = TASK_READY;
    list_add_tail(&k->ready, &t->link);
}

/* ---- nested coroutines ---- */

lua_State *task_resumed_by(const struct task *t, lua_State *L) {
    int top = lua_gettop(L) - (L == t->L ? t->values : 0);
    if (top && lua_touserdata(L, top) == TASK_TRAP_MARK)
        top--;
    if (top < 2 || lua_touserdata(L, top) != TASK_NEST_MARK)
        return NULL;
    return lua_tothread(L, top - 1);
}

lua_State *task_innermost(struct task *t) {
    if (t->kernel->current == t)
        return t->kernel->inner;
    lua_State *L = t->L;
    if (lua_status(L) != LUA_YIELD)
        return L;
    for (lua_State *inner; (inner = task_resumed_by(t, L)) != NULL;)
        L = inner;
    return L;
}

static void close_chain(const struct task *t, lua_State *L) {
    lua_State *inner = lua_status(L) == LUA_YIELD ? task_resumed_by(t, L) : NULL;
    if (inner)
        close_chain(t, inner);
    lua_resetthread(L);
}

/* ---- running and ending ---- */

static struct task *next_joiner(const struct task *joiner) {
    return container_of(joiner->link.next, struct task, link);
}

static void leave_joiners(struct task *self) {
    struct task *t = self->on;
    if (t->joiner == self)
        t->joiner = next_joiner(self) == self ? NULL : next_joiner(self);
    list_del(&self->link);
}

void task_sleep_until_end(struct task *self, struct task *t, const char *state, int64_t wake_at) {
    task_sleep(self, state, leave_joiners, t, wake_at);
    if (t->joiner)
        list_add_tail(&t->joiner->link, &self->link);
    else
        t->joiner = self;
}

bool task_joined(const struct task *t) {
    const struct task *joiner = t->joiner;
    while (joiner && joiner->state != TASK_JOIN)
        joiner = next_joiner(joiner) == t->joiner ? NULL : next_joiner(joiner);
    return joiner != NULL;
}

/* Does anybody wait who will look at how it ended? Who has only told it to end does not. */
static bool is_watched(const struct task *t) {
    if (t->member && !t->member->daemon && !t->member->neutral)
        return true;
    const struct task *joiner = t->joiner;
    while (joiner && joiner->state == TASK_CANCEL)
        joiner = next_joiner(joiner) == t->joiner ? NULL : next_joiner(joiner);
    return joiner != NULL;
}

static void wake_joiners(struct task *t) {
    while (t->joiner)
        task_wake(t->joiner, WAKE_OK);
}

/* Is the outcome below the top of L an order to end, obeyed? Escaped timeouts are not: they are
 * failures. */
static bool is_order(lua_State *L, struct task *t) {
    lua_pushvalue(L, -2);
    if (outcome_is_failure(L, -1))
        lua_rawgeti(L, -1, 1);
    else
        lua_pushvalue(L, -1);
    bool yes = error_is(L, -1, "TaskCancelled");
    if (!yes && t->flags & T_CANCELLED) {
        kernel_kept(L, t->kernel, task_pending_key(t));
        yes = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return yes;
}

/* With the task's object on top: reports a crash that nobody would see. [-0, +0, -] */
static void report(lua_State *L, struct task *t, bool watched) {
    const struct kernel *k = t->kernel;
    if (!(t->flags & T_FAILED) || watched || t->flags & T_CLOSE)
        return;
    if (t != k->main && t != k->principal)
        tell(L, "crash");
}

/* Drops what the kernel's tables hold for it. Allocates nothing. */
static void unlist(lua_State *L, struct task *t) {
    const void *keys[] = {task_pending_key(t), task_throw_key(t), task_traceback_key(t)};
    for (int i = 0; i < 3; i++)
        kernel_forget(L, t->kernel, keys[i]);
    kernel_push_table(L, t->kernel, KERNEL_TASKS);
    lua_pushnil(L);
    lua_rawseti(L, -2, t->slot);
    lua_pop(L, 1);
}

/* With the outcome and the task's object on top of the kernel's state. [-2, +0, -] */
static void finish(struct task *t, bool reuse) {
    struct kernel *k = t->kernel;
    lua_State *L = k->L;
    bool order = t->flags & T_FAILED && is_order(L, t);
    if (order)
        t->flags |= T_ORDERED;
    if (!lua_isnil(L, -2)) {
        lua_pushvalue(L, -2);
        lua_setiuservalue(L, -2, TASK_UV_OUTCOME);
    }
    while (t->scope)
        task_leave_scope(L, t, t->scope);
    if (t->flags & (T_FAILED | T_CANCEL_ASKED | T_THROW | T_LISTED))
        unlist(L, t);
    kernel_give_back(k, t->slot, t->L, reuse);
    t->flags |= T_DONE;
    t->state = TASK_TERMINATED;
    t->L = NULL;
    if (t == k->chunk)
        k->chunk = NULL;
    else if (t == k->principal && t != k->main)
        kernel_cancel_since(k, t->id);
    bool watched = order || is_watched(t);
    if (t->member)
        group_member_ended(L, t, order);
    wake_joiners(t);
    report(L, t, watched);
    if (k->observed & OBSERVED_BY_LUA) {
        tell(L, "suspended");
        tell(L, "terminated");
    }
    lua_pop(L, 2);
}

/* A task that was cancelled before it began, or that a shutdown found waiting to begin. */
static bool never_begins(struct task *t) {
    struct kernel *k = t->kernel;
    if (t->flags & T_STARTED || !(t->flags & T_CANCELLED))
        return false;
    kernel_kept(k->L, k, task_pending_key(t));
    task_push(k->L, t);
    lua_settop(t->L, 0);
    t->flags |= T_FAILED;
    finish(t, true);
    return true;
}

static int resume(struct task *t, int *nresults) {
    struct kernel *k = t->kernel;
    int nvalues = t->values;
    if (!(t->flags & T_STARTED)) {
        t->flags |= T_STARTED;
        nvalues = lua_gettop(t->L) - 1;
    }
    t->values = 0;
    t->state = TASK_RUNNING;
    t->cycles++;
    k->io_budget = IO_BUDGET;
    k->current = t;
    k->top = k->inner = t->L;
    int status = lua_resume(t->L, k->L, nvalues, nresults);
    k->current = NULL;
    k->top = k->inner = NULL;
    return status;
}

static void tell_running(struct task *t) {
    lua_State *L = t->kernel->L;
    t->state = TASK_RUNNING;
    task_push(L, t);
    kernel_hook(L, "running", 1);
}

static void tell_suspended(struct task *t) {
    lua_State *L = t->kernel->L;
    task_push(L, t);
    lua_pushstring(L, t->state);
    kernel_hook(L, "suspended", 2);
}

/* Has somebody else resumed or closed its coroutine? */
static bool is_spoilt(const struct task *t) {
    if (t->flags & T_STARTED)
        return lua_status(t->L) != LUA_YIELD;
    return lua_status(t->L) != LUA_OK || lua_gettop(t->L) < BASE_HANDLER + 2;
}

/* Has it been cancelled, or a deadline passed that the kernel knows to be over? */
static bool is_due(const struct task *t) {
    if (t->shields)
        return false;
    return t->flags & T_CANCELLED || (t->scope && t->scope->effective <= t->kernel->now);
}

/* A task that was interrupted while it was ready, and then had to go on waiting, or only gave way:
   it might do so for ever, where there is always more to read, and no timer and no cancel find it.
 */
static void overtake(struct task *t) {
    if (!is_due(t))
        return;
    if (t->flags & T_ASLEEP)
        task_wake(t, WAKE_INTERRUPTED);
    else
        t->wake = WAKE_INTERRUPTED;
}

/* Ends the task with an error of ours. */
static void fail(struct task *t, const char *message) {
    error_new(t->kernel->L, "CurioError", "%s", message);
    task_close(t);
}

/* It has put itself to sleep. */
static void park(struct task *t) {
    struct kernel *k = t->kernel;
    if (k->observed & OBSERVED_BY_TRACE)
        trace_suspended(k->trace, t->slot, t->state == TASK_READY ? NULL : t->state);
    overtake(t);
    if (k->observed & OBSERVED_BY_LUA)
        tell_suspended(t);
}

/* It has come to an end, of whatever kind. */
static void end(struct task *t, int status, bool parked) {
    struct kernel *k = t->kernel;
    if (status == LUA_YIELD) {
        fail(t, parked ? "closed by force: it never heeded its cancellation"
                       : "the task has yielded, but not to the kernel");
        return;
    }
    if (status == LUA_OK) {
        lua_xmove(t->L, k->L, 2);
    } else { /* the base itself failed: no memory */
        t->flags |= T_FAILED;
        lua_xmove(t->L, k->L, 1);
        push_from_stack(k->L, t);
        lua_resetthread(t->L);
    }
    finish(t, status == LUA_OK);
}

void task_run(struct task *t) {
    struct kernel *k = t->kernel;
    if (is_spoilt(t)) {
        fail(t, "its coroutine was resumed or closed by other means than its kernel");
        return;
    }
    if (never_begins(t))
        return;
    if (k->observed & OBSERVED_BY_TRACE)
        trace_running(k->trace, t->slot, t->id);
    if (k->observed & OBSERVED_BY_LUA)
        tell_running(t);
    int nresults;
    int status = resume(t, &nresults);
    bool parked = k->parked;
    k->parked = false;
    if (status == LUA_YIELD && parked && !(t->flags & T_CLOSE)) {
        park(t);
        return;
    }
    end(t, status, parked);
    if (k->observed & OBSERVED_BY_TRACE)
        trace_suspended(k->trace, 0, NULL);
}

void task_close(struct task *t) {
    lua_State *L = t->kernel->L;
    if (t->flags & T_ASLEEP)
        task_wake(t, WAKE_INTERRUPTED);
    list_del(&t->link);
    task_push(L, t);
    if (t->flags & T_CLOSE)
        tell(L, "forced");
    close_chain(t, t->L);
    t->flags |= T_FAILED;
    t->flags &= (uint16_t)~T_PACKED;
    finish(t, false);
}

void task_mourn(lua_State *L, struct task *t) {
    task_push(L, t);
    error_new(L, "CurioError", "its kernel was never shut down");
    lua_setiuservalue(L, -2, TASK_UV_OUTCOME);
    lua_pop(L, 1);
}

void task_abandon(lua_State *L, struct task *t) {
    if (t->flags & T_ASLEEP)
        t->undo(t);
    if (t->member)
        group_detach(L, t);
    task_drop_scopes(t->scope);
    t->scope = NULL;
    t->flags = (uint16_t)((t->flags | T_DONE | T_FAILED) & ~(T_PACKED | T_ASLEEP));
    t->state = TASK_TERMINATED;
    t->L = NULL;
    t->kernel = NULL;
    list_del(&t->link);
}

const char *task_push_name(lua_State *L, struct task *t, int object) {
    (void)t;
    int type = lua_getiuservalue(L, object, TASK_UV_NAME);
    if (type == LUA_TFUNCTION) {
        lua_Debug ar;
        lua_getinfo(L, ">S", &ar);
        if (ar.linedefined < 0)
            return lua_pushliteral(L, "[C]");
        return lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined ? ar.linedefined : 1);
    }
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1);
    const char *name = luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
    return name;
}
