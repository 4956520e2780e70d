/*
 * loop.c - the table of descriptors, between the poller below and the kernel above.
 */
#include "loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define GEN_WATCHED 1 /* generations of descriptors start above */
#define GEN_FOREIGN 2
#define GEN_FIRST 3

const struct poller_ops *poller_named(const char *name) {
    static const struct poller_ops *const known[] = {
#ifdef __linux__
        &poller_epoll,
#endif
#ifdef HAVE_KQUEUE
        &poller_kqueue,
#endif
        &poller_poll,
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!name || !strcmp(known[i]->name, name))
            return known[i];
    return NULL;
}

int loop_open(struct loop *lp, const char *poller) {
    memset(lp, 0, sizeof *lp);
    lp->poller.ops = poller_named(poller);
    if (!lp->poller.ops)
        return -EINVAL;
    lp->asks = lp->poller.ops->want != NULL;
    return lp->poller.ops->open(&lp->poller);
}

void loop_close(struct loop *lp) {
    if (!lp->poller.ops)
        return;
    lp->poller.ops->close(&lp->poller);
    free(lp->ents);
    memset(lp, 0, sizeof *lp);
}

uint32_t loop_generation(void) {
    static atomic_uint next = GEN_FIRST;
    uint32_t gen;
    do
        gen = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    while (gen < GEN_FIRST); /* after 2^32 descriptors */
    return gen;
}

static int grow(struct loop *lp, int fd) {
    if (fd < lp->nents)
        return 0;
    int n = lp->nents ? lp->nents * 2 : 64;
    if (n <= fd)
        n = fd + 1;
    struct fdent *ents = realloc(lp->ents, (size_t)n * sizeof *ents);
    if (!ents)
        return -ENOMEM;
    memset(ents + lp->nents, 0, (size_t)(n - lp->nents) * sizeof *ents);
    lp->ents = ents;
    lp->nents = n;
    return 0;
}

static unsigned interest(const struct fdent *e) {
    return (loop_waiter(e, LOOP_READ) ? POLLER_READ : 0) |
           (loop_waiter(e, LOOP_WRITE) ? POLLER_WRITE : 0);
}

static void tell_interest(struct loop *lp, int fd) {
    if (lp->asks)
        lp->poller.ops->want(&lp->poller, fd, interest(&lp->ents[fd]));
}

static int add(struct loop *lp, int fd, uint32_t gen, uint32_t flags) {
    int err = grow(lp, fd);
    if (err)
        return err;
    err = lp->poller.ops->add(&lp->poller, fd, gen);
    if (err == -EPERM)
        flags |= IO_ALWAYS;
    else if (err)
        return err;
    struct fdent *e = &lp->ents[fd];
    e->gen = gen;
    e->flags = flags;
    return 0;
}

int loop_watch(struct loop *lp, int fd) {
    int err = add(lp, fd, GEN_WATCHED, 0);
    if (!err && lp->asks)
        lp->poller.ops->want(&lp->poller, fd, POLLER_READ);
    return err;
}

static int park(struct loop *lp, int fd, enum loop_dir dir, void *waiter) {
    struct fdent *e = &lp->ents[fd];
    if (e->flags & IO_ALWAYS)
        return 1;
    if (loop_waiter(e, dir))
        return -EBUSY;
    e->waiter[dir] = waiter;
    lp->waiting++;
    tell_interest(lp, fd);
    return 0;
}

/* Who waits in an entry left by an earlier descriptor of that number cannot be woken by the new
 * one. */
static bool occupied(const struct loop *lp, int fd) {
    return fd < lp->nents && interest(&lp->ents[fd]);
}

int loop_wait_checked(struct loop *lp, const struct io *io, enum loop_dir dir, void *waiter) {
    if (!loop_entry(lp, io)) {
        if (occupied(lp, io->fd))
            return -EBUSY;
        int err = add(lp, io->fd, io->gen, 0); /* what is ready now will be reported */
        if (err)
            return err;
    }
    return park(lp, io->fd, dir, waiter);
}

int loop_wait_foreign(struct loop *lp, int fd, enum loop_dir dir, void *waiter) {
    if (fd >= lp->nents || !lp->ents[fd].gen) {
        int err = add(lp, fd, GEN_FOREIGN, 0);
        return err ? err : park(lp, fd, dir, waiter);
    }
    if (loop_waiter(&lp->ents[fd], dir))
        return -EBUSY;
    int err = lp->poller.ops->rearm(&lp->poller, fd, lp->ents[fd].gen);
    if (err && err != -EPERM)
        return err;
    lp->ents[fd].flags &= ~(uint32_t)IO_ALWAYS;
    if (err == -EPERM)
        lp->ents[fd].flags |= IO_ALWAYS;
    return park(lp, fd, dir, waiter);
}

static void *take(struct loop *lp, int fd, enum loop_dir dir) {
    void *waiter = loop_waiter(&lp->ents[fd], dir);
    if (waiter) {
        lp->ents[fd].waiter[dir] = NULL;
        lp->waiting--;
    }
    return waiter;
}

void loop_forget(struct loop *lp, int fd, enum loop_dir dir) {
    if (fd < lp->nents && take(lp, fd, dir))
        tell_interest(lp, fd);
}

/* ---- attendants ---- */

static void *place_of(const struct attendant *a) {
    return (void *)((uintptr_t)a | LOOP_ATTENDS);
}

void loop_attend(struct loop *lp, const struct io *io, enum loop_dir dir, struct attendant *a) {
    if (!loop_entry(lp, io) && (occupied(lp, io->fd) || add(lp, io->fd, io->gen, 0) < 0))
        return;
    struct fdent *e = &lp->ents[io->fd];
    if (!e->waiter[dir])
        e->waiter[dir] = place_of(a);
}

void loop_leave(struct loop *lp, const struct io *io, enum loop_dir dir,
                const struct attendant *a) {
    struct fdent *e = loop_entry(lp, io);
    if (e && e->waiter[dir] == place_of(a))
        e->waiter[dir] = NULL;
}

/* They wake tasks, and so may take waiters out of other entries. */
static void tell_attendants(const struct loop *lp, int fd) {
    for (int dir = LOOP_READ; dir <= LOOP_WRITE; dir++) {
        uintptr_t place = (uintptr_t)lp->ents[fd].waiter[dir];
        lp->ents[fd].waiter[dir] = loop_waiter(&lp->ents[fd], dir);
        if (place & LOOP_ATTENDS) {
            struct attendant *a = (struct attendant *)(place & ~LOOP_ATTENDS);
            a->closed(a);
        }
    }
}

/* ---- releasing ---- */

void loop_release(struct loop *lp, int fd, bool closing, void *waiters[2]) {
    waiters[0] = waiters[1] = NULL;
    if (fd < 0 || fd >= lp->nents || !lp->ents[fd].gen)
        return;
    tell_attendants(lp, fd);
    waiters[0] = take(lp, fd, LOOP_READ);
    waiters[1] = take(lp, fd, LOOP_WRITE);
    bool gone = closing && !lp->poller.ops->remembers;
    if (!gone && !(lp->ents[fd].flags & IO_ALWAYS))
        lp->poller.ops->del(&lp->poller, fd);
    lp->ents[fd] = (struct fdent){0};
}

static uint32_t new_flags(unsigned what) {
    uint32_t flags = 0;
    if (what & (POLLER_READ | POLLER_EOF | POLLER_GONE))
        flags |= IO_READABLE;
    if (what & (POLLER_WRITE | POLLER_GONE))
        flags |= IO_WRITABLE;
    if (what & POLLER_EOF)
        flags |= IO_EOF;
    if (what & POLLER_GONE)
        flags |= IO_GONE;
    return flags;
}

static void dispatch(struct loop *lp, const struct poller_event *ev, loop_wake_fn *wake,
                     void *ctx) {
    if (ev->fd >= lp->nents || lp->ents[ev->fd].gen != ev->gen)
        return;
    uint32_t flags = new_flags(ev->what);
    lp->ents[ev->fd].flags |= flags;
    void *reader = flags & IO_READABLE ? take(lp, ev->fd, LOOP_READ) : NULL;
    void *writer = flags & IO_WRITABLE ? take(lp, ev->fd, LOOP_WRITE) : NULL;
    if (!reader && !writer)
        return;
    tell_interest(lp, ev->fd);
    if (reader)
        wake(ctx, reader);
    if (writer)
        wake(ctx, writer);
}

int loop_poll(struct loop *lp, int64_t timeout, loop_wake_fn *wake, void *ctx) {
    struct poller_event events[POLLER_BATCH];
    int n = lp->poller.ops->wait(&lp->poller, events, timeout);
    for (int i = 0; i < n; i++)
        dispatch(lp, &events[i], wake, ctx);
    return n;
}
