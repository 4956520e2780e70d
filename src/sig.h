/*
 * sig.h - SIGINT and SIGQUIT while a kernel runs in the main thread.
 *
 * Handlers only note what came and make the kernel look; the kernel acts between tasks. A task that
 * never gives way is reached by a debug hook that the handler sets on its coroutine.
 */
#ifndef CURIO_SIG_H
#define CURIO_SIG_H

#include <stdbool.h>

struct kernel;

/* While k runs: takes SIGINT unless the program ignores it or has a handler in C that is not the
   interpreter's, and SIGQUIT if `dump`. Handlers in force are put back by sig_leave. Main thread
   only; elsewhere both do nothing. */
void sig_enter(struct kernel *k, bool dump);
void sig_leave(struct kernel *k);

/* The next SIGINT is a first one again. */
void sig_rearm(struct kernel *k);

/* Acts on what has come. Kernel's thread, between tasks. */
void sig_check(struct kernel *k);

#endif
