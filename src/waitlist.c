/*
 * waitlist.c - the lists of waitlist.h.
 */
#include "waitlist.h"

#include <lauxlib.h>

#include "clock.h"

void waitlist_init(struct waitlist *s) {
    list_init(&s->sleepers);
    s->count = 0;
}

static void leave(struct task *t) {
    struct waitlist *s = t->on;
    list_del(&t->link);
    s->count--;
}

void waitlist_sleep(struct waitlist *s, struct task *t, const char *state) {
    task_sleep(t, state, leave, s, CLOCK_NEVER);
    list_add_tail(&s->sleepers, &t->link);
    s->count++;
}

void waitlist_hand(lua_State *L, struct task *sleeper, int first, int n) {
    if (!lua_checkstack(sleeper->L, n) || !lua_checkstack(L, n))
        luaL_error(L, "not enough memory");
    for (int i = 0; i < n; i++)
        lua_pushvalue(L, first + i);
    lua_xmove(L, sleeper->L, n);
    sleeper->values = (uint8_t)n;
}

void waitlist_push_offer(lua_State *L, struct task *sleeper, int idx) {
    lua_State *co = task_innermost(sleeper);
    lua_pushvalue(co, idx); /* C frames have LUA_MINSTACK slots */
    lua_xmove(co, L, 1);
}
