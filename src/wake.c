/*
 * wake.c - the queue of wake.h on an eventfd, or on a pipe where there is none.
 */
#include "wake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#endif

struct wake {
    _Atomic(struct wake_node *) head; /* newest first; CLOSED at the end */
    atomic_int refs;
    int read_fd;
    int write_fd; /* the same as read_fd for an eventfd */
};

static struct wake_node closed_mark;
#define CLOSED (&closed_mark)

static int open_pair(struct wake *w) {
#ifdef __linux__
    w->read_fd = w->write_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->read_fd < 0 ? -errno : 0;
#else
    int fds[2];
    if (pipe(fds) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    w->read_fd = fds[0];
    w->write_fd = fds[1];
    return 0;
#endif
}

struct wake *wake_new(void) {
    struct wake *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    if (open_pair(w) < 0) {
        free(w);
        return NULL;
    }
    atomic_init(&w->head, NULL);
    atomic_init(&w->refs, 1);
    return w;
}

void wake_ref(struct wake *w) {
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
}

void wake_unref(struct wake *w) {
    if (atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) > 1)
        return;
    close(w->read_fd);
    if (w->write_fd != w->read_fd)
        close(w->write_fd);
    free(w);
}

int wake_fd(const struct wake *w) {
    return w->read_fd;
}

void wake_poke(struct wake *w) {
    uint64_t one = 1;
    int saved = errno;
    ssize_t n;
    do
        n = write(w->write_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    errno = saved; /* a full pipe is as good as a written one */
}

bool wake_post(struct wake *w, struct wake_node *node) {
    struct wake_node *head = atomic_load_explicit(&w->head, memory_order_relaxed);
    do {
        if (head == CLOSED)
            return false;
        node->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&w->head, &head, node, memory_order_release,
                                                    memory_order_relaxed));
    if (!head)
        wake_poke(w);
    return true;
}

static void clear_fd(struct wake *w) {
    uint64_t buf[8];
    while (read(w->read_fd, buf, sizeof buf) > 0 && w->read_fd != w->write_fd)
        ;
}

static void run_all(struct wake_node *newest) {
    struct wake_node *oldest = NULL;
    while (newest) {
        struct wake_node *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct wake_node *next = oldest->next; /* run may free the node */
        oldest->run(oldest);
        oldest = next;
    }
}

void wake_drain(struct wake *w) {
    clear_fd(w); /* before taking the stack: a later post writes again */
    run_all(atomic_exchange_explicit(&w->head, NULL, memory_order_acquire));
}

void wake_close(struct wake *w) {
    run_all(atomic_exchange_explicit(&w->head, CLOSED, memory_order_acquire));
}
