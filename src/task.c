/*
 * task.c - the life of a task: made, resumed, asleep, woken, cancelled, ended.
 *
 * A body runs under a base function that calls it protected, inside the coroutine. So an error unwinds
 * there, where `__close` handlers may still block; and a task is cancelled by raising in it at the
 * place where it sleeps, never by taking its coroutine away. Cancellation is level-triggered: the
 * error stays pending, and every blocking call raises it again.
 */
#include "task.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "group.h"
#include "kernel.h"
#include "lib.h"

#define SWALLOW_LIMIT 8 /* a cancellation caught that often passes through pcall */
#define DELIVER_LIMIT 250 /* raised that often, it is not being heard: the task is closed */
#define IO_BUDGET 64

const char TASK_INITIAL[] = "INITIAL";
const char TASK_READY[] = "READY";
const char TASK_RUNNING[] = "RUNNING";
const char TASK_TERMINATED[] = "TERMINATED";
const char TASK_JOIN[] = "TASK_JOIN";

char task_trap_mark, task_nest_mark;

static char failure_key; /* registry: the metatable that tells a failure record from other tables */

/* ---- the base of every task ---- */

/* Errors and tracebacks of a task that are not the outcome (yet) stand in the kernel's table of tasks
   under these addresses; those of scopes stand under the scopes'. */
static const void *pending_key(struct task *t) {
    return t;
}
static const void *throw_key(struct task *t) {
    return (char *)t + 1;
}
static const void *traceback_key(struct task *t) {
    return (char *)t + 2;
}

/* [-1, +0, m] */
static void store(lua_State *L, struct kernel *k, const void *key) {
    kernel_push_tasks(L, k);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, key);
    lua_pop(L, 1);
}

/* [-0, +1, -] */
static int fetch(lua_State *L, struct kernel *k, const void *key) {
    kernel_push_tasks(L, k);
    int type = lua_rawgetp(L, -1, key);
    lua_remove(L, -2);
    return type;
}

static void forget(lua_State *L, struct kernel *k, const void *key) {
    lua_pushnil(L);
    store(L, k, key);
}

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

static bool is_failure(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key);
    bool yes = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return yes;
}

/* Message handler. The error must stay what it is, since __close handlers see it; the traceback is kept
   beside it, and in it if it is one of ours and has none. */
static int base_handler(lua_State *L) {
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
    store(L, k, traceback_key(k->current));
    return 1;
}

/* Slots of the base function's frame. */
enum { BASE_TASK = 1, BASE_SITE, BASE_LINE, BASE_HANDLER };

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

/* Returns the task's object and its outcome: nil, the result, the table of results, or the failure. */
static int base_ended(lua_State *L, int status, lua_KContext ctx) {
    (void)ctx;
    struct task *t = kernel_current->current;
    if (status != LUA_OK && status != LUA_YIELD) {
        t->flags |= T_FAILED;
        fetch(L, t->kernel, traceback_key(t));
        push_site_text(L);
        make_failure(L);
    } else {
        keep_results(L, t, lua_gettop(L) - BASE_HANDLER);
    }
    lua_pushvalue(L, BASE_TASK);
    lua_insert(L, -2);
    return 2;
}

/* Called with [task, site, line, handler, function, arguments...]. The task's object lives here as long
   as the body runs; site and line say who spawned it. */
static int base(lua_State *L) {
    int nargs = lua_gettop(L) - BASE_HANDLER - 1;
    return base_ended(L, lua_pcallk(L, nargs, LUA_MULTRET, BASE_HANDLER, 0, base_ended), 0);
}

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
    lua_State *co = kernel_idle_coroutine(L, k);
    if (!lua_checkstack(co, nargs + 8))
        luaL_error(L, "spawn: too many arguments (%d)", nargs);
    struct task *t = new_object(L, k);
    int object = fn + nargs + 1;
    lua_pushvalue(L, fn);
    lua_setiuservalue(L, object, TASK_UV_NAME);
    lua_pushcfunction(L, base);
    lua_pushvalue(L, object);
    push_site(L);
    lua_pushcfunction(L, base_handler);
    for (int i = fn; i < object; i++)
        lua_pushvalue(L, i);
    lua_xmove(L, co, nargs + 6);
    lua_copy(L, object, fn);
    lua_settop(L, fn);
    start(k, t, co);
    return t;
}

/* The object stands in the frame of the base function, at the bottom of the coroutine. */
static void push_from_stack(lua_State *L, struct task *t) {
    lua_Debug ar;
    lua_State *co = t->L;
    luaL_checkstack(co, 2, "task");
    if (!(t->flags & T_STARTED)) {
        lua_pushvalue(co, 1 + BASE_TASK);
    } else {
        int level = 0;
        while (lua_getstack(co, level, &ar))
            level++;
        lua_getstack(co, level - 1, &ar);
        lua_getlocal(co, &ar, BASE_TASK);
    }
    if (co != L)
        lua_xmove(co, L, 1);
}

/* Who asks is likely to ask again: from then on it stands in the table of tasks too. */
void task_push(lua_State *L, struct task *t) {
    lua_Integer key = -(lua_Integer)t->slot;
    kernel_push_tasks(L, t->kernel);
    if (t->flags & T_LISTED) {
        lua_rawgeti(L, -1, key);
    } else {
        push_from_stack(L, t);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, key);
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
    assert(t->flags & T_ASLEEP);
    t->undo(t);
    heap_del(&t->kernel->timers, &t->timer);
    t->flags &= (uint16_t)~T_ASLEEP;
    t->wake = (uint8_t)why;
    t->state = TASK_READY;
    list_add_tail(&t->kernel->ready, &t->link);
}

/* ---- interruption ---- */

bool task_interrupted(struct task *t) {
    if (t->shields)
        return false;
    return t->flags & T_CANCELLED || (t->scope && t->scope->effective <= t->kernel->now);
}

/* One error object for each expired scope (or inner scope that sees an outer one expire), so that it
   stays the same however often it is raised. */
static void push_scope_error(lua_State *L, struct task *t) {
    struct scope *expired = scope_expired(t->scope, t->kernel->now);
    struct scope *inner = scope_innermost(t->scope, SCOPE_TIMEOUT);
    bool own = expired == inner;
    struct scope *key = expired->kind == SCOPE_GROUP || own ? expired : inner;
    if (fetch(L, t->kernel, key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    if (expired->kind == SCOPE_GROUP)
        error_new(L, "TaskCancelled", "cancelled: a member of the group failed");
    else if (own)
        error_new(L, "TaskTimeout", "timed out");
    else
        error_new(L, "TimeoutCancellationError", "cancelled: an outer timeout expired");
    lua_pushvalue(L, -1);
    store(L, t->kernel, key);
}

void task_push_interrupt(lua_State *L, struct task *t) {
    luaL_checkstack(L, 5, "cancellation");
    if (t->flags & T_CANCELLED)
        fetch(L, t->kernel, pending_key(t));
    else
        push_scope_error(L, t);
}

int task_raise_interrupt(lua_State *L, struct task *t) {
    task_push_interrupt(L, t);
    if (t->delivered < UINT8_MAX)
        t->delivered++;
    return lua_error(L);
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
    if (t->delivered >= DELIVER_LIMIT) {
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
    if (!lua_isyieldable(L))
        return "cannot block here, Lua cannot yield across this call (a comparator, a gsub callback, "
               "a metamethod of C, a finaliser, require under stock Lua, ...)";
    return "cannot block in a coroutine that was not resumed by coroutine.resume or coroutine.wrap "
           "in this task";
}

struct task *task_enter(lua_State *L, const char *verb) {
    struct kernel *k = kernel_current;
    if (!k || k->top != L || !lua_isyieldable(L))
        luaL_error(L, "%s: %s", verb, why_not(L, k));
    struct task *t = k->current;
    if ((t->scope || t->flags & T_CANCELLED) && task_interrupted(t))
        raise_pending(L, t);
    return t;
}

struct task *task_woken(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k || k->top != L)
        luaL_error(L, "a coroutine asleep in a task was resumed by other means than its kernel");
    struct task *t = k->current;
    if (t->wake == WAKE_OK)
        return t;
    if (t->flags & T_THROW) {
        t->flags &= (uint16_t)~T_THROW;
        fetch(L, k, throw_key(t));
        forget(L, k, throw_key(t));
        lua_error(L);
    }
    task_raise_interrupt(L, t);
    return NULL;
}

void task_throw(lua_State *L, struct task *t) {
    store(L, t->kernel, throw_key(t));
    t->flags |= T_THROW;
    task_wake(t, WAKE_INTERRUPTED);
}

static void interrupt(struct task *t) {
    t->delivered = 0;
    t->swallowed = 0;
    if (t->flags & T_ASLEEP && !t->shields)
        task_wake(t, WAKE_INTERRUPTED);
}

void task_cancel(lua_State *L, struct task *t) {
    if (t->flags & (T_DONE | T_CANCELLED)) {
        lua_pop(L, 1);
        return;
    }
    store(L, t->kernel, pending_key(t));
    t->flags |= T_CANCELLED | T_CANCEL_ASKED;
    interrupt(t);
}

void task_set_pending(lua_State *L, struct task *t) {
    bool pending = !lua_isnil(L, -1);
    store(L, t->kernel, pending_key(t));
    t->flags &= (uint16_t)~T_CANCELLED;
    if (pending)
        t->flags |= T_CANCELLED;
    t->delivered = t->swallowed = 0;
}

static bool is_pending(lua_State *L, struct task *t) {
    if (error_is(L, -1, "CancelledError"))
        return true;
    if (!(t->flags & T_CANCELLED))
        return false;
    fetch(L, t->kernel, pending_key(t));
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    return same;
}

void task_caught(lua_State *L) {
    struct kernel *k = kernel_current;
    if (!k || k->top != L)
        return;
    struct task *t = k->current;
    if (!(t->scope || t->flags & T_CANCELLED) || !task_interrupted(t) || !is_pending(L, t))
        return;
    if (t->swallowed < SWALLOW_LIMIT)
        t->swallowed++;
    else
        lua_error(L);
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
    forget(L, t->kernel, s);
    if (!task_interrupted(t))
        t->delivered = t->swallowed = 0;
}

void task_leave_scope(lua_State *L, struct task *t, struct scope *s) {
    if (s->effective <= t->kernel->now || s->expired)
        forget(L, t->kernel, s);
    release_scope(t, s);
    if (!task_interrupted(t))
        t->delivered = t->swallowed = 0;
}

struct scope *task_detach_scopes(struct task *t, lua_State *L) {
    struct scope *taken = scope_detach(&t->scope, L);
    t->shields = (uint16_t)(t->shields - scope_shields(taken));
    return taken;
}

void task_attach_scopes(struct task *t, struct scope *taken) {
    t->shields = (uint16_t)(t->shields + scope_shields(taken));
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

void task_expire_scope(struct task *t, struct scope *s) {
    if (s->expired)
        return;
    s->expired = true;
    scope_set_deadline(t->scope, s, INT64_MIN);
    if (!(t->flags & T_CANCELLED))
        interrupt(t);
}

/* ---- nested coroutines ---- */

lua_State *task_resumed_by(lua_State *L) {
    int top = lua_gettop(L);
    if (top && lua_touserdata(L, top) == TASK_TRAP_MARK)
        top--;
    if (top < 2 || lua_touserdata(L, top) != TASK_NEST_MARK)
        return NULL;
    return lua_tothread(L, top - 1);
}

lua_State *task_innermost(struct task *t) {
    if (t->kernel->current == t)
        return t->kernel->top ? t->kernel->top : t->L;
    lua_State *L = t->L;
    if (lua_status(L) != LUA_YIELD)
        return L;
    for (lua_State *inner; (inner = task_resumed_by(L)) != NULL;)
        L = inner;
    return L;
}

static void close_chain(lua_State *L) {
    lua_State *inner = lua_status(L) == LUA_YIELD ? task_resumed_by(L) : NULL;
    if (inner)
        close_chain(inner);
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

static void wake_joiners(struct task *t) {
    while (t->joiner)
        task_wake(t->joiner, WAKE_OK);
}

/* Is the outcome on top of L an order to end, obeyed? Escaped timeouts are not: they are failures. */
static bool is_order(lua_State *L, struct task *t) {
    bool wrapped = is_failure(L, -1);
    if (wrapped)
        lua_rawgeti(L, -1, 1);
    bool yes = error_is(L, -1, "TaskCancelled");
    if (!yes && t->flags & T_CANCELLED) {
        fetch(L, t->kernel, pending_key(t));
        yes = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
    }
    if (wrapped)
        lua_pop(L, 1);
    return yes;
}

/* With the task's object on top: reports a crash that nobody would see. [-0, +0, -] */
static void report(lua_State *L, struct task *t, bool watched) {
    if (!(t->flags & T_FAILED) || watched || t == t->kernel->main || t == t->kernel->principal)
        return;
    lua_pushvalue(L, -1);
    kernel_hook(L, "crash", 1);
}

/* Drops what the table of tasks holds for it. Allocates nothing. */
static void unlist(lua_State *L, struct task *t) {
    const void *keys[] = {pending_key(t), throw_key(t), traceback_key(t)};
    kernel_push_tasks(L, t->kernel);
    for (int i = 0; i < 3; i++) {
        lua_pushnil(L);
        lua_rawsetp(L, -2, keys[i]);
    }
    lua_pushnil(L);
    lua_rawseti(L, -2, -(lua_Integer)t->slot);
    lua_pop(L, 1);
}

/* With the task's object and its outcome on top of the kernel's state. [-2, +0, -] */
static void finish(struct task *t, bool reuse) {
    struct kernel *k = t->kernel;
    lua_State *L = k->L;
    bool order = t->flags & T_FAILED && is_order(L, t);
    lua_setiuservalue(L, -2, TASK_UV_OUTCOME);
    while (t->scope)
        task_leave_scope(L, t, t->scope);
    if (t->flags & (T_FAILED | T_CANCEL_ASKED | T_THROW | T_LISTED))
        unlist(L, t);
    kernel_give_back(k, t->slot, t->L, reuse);
    t->flags |= T_DONE;
    t->state = TASK_TERMINATED;
    t->L = NULL;
    bool watched = order || t->joiner != NULL || (t->member && !t->member->daemon);
    if (t->member)
        group_member_ended(L, t, order);
    wake_joiners(t);
    report(L, t, watched);
    lua_pop(L, 1);
}

/* A task that was cancelled before it began, or that a shutdown found waiting to begin. */
static bool never_begins(struct task *t) {
    struct kernel *k = t->kernel;
    if (t->flags & T_STARTED || !(t->flags & T_CANCELLED))
        return false;
    task_push(k->L, t);
    lua_settop(t->L, 0);
    t->flags |= T_FAILED;
    fetch(k->L, k, pending_key(t));
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
    k->top = t->L;
    int status = lua_resume(t->L, k->L, nvalues, nresults);
    k->current = NULL;
    k->top = NULL;
    return status;
}

void task_run(struct task *t) {
    struct kernel *k = t->kernel;
    if (never_begins(t))
        return;
    int nresults;
    int status = resume(t, &nresults);
    bool parked = k->parked;
    k->parked = false;
    if (status == LUA_YIELD) {
        if (parked && !(t->flags & T_CLOSE))
            return;
        error_new(k->L, "CurioError",
                  parked ? "closed by force: it went on after its cancellation was raised %d times"
                         : "a task yielded outside the kernel (%d)",
                  DELIVER_LIMIT);
        task_close(t);
        return;
    }
    if (status == LUA_OK) {
        lua_xmove(t->L, k->L, 2);
    } else { /* the base itself failed: no memory */
        t->flags |= T_FAILED;
        push_from_stack(k->L, t);
        lua_xmove(t->L, k->L, 1);
        lua_resetthread(t->L);
    }
    finish(t, status == LUA_OK);
}

void task_close(struct task *t) {
    lua_State *L = t->kernel->L;
    if (t->flags & T_ASLEEP)
        task_wake(t, WAKE_INTERRUPTED);
    list_del(&t->link);
    task_push(L, t);
    lua_insert(L, -2);
    close_chain(t->L);
    t->flags |= T_FAILED;
    t->flags &= (uint16_t)~T_PACKED;
    finish(t, false);
}

/* ---- outcomes ---- */

void task_push_error(lua_State *L, struct task *t, int object) {
    (void)t;
    lua_getiuservalue(L, object, TASK_UV_OUTCOME);
    if (!is_failure(L, -1)) {
        lua_pushnil(L);
        return;
    }
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    lua_remove(L, -3);
}

void task_push_site(lua_State *L, struct task *t, int object) {
    (void)t;
    lua_getiuservalue(L, object, TASK_UV_OUTCOME);
    if (is_failure(L, -1))
        lua_rawgeti(L, -1, 3);
    else
        lua_pushnil(L);
    lua_remove(L, -2);
}

int task_push_results(lua_State *L, struct task *t, int object) {
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

const char *task_push_name(lua_State *L, struct task *t, int object) {
    (void)t;
    int type = lua_getiuservalue(L, object, TASK_UV_NAME);
    if (type == LUA_TFUNCTION) {
        lua_Debug ar;
        lua_getinfo(L, ">S", &ar);
        if (ar.linedefined < 0)
            return lua_pushliteral(L, "[C]");
        return lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
    }
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1);
    const char *name = luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
    return name;
}
