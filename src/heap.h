/*
 * heap.h - pending timers: an intrusive 4-ary min-heap.
 *
 * The heap's array holds the due time beside each pointer, so that sifting touches the timers
 * themselves only to tell them their place. Timers due at the same time leave in the order in which
 * they were added. Room is reserved when a task is made (heap_reserve), so adding never allocates.
 */
#ifndef CURIO_HEAP_H
#define CURIO_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    uint32_t place; /* index in the array + 1; 0 while not pending */
    uint32_t seq;   /* order of adding, wraps around */
};

struct heap_entry {
    int64_t when;
    struct timer *timer;
};

struct heap {
    struct heap_entry *entries;
    uint32_t count;
    uint32_t room;
    uint32_t seq;
};

void heap_init(struct heap *h);
void heap_term(struct heap *h);
int heap_reserve(struct heap *h, size_t room); /* 0, or -ENOMEM */

/* t must not be pending; room must have been reserved. */
void heap_add(struct heap *h, struct timer *t, int64_t when);
/* Harmless on a timer that is not pending. */
void heap_del(struct heap *h, struct timer *t);
/* The first timer due at or before now, taken out; NULL when there is none. */
struct timer *heap_pop(struct heap *h, int64_t now);
/* When the first timer is due; CLOCK_NEVER when there is none. */
int64_t heap_next(const struct heap *h);

static inline bool timer_pending(const struct timer *t) {
    return t->place != 0;
}

/* When a pending timer is due. */
static inline int64_t heap_when(const struct heap *h, const struct timer *t) {
    return h->entries[t->place - 1].when;
}

#endif
