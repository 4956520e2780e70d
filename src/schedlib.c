/*
 * schedlib.c - core.sched(): the lists of waitlist.h as objects.
 */
#include "waitlist.h"

#include "kernel.h"
#include "lib.h"

#define MAX_VALUES 200

static const char sched_magic;

struct box {
    const char *magic; /* &sched_magic, in these objects only */
    struct waitlist list;
    lua_Integer default_n; /* how many wake() wakes that does not say */
};

/* Stack of a sleeper. */
enum { SLEEPER_SELF = 1, SLEEPER_STATE, SLEEPER_OFFER };

/* Quicker than luaL_checkudata; every lock lives on it. */
static struct box *sched_check(lua_State *L) {
    struct box *b = lua_touserdata(L, SLEEPER_SELF);
    if (!b || lua_rawlen(L, SLEEPER_SELF) != sizeof *b || b->magic != &sched_magic)
        luaL_typeerror(L, SLEEPER_SELF, "curio.sched");
    return b;
}

/* sched([n]): a list whose wake() wakes n tasks by default; all without n */
static int f_sched(lua_State *L) {
    lua_Integer n = luaL_optinteger(L, 1, LUA_MAXINTEGER);
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->magic = &sched_magic;
    waitlist_init(&b->list);
    b->default_n = n;
    luaL_setmetatable(L, "curio.sched");
    return 1;
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
    struct box *b = sched_check(L);
    lua_settop(L, SLEEPER_OFFER);
    const char *state = luaL_optstring(L, SLEEPER_STATE, "SUSPEND");
    waitlist_sleep(&b->list, task_enter(L, "sched:suspend"), state);
    return lua_yieldk(L, 0, 0, suspended);
}

/* wake([n], ...): wakes up to n tasks, first come first, with these values; how many it were, and
   what the first of them had brought */
static int m_wake(lua_State *L) {
    struct box *b = sched_check(L);
    struct waitlist *s = &b->list;
    lua_Integer n = luaL_optinteger(L, 2, b->default_n);
    int nvalues = lua_gettop(L) > 2 ? lua_gettop(L) - 2 : 0;
    luaL_argcheck(L, n >= 0, 2, "must not be negative");
    luaL_argcheck(L, nvalues <= MAX_VALUES, 3, "too many values");
    lua_pushinteger(L, 0);
    if (n == 0 || s->count == 0)
        return 1;
    luaL_checkstack(L, 1, "sched:wake");
    waitlist_push_offer(L, waitlist_first(s), SLEEPER_OFFER);
    lua_Integer woken = 0;
    for (struct task *t; woken < n && (t = waitlist_first(s)) != NULL; woken++) {
        waitlist_hand(L, t, 3, nvalues);
        task_wake(t, WAKE_OK);
    }
    lua_pushinteger(L, woken);
    lua_replace(L, -3);
    return 2;
}

static int mm_len(lua_State *L) {
    lua_pushinteger(L, sched_check(L)->list.count);
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
