/*
 * block.h - the one "try, sleep, try again" loop behind every verb on a descriptor.
 *
 * A verb is an attempt that either finishes or goes to sleep until its descriptor may be ready, and
 * is then called again with the Lua stack as it left it: arguments stay where they are, and what it
 * pushes to remember its progress stays too. C locals do not survive.
 *
 *     static int recv_attempt(lua_State *L, struct task *t) {
 *         ...
 *         if (!loop_ready(&t->kernel->loop, &s->io, LOOP_READ))
 *             return block_wait(L, t, &s->io, LOOP_READ);
 *         ssize_t n = net_recv(...);
 *         if (n == -EAGAIN)
 *             return block_again(L, t, &s->io, LOOP_READ);
 *         ...
 *         return 1;
 *     }
 *     static const struct verb recv_verb = {"socket:recv", recv_attempt, NULL};
 *     static int m_recv(lua_State *L) {
 *         ...check and normalise arguments (lua_settop)...
 *         return block_run(L, &recv_verb);
 *     }
 */
#ifndef CURIO_BLOCK_H
#define CURIO_BLOCK_H

#include <lua.h>

#include "kernel.h"
#include "loop.h"
#include "task.h"

#define BLOCK_PARKED (-1)

struct verb {
    const char *name; /* as users call it, for messages: "socket:recv" */
    /* The number of results on top of the stack, or BLOCK_PARKED from block_wait. May raise. */
    int (*attempt)(lua_State *L, struct task *t);
    /* Called with the cancellation error on top before it is raised, to add what was done so far
       (err.bytes_sent); may be NULL. Must leave the stack as it was. */
    void (*interrupted)(lua_State *L, struct task *t);
};

/* For verbs that do the common case themselves: after task_enter and task_spent, first letting
   others run, or at once. */
int block_later(lua_State *L, struct task *t, const struct verb *verb);
static inline int block_now(lua_State *L, struct task *t, const struct verb *verb);

/* Checks that L may block, raises what is pending, then attempts. */
static inline int block_run(lua_State *L, const struct verb *verb);

/* Parks the running task until io may be ready in that direction; to be returned by the attempt.
   Raises ReadResourceBusy or WriteResourceBusy when another task waits there. Where the descriptor
   cannot be registered the attempt's results are nil and an OSError. */
int block_wait(lua_State *L, struct task *t, const struct io *io, enum loop_dir dir);

/* After EAGAIN: notes that the direction is exhausted, then as block_wait. */
int block_again(lua_State *L, struct task *t, const struct io *io, enum loop_dir dir);

/* For descriptors that are not ours (traps.read_wait), until wake_at at the latest; CLOCK_NEVER for
   no limit. */
int block_wait_foreign(lua_State *L, struct task *t, int fd, enum loop_dir dir, int64_t wake_at);

/* Before a descriptor is closed (`closing`) or handed away: unregisters it with the running kernel
   and wakes who waits on it; their attempts find io->fd < 0. Call after setting io->fd = -1, with
   the old number. */
void block_release(int fd, bool closing);

/* ---- what block_run is made of: inline, so that the attempt of a verb is called directly ---- */

int block_go_on(lua_State *L, int status, lua_KContext ctx);
int block_run_checked(lua_State *L, const struct verb *verb);

static inline int block_now(lua_State *L, struct task *t, const struct verb *verb) {
    int n = verb->attempt(L, t);
    return n != BLOCK_PARKED ? n : lua_yieldk(L, 0, (lua_KContext)verb, block_go_on);
}

static inline int block_run(lua_State *L, const struct verb *verb) {
    struct kernel *k = kernel_current;
    if (!k || k->top != L || task_bounded(k->current) || !task_afford(k) || !lua_isyieldable(L))
        return block_run_checked(L, verb);
    return block_now(L, k->current, verb);
}

#endif
