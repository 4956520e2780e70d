/*
 * poller_epoll.c - epoll(7), edge-triggered, one registration a descriptor.
 */
#include "poller.h"

#ifdef __linux__

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000LL

static int epoll_open(struct poller *p) {
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    return p->fd < 0 ? -errno : 0;
}

static void epoll_shut(struct poller *p) {
    close(p->fd);
}

static int control(struct poller *p, int op, int fd, uint32_t gen) {
    struct epoll_event ev = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.u64 = (uint64_t)gen << 32 | (uint32_t)fd,
    };
    return epoll_ctl(p->fd, op, fd, &ev) < 0 ? -errno : 0;
}

static int epoll_add(struct poller *p, int fd, uint32_t gen) {
    int err = control(p, EPOLL_CTL_ADD, fd, gen);
    return err == -EEXIST ? control(p, EPOLL_CTL_MOD, fd, gen) : err;
}

static int epoll_rearm(struct poller *p, int fd, uint32_t gen) {
    int err = control(p, EPOLL_CTL_MOD, fd, gen);
    return err == -ENOENT ? control(p, EPOLL_CTL_ADD, fd, gen) : err;
}

static void epoll_del(struct poller *p, int fd) {
    epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, NULL);
}

static unsigned translate(uint32_t events) {
    unsigned what = 0;
    if (events & EPOLLIN)
        what |= POLLER_READ;
    if (events & EPOLLOUT)
        what |= POLLER_WRITE;
    if (events & EPOLLRDHUP)
        what |= POLLER_EOF;
    if (events & (EPOLLHUP | EPOLLERR))
        what |= POLLER_GONE;
    return what;
}

/* Milliseconds are too coarse for short sleeps: below 20 ms ask for nanoseconds where we can. */
static int wait_once(struct poller *p, struct epoll_event *evs, int64_t timeout) {
    static int no_pwait2; /* racy, but only ever set to the same value */
    if (timeout > 0 && timeout < 20 * NS_PER_MS && !no_pwait2) {
        struct timespec ts = {timeout / NS_PER_S, timeout % NS_PER_S};
        int n = epoll_pwait2(p->fd, evs, POLLER_BATCH, &ts, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        no_pwait2 = 1;
    }
    int ms = -1;
    if (timeout >= 0) {
        int64_t up = timeout / NS_PER_MS + (timeout % NS_PER_MS != 0);
        ms = up > 0x7fffffff ? 0x7fffffff : (int)up;
    }
    return epoll_wait(p->fd, evs, POLLER_BATCH, ms);
}

static int epoll_take(struct poller *p, struct poller_event *events, int64_t timeout) {
    struct epoll_event evs[POLLER_BATCH];
    int n = wait_once(p, evs, timeout);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        events[i].fd = (int)(uint32_t)evs[i].data.u64;
        events[i].gen = (uint32_t)(evs[i].data.u64 >> 32);
        events[i].what = translate(evs[i].events);
    }
    return n;
}

const struct poller_ops poller_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_shut,
    .add = epoll_add,
    .rearm = epoll_rearm,
    .del = epoll_del,
    .want = NULL,
    .wait = epoll_take,
};

#endif
