/*
 * seen.h - which pointers have been met: a hash table from pointer to a small number.
 *
 * Entries are never taken out one by one. All zero is an empty one.
 */
#ifndef CURIO_SEEN_H
#define CURIO_SEEN_H

#include <stdint.h>

struct seen_slot {
    const void *key; /* NULL: free */
    uint32_t number;
};

struct seen {
    struct seen_slot *slots;
    uint32_t room; /* 0, or a power of two */
    uint32_t count;
};

/* The number of the key, which is 0 when the key is new; valid until the next call. NULL: no
   memory. */
uint32_t *seen_at(struct seen *s, const void *key);

/* Forgets all, and gives back what a large one has taken. */
void seen_clear(struct seen *s);

void seen_term(struct seen *s);

#endif
