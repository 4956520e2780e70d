/*
 * sig.h - signals and kernels: SIGINT and SIGQUIT while one runs in the main thread, and those that
 * tasks of any kernel wait for.
 *
 * Handlers only note what came and make the kernel look; the kernel acts between tasks. A task that
 * never gives way is reached by a debug hook that the handler sets on its coroutine.
 */
#ifndef CURIO_SIG_H
#define CURIO_SIG_H

#include <stdbool.h>

#include "list.h"

struct kernel;

/* Somebody for whom a signal may matter (sigtake.h). */
struct sig_waiter {
    struct list link;
    void (*look)(struct sig_waiter *w); /* in the kernel's thread, between tasks; may wake tasks */
};

/* From now on `look` is called whenever k looks outside, and k does so after each signal counted;
   until w->link is deleted. What came before is not told: look once more afterwards. 0 or -ENOMEM.
 */
int sig_wait(struct kernel *k, struct sig_waiter *w);

/* No handler knows k any more. */
void sig_forget(struct kernel *k);

/* While k runs: takes SIGINT unless the program ignores it or has a handler in C that is not the
   interpreter's, and SIGQUIT if `dump`; listeners come before it. Handlers in force are put back by
   sig_leave. Main thread only; elsewhere both do nothing. */
void sig_enter(struct kernel *k, bool dump);
void sig_leave(struct kernel *k);

/* What a second SIGINT does, in its handler, before it ends the process. */
void sig_at_second_interrupt(void (*act)(void));

/* The next SIGINT is a first one again. */
void sig_rearm(struct kernel *k);

/* Acts on what has come. Kernel's thread, between tasks. */
void sig_check(struct kernel *k);

#endif
