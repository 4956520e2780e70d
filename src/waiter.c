/*
 * waiter.c - the life of the waiters of waiter.h.
 */
#include "waiter.h"

#include <stdlib.h>

struct waiter *waiter_new(struct wake *wake, bool (*tell)(struct waiter *)) {
    struct thread *thread = tell ? NULL : thread_self();
    struct waiter *w = tell || thread ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return NULL;
    list_init(&w->link);
    message_init(&w->item);
    atomic_init(&w->refs, 1);
    w->tell = tell;
    w->thread = thread;
    w->wake = wake;
    if (wake)
        wake_ref(wake);
    return w;
}

void waiter_ref(struct waiter *w) {
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
}

void waiter_unref(struct waiter *w) {
    if (atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (w->wake)
        wake_unref(w->wake);
    message_drop(&w->item);
    free(w);
}
