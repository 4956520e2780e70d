/*
 * poller_kqueue.c - kqueue(2), edge-triggered (EV_CLEAR), two filters a descriptor.
 *
 * For BSD and macOS; on Linux it can be built with libkqueue, which is how it is tested there. Of a
 * descriptor that is reopened while registered (traps.read_wait on what is not ours) nothing is
 * left: closing takes its filters away.
 */
#include "poller.h"

#ifdef HAVE_KQUEUE

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#define REMEMBERS true /* libkqueue does not see that a descriptor is closed */
#else
#define REMEMBERS false
#endif

#define NS_PER_S 1000000000LL

static int kqueue_open(struct poller *p) {
    p->fd = kqueue();
    if (p->fd < 0)
        return -errno;
    fcntl(p->fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

static void kqueue_shut(struct poller *p) {
    close(p->fd);
}

/* One filter at a time, so that each tells its own error. */
static int change(struct poller *p, int fd, int filter, int flags, uint32_t gen) {
    struct kevent ev;
    int result;
    EV_SET(&ev, (uintptr_t)fd, filter, flags, 0, 0, (void *)(uintptr_t)gen);
    do
        result = kevent(p->fd, &ev, 1, NULL, 0, NULL);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

static void kqueue_del(struct poller *p, int fd) {
    change(p, fd, EVFILT_READ, EV_DELETE, 0);
    change(p, fd, EVFILT_WRITE, EV_DELETE, 0);
}

/* Regular files are ready, always; kqueue says so until their end only. */
static int check_kind(int fd) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? -EPERM : 0;
}

/* Some ends of some things have one direction, and a few devices none: these do not block. */
static int kqueue_add(struct poller *p, int fd, uint32_t gen) {
    int err = check_kind(fd);
    if (err)
        return err;
    /* In this order, for libkqueue forgets to ask for the peer's end when writing is added last. */
    int writing = change(p, fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, gen);
    int reading = change(p, fd, EVFILT_READ, EV_ADD | EV_CLEAR, gen);
    if (reading == 0 || writing == 0)
        return 0;
    bool device = reading == -EINVAL || reading == -ENODEV || reading == -EFAULT;
    return device ? -EPERM : reading;
}

/* Adding a filter anew has it look again at once. */
static int kqueue_rearm(struct poller *p, int fd, uint32_t gen) {
    kqueue_del(p, fd);
    return kqueue_add(p, fd, gen);
}

/* The end of what can be read is no reason that writing should end, nor the reverse; an error is.
 */
static unsigned translate(const struct kevent *ev) {
    bool eof = ev->flags & EV_EOF;
    unsigned what = eof && ev->fflags ? POLLER_GONE : 0;
    if (ev->filter == EVFILT_READ)
        what |= eof ? POLLER_READ | POLLER_EOF : POLLER_READ;
    else
        what |= POLLER_WRITE;
    return what;
}

static int kqueue_take(struct poller *p, struct poller_event *events, int64_t timeout) {
    struct kevent evs[POLLER_BATCH];
    struct timespec ts = {timeout / NS_PER_S, timeout % NS_PER_S};
    int n = kevent(p->fd, NULL, 0, evs, POLLER_BATCH, timeout < 0 ? NULL : &ts), taken = 0;
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        if (evs[i].flags & EV_ERROR)
            continue;
        events[taken++] = (struct poller_event){
            .fd = (int)evs[i].ident,
            .gen = (uint32_t)(uintptr_t)evs[i].udata,
            .what = translate(&evs[i]),
        };
    }
    return taken;
}

const struct poller_ops poller_kqueue = {
    .name = "kqueue",
    .remembers = REMEMBERS,
    .open = kqueue_open,
    .close = kqueue_shut,
    .add = kqueue_add,
    .rearm = kqueue_rearm,
    .del = kqueue_del,
    .want = NULL,
    .wait = kqueue_take,
};

#endif
