/*
 * message.c - the keeping of messages; see message.h.
 */
#include "message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void shared_ref(struct shared *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

/* What dies may hold what dies with it, in a chain as long as you like: one after the other, not
   one inside the other. */
void shared_unref(struct shared *s) {
    static __thread struct shared *dying;
    static __thread bool busy;
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    s->next = dying;
    dying = s;
    if (busy)
        return;
    busy = true;
    while ((s = dying) != NULL) {
        dying = s->next;
        s->free(s);
    }
    busy = false;
}

void message_init(struct message *m) {
    m->size = 0;
    m->block = NULL;
    m->list = NULL;
    m->nattached = 0;
}

int message_set(struct message *m, const void *data, size_t size) {
    char *to = m->small;
    if (size > MESSAGE_SMALL) {
        to = m->block = malloc(size);
        if (!to)
            return -ENOMEM;
    }
    if (size)
        memcpy(to, data, size);
    m->size = size;
    return 0;
}

void message_adopt(struct message *m, char *block, size_t size) {
    m->block = block;
    m->size = size;
}

int message_attach(struct message *m, int fd) {
    struct attached *list = realloc(m->list, (m->nattached + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    m->list = list;
    list[m->nattached++] = (struct attached){.fd = fd};
    return 0;
}

size_t message_fds(const struct message *m, int *fds, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < m->nattached; i++) {
        if (m->list[i].object || m->list[i].fd < 0)
            continue;
        if (n < max)
            fds[n] = m->list[i].fd;
        n++;
    }
    return n;
}

void message_move(struct message *to, struct message *from) {
    *to = *from;
    message_init(from);
}

void message_weaken(struct message *m, struct shared *keeper) {
    for (size_t i = 0; i < m->nattached; i++) {
        struct attached *a = &m->list[i];
        if (a->object != keeper || a->weak)
            continue;
        a->weak = true;
        shared_unref(keeper);
    }
}

void message_strengthen(struct message *m) {
    for (size_t i = 0; i < m->nattached; i++) {
        struct attached *a = &m->list[i];
        if (!a->weak)
            continue;
        a->weak = false;
        shared_ref(a->object);
    }
}

static void drop_attached(struct attached *a) {
    if (a->weak)
        return;
    if (a->object)
        shared_unref(a->object);
    else if (a->fd >= 0)
        close(a->fd);
}

void message_drop(struct message *m) {
    struct message gone;
    message_move(&gone, m);
    for (size_t i = 0; i < gone.nattached; i++)
        drop_attached(&gone.list[i]);
    free(gone.list);
    free(gone.block);
}
