/*
 * resolve: the two questions to the name service; see resolve.h.
 *
 * One allocation holds the question and the texts: for addrinfo the node and service asked for,
 * for nameinfo the room for the answer. The C library's functions are called in `answer`
 * alone, whether inline with the numeric flags or in a thread of the pool.
 */
#include "resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longer names do not exist; refused here, as the stack of a pool thread is small. */
enum { NAME_MAX_LENGTH = 1024 };

static void ask_addrinfo(struct resolve *r, const struct addrinfo *hints) {
    if (r->node && strlen(r->node) > NAME_MAX_LENGTH)
        r->eai = EAI_NONAME;
    else
        r->eai = getaddrinfo(r->node, r->service, hints, &r->list);
    if (r->eai != 0)
        r->list = NULL;
}

static void ask_nameinfo(struct resolve *r) {
    r->eai = getnameinfo(&r->name.u.any, r->name.len, r->host, NI_MAXHOST, r->serv, NI_MAXSERV,
                         r->flags);
    if (r->eai != 0)
        *r->host = *r->serv = '\0';
}

static void answer(struct resolve *r, const struct addrinfo *hints) {
    if (r->kind == RESOLVE_ADDRINFO)
        ask_addrinfo(r, hints);
    else
        ask_nameinfo(r);
    r->err = r->eai == EAI_SYSTEM ? errno : 0;
}

static void resolve_work(struct job *job) {
    struct resolve *r = (struct resolve *)job;
    answer(r, &r->hints);
}

static void resolve_drop(struct job *job) {
    resolve_free((struct resolve *)job);
}

static struct resolve *resolve_new(enum resolve_kind kind, size_t room,
                                   void (*done)(struct job *)) {
    struct resolve *r = calloc(1, sizeof *r + room);
    if (!r)
        return NULL;
    r->kind = kind;
    r->job.work = resolve_work;
    r->job.done = done;
    r->job.drop = resolve_drop;
    r->host = r->serv = r->text;
    return r;
}

/* Copies text to *at and moves *at behind it. */
static const char *keep(char **at, const char *text, size_t size) {
    char *copy = *at;
    if (!text)
        return NULL;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

struct resolve *resolve_addrinfo(const char *node, const char *service,
                                 const struct addrinfo *hints, void (*done)(struct job *)) {
    size_t node_size = node ? strlen(node) + 1 : 0;
    size_t service_size = service ? strlen(service) + 1 : 0;
    struct resolve *r = resolve_new(RESOLVE_ADDRINFO, 1 + node_size + service_size, done);
    char *at;

    if (!r)
        return NULL;
    at = r->text + 1; /* text[0] stays "" for host and serv */
    r->node = keep(&at, node, node_size);
    r->service = keep(&at, service, service_size);
    if (hints) {
        r->hints.ai_flags = hints->ai_flags;
        r->hints.ai_family = hints->ai_family;
        r->hints.ai_socktype = hints->ai_socktype;
        r->hints.ai_protocol = hints->ai_protocol;
    }
    return r;
}

struct resolve *resolve_nameinfo(const struct addr *name, int flags, void (*done)(struct job *)) {
    struct resolve *r = resolve_new(RESOLVE_NAMEINFO, NI_MAXHOST + NI_MAXSERV, done);
    if (!r)
        return NULL;
    r->name = *name;
    r->flags = flags;
    r->serv = r->text + NI_MAXHOST;
    return r;
}

static bool numeric_addrinfo(struct resolve *r) {
    struct addrinfo hints = r->hints;
    hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    answer(r, &hints);
    /* Whether a name is refused for its form or for not being numeric only the pool can tell. */
    return r->eai == 0 || hints.ai_flags == r->hints.ai_flags;
}

bool resolve_numeric(struct resolve *r) {
    const int both = NI_NUMERICHOST | NI_NUMERICSERV;
    if (r->kind == RESOLVE_ADDRINFO)
        return numeric_addrinfo(r);
    if ((r->flags & both) != both)
        return false;
    answer(r, NULL);
    return true;
}

int resolve_submit(struct resolve *r) {
    return pool_submit(&r->job);
}

void resolve_abandon(struct resolve *r) {
    pool_abandon(&r->job);
}

void resolve_free(struct resolve *r) {
    if (!r)
        return;
    if (r->list)
        freeaddrinfo(r->list);
    free(r);
}
