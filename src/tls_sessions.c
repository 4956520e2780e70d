/*
 * tls_sessions: see tls_sessions.h.
 */
#include "tls_sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ossl.h"

struct tls_peer {
    struct tls_peer *next;
    SSL_SESSION *sessions[TLS_SESSIONS_MOST]; /* newest first */
    unsigned count;
    char name[];
};

static void free_peer(struct tls_peer *p) {
    for (unsigned i = 0; i < p->count; i++)
        SSL_SESSION_free(p->sessions[i]);
    free(p);
}

void tls_sessions_clear(struct tls_sessions *s) {
    while (s->first) {
        struct tls_peer *p = s->first;
        s->first = p->next;
        free_peer(p);
    }
    s->count = 0;
}

/* Takes it out of the list. */
static struct tls_peer *take_peer(struct tls_sessions *s, const char *name) {
    for (struct tls_peer **at = &s->first; *at; at = &(*at)->next)
        if (!strcmp((*at)->name, name)) {
            struct tls_peer *p = *at;
            *at = p->next;
            s->count--;
            return p;
        }
    return NULL;
}

static struct tls_peer *new_peer(const char *name) {
    size_t size = strlen(name) + 1;
    struct tls_peer *p = calloc(1, sizeof *p + size);
    if (p)
        memcpy(p->name, name, size);
    return p;
}

static void put_first(struct tls_sessions *s, struct tls_peer *p) {
    p->next = s->first;
    s->first = p;
    s->count++;
}

static void drop_last(struct tls_sessions *s) {
    struct tls_peer **at = &s->first;
    while ((*at)->next)
        at = &(*at)->next;
    free_peer(*at);
    *at = NULL;
    s->count--;
}

int tls_sessions_add(struct tls_sessions *s, const char *name, SSL_SESSION *session) {
    struct tls_peer *p = take_peer(s, name);
    if (!p)
        p = new_peer(name);
    if (!p)
        return -ENOMEM;
    if (p->count == TLS_SESSIONS_MOST)
        SSL_SESSION_free(p->sessions[--p->count]);
    memmove(p->sessions + 1, p->sessions, p->count * sizeof p->sessions[0]);
    p->sessions[0] = session;
    p->count++;
    put_first(s, p);
    if (s->count > TLS_PEERS_MOST)
        drop_last(s);
    return 0;
}

static SSL_SESSION *take_session(struct tls_peer *p) {
    SSL_SESSION *session = p->sessions[0];
    if (SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION) {
        SSL_SESSION_up_ref(session);
        return session;
    }
    p->count--;
    memmove(p->sessions, p->sessions + 1, p->count * sizeof p->sessions[0]);
    return session;
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *s, const char *name) {
    struct tls_peer *p = take_peer(s, name);
    if (!p)
        return NULL;
    SSL_SESSION *session = take_session(p);
    if (p->count)
        put_first(s, p);
    else
        free_peer(p);
    return session;
}
