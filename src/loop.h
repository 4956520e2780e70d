/*
 * loop.h - which descriptor is ready, and who waits for it.
 *
 * Beside each registered descriptor stand two flags, readable and writable, kept true by edges from
 * the poller and cleared by whoever has drained it. So a verb that knows it would block parks
 * without a system call, and a descriptor is registered once in its life. A waiter is opaque here
 * (the kernel puts tasks); one reader and one writer may wait.
 */
#ifndef CURIO_LOOP_H
#define CURIO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "poller.h"

enum loop_dir { LOOP_READ, LOOP_WRITE };

/* An open descriptor. gen is unique for each opening in the process, so that a table entry made for
   an earlier descriptor of the same number is never mistaken for this one. */
struct io {
    int fd; /* -1: closed */
    uint32_t gen;
};

/* Flags of an entry. */
enum {
    IO_READABLE = 1,
    IO_WRITABLE = 2,
    IO_EOF = 4,    /* stays readable whatever is drained */
    IO_GONE = 8,   /* stays readable and writable */
    IO_ALWAYS = 16 /* cannot be polled: a regular file */
};

struct fdent {
    uint32_t gen; /* 0: nothing registered */
    uint32_t flags;
    void *waiter[2]; /* by enum loop_dir; NULL: nobody; see loop_waiter */
};

/* Wants to know that a descriptor is closed, while it waits for another one. Bit 0 of the pointer
   in an entry tells it from a waiter. */
struct attendant {
    void (*closed)(struct attendant *a);
};
#define LOOP_ATTENDS ((uintptr_t)1)

struct loop {
    struct fdent *ents; /* by descriptor */
    int nents;
    unsigned waiting; /* waiters in all entries */
    bool asks;        /* the poller has to be told who waits */
    struct poller poller;
};

/* poller: a name for poller_named, or NULL. */
int loop_open(struct loop *lp, const char *poller);
void loop_close(struct loop *lp);

/* A generation for a newly opened descriptor. Any thread. */
uint32_t loop_generation(void);

/* Called for each waiter whose descriptor became ready; the waiter has been taken out. */
typedef void loop_wake_fn(void *ctx, void *waiter);

/* Takes events and wakes; timeout in ns, < 0 for ever. Returns the number of events or -errno. */
int loop_poll(struct loop *lp, int64_t timeout, loop_wake_fn *wake, void *ctx);

/* Registers what the loop itself shall watch for ever (the wake descriptor); events wake nobody. */
int loop_watch(struct loop *lp, int fd);

/* Parks a waiter. 0; 1 when the descriptor is always ready and nobody was parked; -EBUSY when
   another waits in that direction; or what registering failed with. */
static inline int loop_wait(struct loop *lp, const struct io *io, enum loop_dir dir, void *waiter);

/* The same for a descriptor we do not own, which may have been closed and opened again unseen: the
   system is asked afresh each time. */
int loop_wait_foreign(struct loop *lp, int fd, enum loop_dir dir, void *waiter);

/* Undoes loop_wait. Harmless when nobody waits. */
void loop_forget(struct loop *lp, int fd, enum loop_dir dir);

/* Takes a place that nobody has, without having events reported: whoever waits there is given it.
   Does nothing where there is none. */
void loop_attend(struct loop *lp, const struct io *io, enum loop_dir dir, struct attendant *a);
void loop_leave(struct loop *lp, const struct io *io, enum loop_dir dir, const struct attendant *a);

/* Drops the registration and hands back who waited (NULL: nobody), readers first, after telling the
   attendants. With `closing`
   the descriptor is about to be closed, which spares a system call where closing unregisters it;
   should a copy of it live on elsewhere, its events are recognised by their generation. */
void loop_release(struct loop *lp, int fd, bool closing, void *waiters[2]);

/* Who waits in an entry; NULL: nobody. */
static inline void *loop_waiter(const struct fdent *e, enum loop_dir dir) {
    return (uintptr_t)e->waiter[dir] & LOOP_ATTENDS ? (void *)0 : e->waiter[dir];
}

static inline struct fdent *loop_entry(const struct loop *lp, const struct io *io) {
    if (io->fd >= lp->nents)
        return (struct fdent *)0;
    struct fdent *e = &lp->ents[io->fd];
    return e->gen == io->gen ? e : (struct fdent *)0;
}

int loop_wait_checked(struct loop *lp, const struct io *io, enum loop_dir dir, void *waiter);

static inline int loop_wait(struct loop *lp, const struct io *io, enum loop_dir dir, void *waiter) {
    struct fdent *e = loop_entry(lp, io);
    if (!e || e->waiter[dir] || e->flags & IO_ALWAYS || lp->asks)
        return loop_wait_checked(lp, io, dir, waiter);
    e->waiter[dir] = waiter;
    lp->waiting++;
    return 0;
}

/* False when trying would surely block. */
static inline bool loop_ready(const struct loop *lp, const struct io *io, enum loop_dir dir) {
    const struct fdent *e = loop_entry(lp, io);
    return !e || e->flags & (dir == LOOP_READ ? IO_READABLE | IO_ALWAYS : IO_WRITABLE | IO_ALWAYS);
}

/* True only when the poller has said that trying will not block. A descriptor that is not
   registered yet will have to be, and then the poller tells for nothing. */
static inline bool loop_known_ready(const struct loop *lp, const struct io *io, enum loop_dir dir) {
    const struct fdent *e = loop_entry(lp, io);
    return e && e->flags & (dir == LOOP_READ ? IO_READABLE | IO_ALWAYS : IO_WRITABLE | IO_ALWAYS);
}

/* The system said EAGAIN: an edge will follow. */
static inline void loop_blocked(struct loop *lp, const struct io *io, enum loop_dir dir) {
    struct fdent *e = loop_entry(lp, io);
    if (e)
        e->flags &=
            ~(uint32_t)(dir == LOOP_READ ? IO_READABLE | IO_EOF | IO_GONE : IO_WRITABLE | IO_GONE);
}

/* Less came (or went) than was asked: the buffer is empty (or full), unless the other side is gone,
   in which case no further edge would tell. Streams only. */
static inline void loop_drained(struct loop *lp, const struct io *io, enum loop_dir dir) {
    struct fdent *e = loop_entry(lp, io);
    if (!e)
        return;
    if (dir == LOOP_READ && !(e->flags & (IO_EOF | IO_GONE)))
        e->flags &= ~(uint32_t)IO_READABLE;
    else if (dir == LOOP_WRITE && !(e->flags & IO_GONE))
        e->flags &= ~(uint32_t)IO_WRITABLE;
}

#endif
