/*
 * seen.c - the hash table of seen.h: open addressing, at most two thirds full.
 */
#include "seen.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16
#define KEEP_ROOM 4096

/* What was allocated in a row is often met in a row: it should stand in a row here too, so that the
   caches help. Only the higher bits are scattered. */
static uint32_t place_of(const struct seen *s, const void *key) {
    uint64_t bits = (uint64_t)(uintptr_t)key;
    uint64_t far = (bits >> 24) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)((bits >> 4) + (far >> 32)) & (s->room - 1);
    while (s->slots[at].key && s->slots[at].key != key)
        at = (at + 1) & (s->room - 1);
    return at;
}

static int grow(struct seen *s) {
    struct seen bigger = {.room = s->room ? s->room * 2 : FIRST_ROOM, .count = s->count};
    bigger.slots = bigger.room ? calloc(bigger.room, sizeof *bigger.slots) : NULL;
    if (!bigger.slots)
        return -1;
    for (uint32_t i = 0; i < s->room; i++)
        if (s->slots[i].key)
            bigger.slots[place_of(&bigger, s->slots[i].key)] = s->slots[i];
    free(s->slots);
    *s = bigger;
    return 0;
}

uint32_t *seen_at(struct seen *s, const void *key) {
    if ((uint64_t)s->count * 3 >= (uint64_t)s->room * 2 && grow(s) < 0)
        return NULL;
    struct seen_slot *slot = &s->slots[place_of(s, key)];
    if (!slot->key) {
        *slot = (struct seen_slot){key, 0};
        s->count++;
    }
    return &slot->number;
}

void seen_clear(struct seen *s) {
    if (s->room > KEEP_ROOM)
        seen_term(s);
    else if (s->count)
        memset(s->slots, 0, s->room * sizeof *s->slots);
    s->count = 0;
}

void seen_term(struct seen *s) {
    free(s->slots);
    *s = (struct seen){0};
}
