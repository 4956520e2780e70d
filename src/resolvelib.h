/*
 * resolvelib.h - a question to the name service, as a verb asks it.
 *
 * The question lives in a userdata on the asker's own stack and survives its sleep there. Whoever
 * interrupts the task abandons the question; a thread of the pool that is still busy with it never
 * touches the task or the kernel again.
 */
#ifndef CURIO_RESOLVELIB_H
#define CURIO_RESOLVELIB_H

#include <lua.h>

#include "resolve.h"
#include "task.h"

struct wake;

struct question {
    struct resolve *r;  /* owned, except while it is asked; the answer when `answered` */
    struct task *asker; /* asleep until the answer comes; NULL otherwise */
    struct wake *wake;  /* a reference, held while it is asked */
    bool answered;
};

/* Pushes a question for the addresses of a host (NULL: of this machine) and a service (NULL: none);
   NULL hints: all of them. [-0, +1, m] */
struct question *question_addrinfo(lua_State *L, const char *host, const char *service,
                                   const struct addrinfo *hints);

/* In an attempt: 0 when the answer is there (q->r->eai may be an error); BLOCK_PARKED when the task
   was put to sleep until it is; else a positive errno. What is numeric is answered at once. */
int question_ask(struct task *t, struct question *q);

/* Pushes nil and the ResolveError for an answer with q->r->eai; returns 2. */
int question_failed(lua_State *L, const struct question *q, const char *op, const char *subject);

#endif
