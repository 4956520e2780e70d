/*
 * sigtake.c - see sigtake.h.
 *
 * The lists of takers are under a lock that the handler never asks for: it reads two atomic words.
 * The list of kernels to poke only grows; a place in it is given up in two steps, first marked, and
 * then, when no handler is under way any more, free to be used anew.
 */
#include "sigtake.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct sigtake_poke {
    struct sigtake_poke *next;   /* never changes */
    _Atomic(struct wake *) wake; /* NULL: nobody's */
    bool used;                   /* under the lock */
};

typedef void call_fn(int signo);

/* Of each signal. The last three are under the lock. */
static struct state {
    _Atomic(call_fn *) call; /* NULL: count */
    _Atomic uint64_t stamp;
    atomic_uint count;
    bool taken;
    struct list takers;      /* the one in force first */
    struct sigaction before; /* while taken */
} states[SIGTAKE_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct sigtake_poke *) pokes;
static atomic_uint handlers; /* under way, in whatever threads */
static _Atomic uint64_t clock_of_signals;

/* ---- the handler ---- */

static void poke_all(void) {
    for (struct sigtake_poke *p = atomic_load(&pokes); p; p = p->next) {
        struct wake *w = atomic_load(&p->wake);
        if (w)
            wake_poke(w);
    }
}

static void on_signal(int signo) {
    struct state *s = &states[signo];
    call_fn *call = atomic_load(&s->call);
    if (call) {
        call(signo);
        return;
    }
    atomic_fetch_add(&handlers, 1);
    atomic_store(&s->stamp, atomic_fetch_add(&clock_of_signals, 1) + 1);
    atomic_fetch_add(&s->count, 1);
    poke_all();
    atomic_fetch_sub(&handlers, 1);
}

uint32_t sigtake_count(int signo) {
    return atomic_load(&states[signo].count);
}

uint64_t sigtake_stamp(int signo) {
    return atomic_load(&states[signo].stamp);
}

/* ---- takers; all under the lock ---- */

static struct sigtaker *in_force(const struct state *s) {
    return container_of(s->takers.next, struct sigtaker, link);
}

static bool is_ours(const struct sigaction *sa) {
    return sa->sa_handler == on_signal;
}

static int install(int signo, const struct sigtaker *taker) {
    struct sigaction sa;
    bool ignore = taker->kind == SIGTAKE_IGNORE;
    atomic_store(&states[signo].call, taker->call);
    memset(&sa, 0, sizeof sa);
    /* Children of a process that ignores SIGCHLD leave no status; its default is to do nothing. */
    sa.sa_handler = !ignore ? on_signal : signo == SIGCHLD ? SIG_DFL : SIG_IGN;
    sa.sa_flags = SA_RESTART | SA_ONSTACK;
    if (taker->kind == SIGTAKE_COUNT)
        sigfillset(&sa.sa_mask); /* of several that are pending, one after the other */
    else
        sa.sa_flags |= SA_NODEFER;
    return sigaction(signo, &sa, NULL) < 0 ? -errno : 0;
}

/* Unless the program has set a handler of its own over ours. */
static void put_back(int signo, bool ignored) {
    struct sigaction now;
    if (sigaction(signo, NULL, &now) < 0)
        return;
    if (is_ours(&now) || (ignored && (now.sa_handler == SIG_IGN || now.sa_handler == SIG_DFL)))
        sigaction(signo, &states[signo].before, NULL);
}

static int take_first(struct state *s, int signo) {
    if (s->taken)
        return 0;
    list_init(&s->takers);
    if (sigaction(signo, NULL, &s->before) < 0)
        return -errno;
    s->taken = true;
    return 0;
}

/* The newest first; those that only want to be called last. */
static void insert(struct state *s, struct sigtaker *taker) {
    if (taker->kind == SIGTAKE_CALL)
        list_add_tail(&s->takers, &taker->link);
    else
        list_add_head(&s->takers, &taker->link);
}

static void remove_taker(struct state *s, struct sigtaker *taker) {
    bool ignored = in_force(s)->kind == SIGTAKE_IGNORE;
    list_del(&taker->link);
    if (list_empty(&s->takers)) {
        put_back(taker->signo, ignored);
        s->taken = false;
    } else {
        install(taker->signo, in_force(s));
    }
}

int sigtake_enter(struct sigtaker *taker, int signo, enum sigtake_kind kind, call_fn *call) {
    struct state *s = &states[signo];
    *taker = (struct sigtaker){.kind = kind, .call = call};
    pthread_mutex_lock(&lock);
    int err = take_first(s, signo);
    if (!err) {
        taker->signo = signo;
        insert(s, taker);
        err = install(signo, in_force(s));
        if (err) {
            remove_taker(s, taker);
            taker->signo = 0;
        }
    }
    pthread_mutex_unlock(&lock);
    return err;
}

void sigtake_leave(struct sigtaker *taker) {
    pthread_mutex_lock(&lock);
    if (taker->signo)
        remove_taker(&states[taker->signo], taker);
    taker->signo = 0;
    pthread_mutex_unlock(&lock);
}

int sigtake_before(int signo, struct sigaction *old) {
    int err = 0;
    pthread_mutex_lock(&lock);
    if (states[signo].taken)
        *old = states[signo].before;
    else if (sigaction(signo, NULL, old) < 0)
        err = -errno;
    pthread_mutex_unlock(&lock);
    return err;
}

void sigtake_ignored(uint64_t set[2]) {
    set[0] = set[1] = 0;
    pthread_mutex_lock(&lock);
    for (int signo = 1; signo < SIGTAKE_MAX; signo++) {
        const struct state *s = &states[signo];
        if (s->taken && in_force(s)->kind == SIGTAKE_IGNORE && s->before.sa_handler != SIG_IGN)
            set[signo / 64] |= UINT64_C(1) << signo % 64;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- kernels to poke ---- */

static struct sigtake_poke *unused(void) {
    for (struct sigtake_poke *p = atomic_load(&pokes); p; p = p->next)
        if (!p->used)
            return p;
    struct sigtake_poke *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->next = atomic_load(&pokes);
    atomic_store(&pokes, p);
    return p;
}

struct sigtake_poke *sigtake_poke_add(struct wake *w) {
    pthread_mutex_lock(&lock);
    struct sigtake_poke *p = unused();
    if (p) {
        p->used = true;
        atomic_store(&p->wake, w);
    }
    pthread_mutex_unlock(&lock);
    return p;
}

void sigtake_poke_del(struct sigtake_poke *poke) {
    atomic_store(&poke->wake, NULL);
    while (atomic_load(&handlers)) /* one may still hold what was there: it is about to write */
        sched_yield();
    pthread_mutex_lock(&lock);
    poke->used = false;
    pthread_mutex_unlock(&lock);
}
