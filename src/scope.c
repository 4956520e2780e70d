/*
 * scope.c - the chain of scope.h.
 */
#include "scope.h"

#include <stddef.h>

#include "clock.h"

static void update(struct scope *s) {
    s->effective = s->deadline;
    if (s->outer && s->outer->effective < s->effective)
        s->effective = s->outer->effective;
}

/* Outer ones first, since each takes the least of its own and the next outer one's. */
static void update_chain(struct scope *chain) {
    if (!chain)
        return;
    update_chain(chain->outer);
    update(chain);
}

void scope_enter(struct scope **chain, struct scope *s) {
    s->outer = *chain;
    *chain = s;
    update(s);
}

bool scope_leave(struct scope **chain, struct scope *s) {
    struct scope **at = chain;
    while (*at && *at != s)
        at = &(*at)->outer;
    if (!*at)
        return false;
    *at = s->outer;
    if (at != chain) /* not the innermost: a generator left its scope open */
        update_chain(*chain);
    return true;
}

struct scope *scope_detach(struct scope **chain, const void *frame) {
    struct scope *taken = *chain;
    struct scope *last = NULL;
    for (struct scope *s = *chain; s && s->frame == frame; s = s->outer)
        last = s;
    if (!last)
        return NULL;
    *chain = last->outer;
    last->outer = NULL;
    return taken;
}

void scope_attach(struct scope **chain, struct scope *taken) {
    struct scope *last = taken;
    while (last->outer)
        last = last->outer;
    last->outer = *chain;
    *chain = taken;
    update_chain(*chain);
}

unsigned scope_shields(const struct scope *chain) {
    unsigned n = 0;
    for (; chain; chain = chain->outer)
        n += chain->kind == SCOPE_SHIELD;
    return n;
}

void scope_set_deadline(struct scope *chain, struct scope *s, int64_t deadline) {
    s->deadline = deadline;
    update_chain(chain);
}

struct scope *scope_expired(struct scope *chain, int64_t now) {
    struct scope *found = NULL;
    for (struct scope *s = chain; s; s = s->outer)
        if (s->expired || s->deadline <= now)
            found = s;
    if (found)
        found->expired = true;
    return found;
}

struct scope *scope_innermost(struct scope *chain, enum scope_kind kind) {
    while (chain && chain->kind != kind)
        chain = chain->outer;
    return chain;
}
