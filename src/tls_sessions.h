/*
 * tls_sessions: a client's sessions by peer, for resumption.
 *
 * Newest first. A session of TLS 1.3 is used once, as RFC 8446 C.4 asks, so a few are kept for a
 * peer; one of TLS 1.2 stays. The peer unused for longest goes when there are too many.
 */
#ifndef CURIO_TLS_SESSIONS_H
#define CURIO_TLS_SESSIONS_H

#include <stddef.h>

enum { TLS_PEERS_MOST = 256, TLS_SESSIONS_MOST = 4 /* of a peer */ };

struct ssl_session_st;
struct tls_peer;

struct tls_sessions {
    struct tls_peer *first; /* most recently used */
    unsigned count;
};

/* Takes over the session. 0 or -ENOMEM, then it stays the caller's. */
int tls_sessions_add(struct tls_sessions *s, const char *name, struct ssl_session_st *session);
/* One to resume, to be freed by the caller; NULL: there is none. */
struct ssl_session_st *tls_sessions_take(struct tls_sessions *s, const char *name);
void tls_sessions_clear(struct tls_sessions *s);

#endif
