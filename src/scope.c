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
