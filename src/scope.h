/*
 * scope.h - what bounds a stretch of a task: deadlines, shields, and the bodies of groups.
 *
 * A task's scopes form a chain, innermost first. A scope that has expired stays expired until
 * control leaves it, so that every blocking call inside raises. Of several expired scopes the
 * outermost decides. Scopes are told apart by identity; they live in C memory and belong to their
 * task.
 */
#ifndef CURIO_SCOPE_H
#define CURIO_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

struct task;

enum scope_kind {
    SCOPE_TIMEOUT,
    SCOPE_SHIELD, /* cancellation is held back inside */
    SCOPE_GROUP,  /* body of curio.group: expires when a member fails */
};

struct scope {
    struct scope *outer;
    struct task *task;     /* whose chain it is in; NULL while its coroutine has taken it along */
    struct scope **handle; /* the closable object that points here; NULL: none */
    const void *frame;     /* the coroutine it was entered in: only compared */
    int64_t deadline;      /* CLOCK_NEVER: none */
    int64_t effective;     /* the least of this and the outer ones' deadlines */
    enum scope_kind kind;
    bool expired;
};

/* Links s in front of *chain. */
void scope_enter(struct scope **chain, struct scope *s);
/* Unlinks s from wherever it stands; harmless when it stands nowhere. True if it was there. */
bool scope_leave(struct scope **chain, struct scope *s);
/* Takes the innermost scopes that were entered in `frame` out of the chain; NULL when there are
 * none. */
struct scope *scope_detach(struct scope **chain, const void *frame);
/* Puts what scope_detach took in front of the chain. */
void scope_attach(struct scope **chain, struct scope *taken);
/* How many of the chain are shields. */
unsigned scope_shields(const struct scope *chain);
/* Changes a deadline in the chain, seen by the scopes inside it. */
void scope_set_deadline(struct scope *chain, struct scope *s, int64_t deadline);
/* The outermost scope that has expired by now; NULL when none has. */
struct scope *scope_expired(struct scope *chain, int64_t now);
/* The innermost scope of a kind; NULL when there is none. */
struct scope *scope_innermost(struct scope *chain, enum scope_kind kind);

#endif
