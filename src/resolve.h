/*
 * resolve: getaddrinfo and getnameinfo as jobs for the pool.
 *
 * A struct resolve is one question with its own copy of the inputs and, later, the answer.
 * Numeric questions are answered at once by resolve_numeric without blocking; the others go to
 * the pool with resolve_submit. Never shares memory with the asker, who may therefore abandon a
 * question at any moment; see pool.h for who frees it then.
 *
 *     r = resolve_addrinfo(...)          owned by the caller; resolve_free
 *     resolve_submit(r) == 0             owned by the pool, until `done` hands r back
 *     pool_collect(&r->job) is true      owned by the caller again; resolve_free
 *     resolve_abandon(r)                 owned by nobody: freed by whoever is last
 */
#ifndef CURIO_RESOLVE_H
#define CURIO_RESOLVE_H

#include "addr.h"
#include "pool.h"

#include <netdb.h>

enum resolve_kind { RESOLVE_ADDRINFO, RESOLVE_NAMEINFO };

struct resolve {
    struct job job; /* first: the job of a resolve is the resolve; owner and waiter are free */
    enum resolve_kind kind;

    const char *node;      /* asked for addrinfo; NULL if not given; in text */
    const char *service;   /* likewise */
    struct addrinfo hints; /* flags, family, type and protocol only */
    struct addr name;      /* asked for nameinfo */
    int flags;             /* NI_ flags of the same */

    int eai;               /* answer: 0 or the EAI_ code as the system returned it */
    int err;               /* positive errno if eai is EAI_SYSTEM, else 0 */
    struct addrinfo *list; /* answer of addrinfo, freed with the resolve; may be taken: set NULL */
    char *host;            /* answer of nameinfo, in text; "" until then */
    char *serv;            /* likewise */
    char text[];
};

/* Allocate only. hints may be NULL. NULL if out of memory. */
struct resolve *resolve_addrinfo(const char *node, const char *service,
                                 const struct addrinfo *hints, void (*done)(struct job *));
struct resolve *resolve_nameinfo(const struct addr *name, int flags, void (*done)(struct job *));

/* True: answered on the spot, without any name service (the answer may be an error); `done` is
   not called. False: it needs resolve_submit. */
bool resolve_numeric(struct resolve *r);

/* As pool_submit: on failure the resolve remains the caller's. */
int resolve_submit(struct resolve *r);

/* Only after a successful submit, at most once, before it was collected. */
void resolve_abandon(struct resolve *r);

/* With its list. NULL is fine. */
void resolve_free(struct resolve *r);

#endif
