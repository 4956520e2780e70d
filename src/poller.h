/*
 * poller.h - what the loop asks of the operating system, the same few functions for each backend.
 *
 * A descriptor is added once, for both directions. Backends that report edges (epoll, kqueue) then
 * need no further calls; poll() reports levels, so it is told by want() which directions somebody
 * waits for. Events carry the descriptor and the generation it was added with, never a pointer: an
 * event of a descriptor closed meanwhile is recognised and dropped.
 */
#ifndef CURIO_POLLER_H
#define CURIO_POLLER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    POLLER_READ = 1,
    POLLER_WRITE = 2,
    POLLER_EOF = 4,  /* the peer has closed its side: reading will not block again */
    POLLER_GONE = 8, /* error or hang-up: neither direction will block again */
};

#define POLLER_BATCH 128 /* events taken from the system at a time */

struct poller_event {
    int fd;
    uint32_t gen;
    unsigned what;
};

struct poller {
    const struct poller_ops *ops;
    int fd;      /* epoll, kqueue */
    void *state; /* poll */
};

struct poller_ops {
    const char *name;
    bool remembers; /* what is closed must be deleted first; others forget it by themselves */
    int (*open)(struct poller *p);
    void (*close)(struct poller *p);
    /* -EPERM: the descriptor cannot be polled, it is always ready (a regular file). */
    int (*add)(struct poller *p, int fd, uint32_t gen);
    /* Report again what is ready now; also repairs a registration lost behind our back. */
    int (*rearm)(struct poller *p, int fd, uint32_t gen);
    void (*del)(struct poller *p, int fd);
    void (*want)(struct poller *p, int fd, unsigned interest); /* NULL where edges are reported */
    /* Up to POLLER_BATCH events; timeout in ns, < 0 for ever; 0 events when a signal came. */
    int (*wait)(struct poller *p, struct poller_event *events, int64_t timeout);
};

/* kqueue is there on BSD and macOS, and with HAVE_KQUEUE defined by the build. */
#if !defined(HAVE_KQUEUE) && (defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || \
                              defined(__OpenBSD__) || defined(__DragonFly__))
#define HAVE_KQUEUE 1
#endif

extern const struct poller_ops poller_epoll;  /* Linux */
extern const struct poller_ops poller_kqueue; /* BSD, macOS */
extern const struct poller_ops poller_poll;   /* everywhere */

/* The backend of that name, or the system's best one for NULL; NULL when there is none. */
const struct poller_ops *poller_named(const char *name);

#endif
