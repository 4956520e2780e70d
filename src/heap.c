/*
 * heap.c - the 4-ary heap of heap.h: four children a node halve the depth of a binary heap, and
 * they share a cache line.
 */
#include "heap.h"

#include <errno.h>
#include <stdlib.h>

#include "clock.h"

#define ARITY 4

void heap_init(struct heap *h) {
    *h = (struct heap){0};
}

void heap_term(struct heap *h) {
    free(h->entries);
    heap_init(h);
}

int heap_reserve(struct heap *h, size_t room) {
    if (room <= h->room)
        return 0;
    size_t grown = h->room ? (size_t)h->room * 2 : 64;
    if (grown < room)
        grown = room;
    if (grown >= UINT32_MAX)
        return -ENOMEM;
    struct heap_entry *entries = realloc(h->entries, grown * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    h->entries = entries;
    h->room = (uint32_t)grown;
    return 0;
}

static bool before(const struct heap_entry *a, const struct heap_entry *b) {
    if (a->when != b->when)
        return a->when < b->when;
    return (int32_t)(a->timer->seq - b->timer->seq) < 0;
}

static void put(struct heap *h, uint32_t i, struct heap_entry e) {
    h->entries[i] = e;
    e.timer->place = i + 1;
}

static void sift_up(struct heap *h, uint32_t i, struct heap_entry e) {
    while (i > 0) {
        uint32_t parent = (i - 1) / ARITY;
        if (!before(&e, &h->entries[parent]))
            break;
        put(h, i, h->entries[parent]);
        i = parent;
    }
    put(h, i, e);
}

static uint32_t least_child(const struct heap *h, uint32_t first) {
    uint32_t best = first;
    for (uint32_t c = first + 1; c < first + ARITY && c < h->count; c++)
        if (before(&h->entries[c], &h->entries[best]))
            best = c;
    return best;
}

static void sift_down(struct heap *h, uint32_t i, struct heap_entry e) {
    for (;;) {
        uint32_t first = i * ARITY + 1;
        if (first >= h->count)
            break;
        uint32_t child = least_child(h, first);
        if (!before(&h->entries[child], &e))
            break;
        put(h, i, h->entries[child]);
        i = child;
    }
    put(h, i, e);
}

void heap_add(struct heap *h, struct timer *t, int64_t when) {
    t->seq = h->seq++;
    sift_up(h, h->count++, (struct heap_entry){when, t});
}

void heap_del(struct heap *h, struct timer *t) {
    if (!t->place)
        return;
    uint32_t i = t->place - 1;
    t->place = 0;
    struct heap_entry last = h->entries[--h->count];
    if (i == h->count)
        return;
    if (i > 0 && before(&last, &h->entries[(i - 1) / ARITY]))
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

struct timer *heap_pop(struct heap *h, int64_t now) {
    if (!h->count || h->entries[0].when > now)
        return NULL;
    struct timer *t = h->entries[0].timer;
    heap_del(h, t);
    return t;
}

int64_t heap_next(const struct heap *h) {
    return h->count ? h->entries[0].when : CLOCK_NEVER;
}
