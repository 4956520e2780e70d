/*
 * poller_poll.c - poll(2), for every system.
 *
 * poll() reports levels, so a descriptor stands in the array only while a task waits on it. The
 * array is compact; a table by descriptor says where each one stands.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "poller.h"

struct slot {
    uint32_t gen;   /* 0: not added */
    uint32_t place; /* index in polled + 1; 0: nobody waits */
};

struct poll_state {
    struct slot *slots; /* by descriptor */
    int nslots;
    struct pollfd *polled; /* room for every added descriptor */
    unsigned count;
    unsigned added;
    unsigned room;
    unsigned start; /* where the next scan begins, so that a full batch starves nobody */
};

static int poll_open(struct poller *p) {
    p->fd = -1;
    p->state = calloc(1, sizeof(struct poll_state));
    return p->state ? 0 : -ENOMEM;
}

static void poll_shut(struct poller *p) {
    struct poll_state *s = p->state;
    free(s->slots);
    free(s->polled);
    free(s);
}

static int grow_slots(struct poll_state *s, int fd) {
    if (fd < s->nslots)
        return 0;
    int n = s->nslots ? s->nslots * 2 : 64;
    if (n <= fd)
        n = fd + 1;
    struct slot *slots = realloc(s->slots, (size_t)n * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    memset(slots + s->nslots, 0, (size_t)(n - s->nslots) * sizeof *slots);
    s->slots = slots;
    s->nslots = n;
    return 0;
}

/* Room is made when a descriptor is added, so that want() cannot fail. */
static int grow_polled(struct poll_state *s) {
    if (s->added < s->room)
        return 0;
    unsigned room = s->room ? s->room * 2 : 64;
    struct pollfd *polled = realloc(s->polled, room * sizeof *polled);
    if (!polled)
        return -ENOMEM;
    s->polled = polled;
    s->room = room;
    return 0;
}

static int poll_add(struct poller *p, int fd, uint32_t gen) {
    struct poll_state *s = p->state;
    struct pollfd probe = {fd, 0, 0};
    if (poll(&probe, 1, 0) > 0 && probe.revents & POLLNVAL)
        return -EBADF;
    int err = grow_slots(s, fd);
    if (!err)
        err = grow_polled(s);
    if (err)
        return err;
    if (!s->slots[fd].gen)
        s->added++;
    s->slots[fd].gen = gen;
    return 0;
}

static void poll_want(struct poller *p, int fd, unsigned interest) {
    struct poll_state *s = p->state;
    struct slot *slot = &s->slots[fd];
    if (!interest) {
        if (!slot->place)
            return;
        struct pollfd last = s->polled[--s->count];
        s->slots[last.fd].place = slot->place;
        s->polled[slot->place - 1] = last;
        slot->place = 0;
        return;
    }
    if (!slot->place) {
        slot->place = ++s->count;
        s->polled[slot->place - 1].fd = fd;
    }
    short events = 0;
    if (interest & POLLER_READ)
        events |= POLLIN;
    if (interest & POLLER_WRITE)
        events |= POLLOUT;
    s->polled[slot->place - 1].events = events;
    s->polled[slot->place - 1].revents = 0;
}

static void poll_del(struct poller *p, int fd) {
    struct poll_state *s = p->state;
    if (fd >= s->nslots || !s->slots[fd].gen)
        return;
    poll_want(p, fd, 0);
    s->slots[fd].gen = 0;
    s->added--;
}

static unsigned translate(short revents) {
    unsigned what = 0;
    if (revents & POLLIN)
        what |= POLLER_READ;
    if (revents & POLLOUT)
        what |= POLLER_WRITE;
    if (revents & (POLLHUP | POLLERR | POLLNVAL))
        what |= POLLER_GONE;
    return what;
}

static int poll_take(struct poller *p, struct poller_event *events, int64_t timeout) {
    struct poll_state *s = p->state;
    int ms = -1;
    if (timeout >= 0) {
        int64_t up = timeout / 1000000 + (timeout % 1000000 != 0);
        ms = up > 0x7fffffff ? 0x7fffffff : (int)up;
    }
    int left = poll(s->polled, s->count, ms);
    if (left < 0)
        return errno == EINTR ? 0 : -errno;
    int n = 0;
    for (unsigned k = 0; k < s->count && left > 0 && n < POLLER_BATCH; k++) {
        unsigned i = (s->start + k) % s->count;
        struct pollfd *pfd = &s->polled[i];
        if (!pfd->revents)
            continue;
        left--;
        events[n++] =
            (struct poller_event){pfd->fd, s->slots[pfd->fd].gen, translate(pfd->revents)};
        if (n == POLLER_BATCH)
            s->start = i + 1;
    }
    return n;
}

const struct poller_ops poller_poll = {
    .name = "poll",
    .remembers = true,
    .open = poll_open,
    .close = poll_shut,
    .add = poll_add,
    .rearm = poll_add,
    .del = poll_del,
    .want = poll_want,
    .wait = poll_take,
};
