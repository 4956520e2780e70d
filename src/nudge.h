/*
 * nudge.h - a signal that reaches a thread whatever it does: computing, or in a system call.
 *
 * It is SIGURG: ignored by default, passed on by debuggers, and harmless when it comes for no
 * reason. Its handler is not restarting, so a system call in which the thread sits ends with EINTR.
 * Was there another handler, it gets those that are not ours.
 */
#ifndef CURIO_NUDGE_H
#define CURIO_NUDGE_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#define NUDGE_SIGNAL SIGURG

/* What the handler calls, in the thread that the signal has come to; must be async-signal-safe.
   False: the signal was not meant for curio. Set once, before the first is sent. */
void nudge_set_handler(bool (*handler)(void));

/* Installs the handler, once in a process. 0 or a negative errno. Any thread. */
int nudge_prepare(void);

/* After nudge_prepare; that thread must live. */
void nudge_thread(pthread_t id);

#endif
