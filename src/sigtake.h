/*
 * sigtake.h - who has a signal: the handlers of this process, and which of them is in force.
 *
 * A signal that nobody takes is left alone. Takers of one signal stand in a list: the newest that
 * is a listener or an ignorer decides, and a kernel's own interest in SIGINT counts least. When the
 * last one leaves, what was in force before the first is put back, unless the program has set
 * something else meanwhile.
 *
 * There is one handler. It counts, and pokes the kernels that wait for signals; counts only grow,
 * so that each listener, by remembering what it has seen, misses none. It may run in any thread.
 */
#ifndef CURIO_SIGTAKE_H
#define CURIO_SIGTAKE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "wake.h"

enum { SIGTAKE_MAX = 128 }; /* signals are below */

enum sigtake_kind {
    SIGTAKE_CALL,  /* the handler calls `call` */
    SIGTAKE_COUNT, /* the handler counts */
    SIGTAKE_IGNORE /* the signal does not come */
};

struct sigtaker {
    struct list link;
    int signo; /* 0: takes none */
    enum sigtake_kind kind;
    void (*call)(int signo); /* async-signal-safe */
};

/* Takes a signal; the struct is the caller's until sigtake_leave. A negative errno: the system does
   not let it be taken. Any thread. */
int sigtake_enter(struct sigtaker *taker, int signo, enum sigtake_kind kind, void (*call)(int));

/* Idempotent. */
void sigtake_leave(struct sigtaker *taker);

/* What was in force before anybody took the signal. 0 or a negative errno. */
int sigtake_before(int signo, struct sigaction *old);

/* Which signals are ignored for a taker and were not before, as bits. */
void sigtake_ignored(uint64_t set[2]);

/* How often it was counted, modulo 2^32. */
uint32_t sigtake_count(int signo);

/* Of two signals the one that was counted last has the greater stamp. */
uint64_t sigtake_stamp(int signo);

/* From now on the handler pokes w for every signal counted. NULL: no memory. */
struct sigtake_poke *sigtake_poke_add(struct wake *w);

/* When it returns no handler uses the wake queue any more. */
void sigtake_poke_del(struct sigtake_poke *poke);

#endif
