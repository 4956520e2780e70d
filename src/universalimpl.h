/*
 * universalimpl.h - the inside of Universal objects, for the files that make them up.
 */
#ifndef CURIO_UNIVERSALIMPL_H
#define CURIO_UNIVERSALIMPL_H

#include <pthread.h>

#include "universal.h"

struct universal {
    struct shared shared;
    pthread_mutex_t lock;
    struct list waiters; /* of an event or result; a queue's getters */
    /* Under the lock: hands on what w was granted; NULL: there is nothing to hand on. */
    void (*revoke)(struct universal *u, struct waiter *w, struct list *granted);
};

void universal_init(struct universal *u, const char *kind, void (*free)(struct shared *));
void universal_term(struct universal *u); /* frees it */

/* Under the lock. The list has a reference to the waiter. */
void universal_enlist(struct list *waiters, struct waiter *w);
struct waiter *universal_first(const struct list *waiters); /* NULL: nobody waits */
int universal_wait(struct list *waiters, bool done, struct waiter *w);

/* Under the lock: off its list, on the list of those to be told. */
void universal_grant(struct waiter *w, enum waiter_state state, struct list *granted);
void universal_grant_all(struct list *waiters, enum waiter_state state, struct list *granted);

/* After unlocking. */
void universal_tell(struct universal *u, struct list *granted);

#endif
