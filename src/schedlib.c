/*
 * schedlib.c - core.sched(): a list of sleeping tasks, the stuff that locks and queues are made of.
 *
 * Whoever wakes may hand values over, and whoever sleeps may bring one for its waker: they pass
 * straight from stack to stack, so nothing is allocated, nobody can come between, and what a cancelled
 * sleeper brought goes with it.
 */
#include "clock.h"
#include "kernel.h"
#include "lib.h"

#define MAX_VALUES 200

struct sched {
    struct list waiters;
    lua_Integer count;
    lua_Integer default_n; /* how many wake() wakes that does not say */
};

/* Stack of a sleeper. */
enum { SLEEPER_SCHED = 1, SLEEPER_STATE, SLEEPER_OFFER };

static struct sched *sched_check(lua_State *L) {
    return luaL_checkudata(L, 1, "curio.sched");
}

/* sched([n]): a list whose wake() wakes n tasks by default; all without n */
static int f_sched(lua_State *L) {
    lua_Integer n = luaL_optinteger(L, 1, LUA_MAXINTEGER);
    struct sched *s = lua_newuserdatauv(L, sizeof *s, 0);
    list_init(&s->waiters);
    s->count = 0;
    s->default_n = n;
    luaL_setmetatable(L, "curio.sched");
    return 1;
}

static void leave(struct task *t) {
    struct sched *s = t->on;
    list_del(&t->link);
    s->count--;
}

/* [sched, state, offer, values...] */
static int suspended(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    task_woken(L);
    return lua_gettop(L) - SLEEPER_OFFER;
}

/* suspend([state [, offer]]): what wake hands over; blocks */
static int m_suspend(lua_State *L) {
    struct sched *s = sched_check(L);
    lua_settop(L, SLEEPER_OFFER);
    const char *state = luaL_optstring(L, 2, "SUSPEND"); /* stays on the stack as long as we sleep */
    struct task *t = task_enter(L, "sched:suspend");
    task_sleep(t, state, leave, s, CLOCK_NEVER);
    list_add_tail(&s->waiters, &t->link);
    s->count++;
    return lua_yieldk(L, 0, 0, suspended);
}

/* Puts copies of the n values from index `first` on the sleeper's stack. [-0, +0, v] */
static void hand_over(lua_State *L, struct task *t, int first, int n) {
    if (!n)
        return;
    if (!lua_checkstack(t->L, n))
        luaL_error(L, "sched:wake: too many values (%d)", n);
    for (int i = 0; i < n; i++)
        lua_pushvalue(L, first + i);
    lua_xmove(L, t->L, n);
    t->values = (uint8_t)n;
}

/* Pushes what the sleeper brought. [-0, +1, -] */
static void push_offer(lua_State *L, struct task *t) {
    lua_State *sleeper = task_innermost(t);
    lua_pushvalue(sleeper, SLEEPER_OFFER); /* its C frame has LUA_MINSTACK slots */
    lua_xmove(sleeper, L, 1);
}

/* wake([n], ...): wakes up to n tasks, first come first, with these values; how many it were, and what
   the first of them had brought */
static int m_wake(lua_State *L) {
    struct sched *s = sched_check(L);
    lua_Integer n = luaL_optinteger(L, 2, s->default_n);
    int nvalues = lua_gettop(L) > 2 ? lua_gettop(L) - 2 : 0;
    luaL_argcheck(L, n >= 0, 2, "must not be negative");
    luaL_argcheck(L, nvalues <= MAX_VALUES, 3, "too many values");
    luaL_checkstack(L, nvalues + 2, "sched:wake");
    if (n == 0 || list_empty(&s->waiters)) {
        lua_pushinteger(L, 0);
        return 1;
    }
    push_offer(L, container_of(s->waiters.next, struct task, link));
    int offer = lua_gettop(L);
    lua_Integer woken = 0;
    while (woken < n && !list_empty(&s->waiters)) {
        struct task *t = container_of(s->waiters.next, struct task, link);
        hand_over(L, t, 3, nvalues);
        task_wake(t, WAKE_OK);
        woken++;
    }
    lua_pushinteger(L, woken);
    lua_pushvalue(L, offer);
    return 2;
}

static int mm_len(lua_State *L) {
    lua_pushinteger(L, sched_check(L)->count);
    return 1;
}

static const luaL_Reg methods[] = {
    {"suspend", m_suspend},
    {"wake", m_wake},
    {NULL, NULL},
};

int open_schedlib(lua_State *L) {
    luaL_newmetatable(L, "curio.sched");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, mm_len);
    lua_setfield(L, -2, "__len");
    lua_pop(L, 1);
    lua_pushcfunction(L, f_sched);
    return 1;
}
