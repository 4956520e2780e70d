/*
 * universallib.h - waiting for a Universal object, as its verbs do it.
 *
 * A verb is attempted; if it would have to wait, a waiter is put into the object's list. In a task
 * the task then sleeps, and who grants it something posts that to its kernel (or wakes it at once,
 * where the kernel is the granter's own); where no kernel runs the thread blocks. What waits hangs
 * in a box on the sleeper's stack, so it is given up also when the coroutine becomes garbage.
 */
#ifndef CURIO_UNIVERSALLIB_H
#define CURIO_UNIVERSALLIB_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "block.h"
#include "sharedlib.h"
#include "universal.h"

enum { SELF = 1, ITEM = 2 }; /* the arguments of verbs */

struct wait {
    struct universal *u; /* referenced; NULL when it is over */
    struct waiter *w;
    struct letter *letter; /* what a result has given */
};

struct waiting {
    const char *name;  /* "queue:get" */
    const char *state; /* "QUEUE_GET" */
    /* With wait->w: 0, -EINPROGRESS or another errno. May raise. */
    int (*enlist)(lua_State *L, struct wait *wait);
    /* Pushes what the verb returns when that was 0, the waiter was granted, or -ESHUTDOWN. */
    int (*finish)(lua_State *L, struct wait *wait, int result);
    bool completes; /* a grant counts, also if a cancellation came after it */
};

/* Pushes its box; the user value is for what must stay alive meanwhile. [-0, +1, m] */
struct wait *wait_new(lua_State *L, struct universal *u);

/* It is over: frees what it has; what it was granted and did not take goes to others. Idempotent.
 */
void wait_end(struct wait *wait);

/* Nothing came of it: what a putter brought is as before. */
void wait_take_back(struct wait *wait);

/* After an attempt said -EAGAIN: enlists a waiter, and sleeps or blocks until it is granted
   something. For `return`; may not come back. [-0, +n, v] */
int wait_for(lua_State *L, struct universal *u, const struct waiting *verb);

/* The `finish` of verbs that return nothing. */
int wait_finish_nothing(lua_State *L, struct wait *wait, int result);

/* Runs the attempt: in a task as block_run does, else at once. */
int wait_run(lua_State *L, const struct verb *verb);

/* Of SELF, which has been checked. */
static inline struct universal *wait_self(lua_State *L) {
    return (struct universal *)shared_test(L, SELF);
}

/* Pushes a new object; u is NULL when it could not be made, for which errno is the reason. */
int universal_push_new(lua_State *L, const char *kind, struct universal *u, struct shared **box);

/* A metatable with these methods. [-0, +0, m] */
void universal_new_kind(lua_State *L, const char *kind, const luaL_Reg *methods,
                        const luaL_Reg *metamethods);

/* universalqueuelib.c. The metatable. [-0, +0, m] */
void universal_open_queue(lua_State *L);
int universal_new_queue(lua_State *L);

#endif
