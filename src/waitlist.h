/*
 * waitlist.h - lists of sleeping tasks, first come first: what locks and queues are made of.
 *
 * Whoever wakes a sleeper may hand values over, and a sleeper may bring a value for its waker: they
 * pass straight from stack to stack, so nothing is allocated, nobody can come between, and what a
 * cancelled sleeper brought goes with it.
 */
#ifndef CURIO_WAITLIST_H
#define CURIO_WAITLIST_H

#include <lua.h>

#include "list.h"
#include "task.h"

struct waitlist {
    struct list sleepers;
    lua_Integer count;
};

void waitlist_init(struct waitlist *s);

/* Puts the running task to sleep at the end of the list; the caller then yields. s must be kept
   alive by the sleeper's stack, and so must state unless it is a literal. Cannot fail. */
void waitlist_sleep(struct waitlist *s, struct task *t, const char *state);

/* Who has slept longest; NULL: nobody does. */
static inline struct task *waitlist_first(const struct waitlist *s) {
    return s->count ? container_of(s->sleepers.next, struct task, link) : NULL;
}

/* Puts copies of the n values from index `first` of L where the sleeper finds them on top of its
   stack; raises, before anything has changed, when memory is short. Once for a sleeper, then
   task_wake.
   [-0, +0, m] */
void waitlist_hand(lua_State *L, struct task *sleeper, int first, int n);

/* Pushes the value at index idx of the C function that the sleeper sleeps in. [-0, +1, -] */
void waitlist_push_offer(lua_State *L, struct task *sleeper, int idx);

#endif
