/*
 * tls_context: what connections have in common: certificates, whom to trust, versions, protocols;
 * and the sessions to be resumed.
 *
 * Everything here comes as PEM in memory; who reads files does so above. A setter changes what new
 * connections get; those that exist keep what they have.
 */
#ifndef CURIO_TLS_CONTEXT_H
#define CURIO_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "tls_error.h"
#include "tls_sessions.h"

/* Bytes of a context's id, and of what makes its tickets, that included. */
enum { TLS_CONTEXT_ID = 32, TLS_TICKETS = 80 + TLS_CONTEXT_ID };

enum tls_verify { TLS_VERIFY_NONE, TLS_VERIFY_OPTIONAL, TLS_VERIFY_REQUIRED };

struct tls_context {
    struct ssl_ctx_st *ctx; /* NULL: closed */
    struct tls_sessions sessions;
    unsigned char *alpn; /* owned: ours in order of preference, as on the wire; NULL: none */
    size_t alpn_len;
    int keylog;                       /* descriptor; -1: none */
    unsigned char id[TLS_CONTEXT_ID]; /* a server's: what its sessions are bound to */
    unsigned generation; /* counts what makes older sessions worthless: whom to trust, how */
    bool server;
    bool asks; /* connections ask which context to use: TLS_ASK_NAME */
    struct tls_error error;
};

/* A password for a key: *len bytes. */
struct tls_password {
    const char *text; /* NULL: none is known */
    size_t len;
    bool asked; /* set when one was needed */
};

/* Into zeroed memory. All return 0 or a negative code: TLS_FAILED (see `error`), or a negative
   errno. */
int tls_context_open(struct tls_context *c, bool server);
void tls_context_free(struct tls_context *c);

/* The chain, leaf first, and its key. */
int tls_context_set_chain(struct tls_context *c, const char *chain, size_t chain_len,
                          const char *key, size_t key_len, struct tls_password *password);

struct x509_store_st;
void tls_context_set_trust(struct tls_context *c, struct x509_store_st *store);
/* A server tells clients the names of these authorities. */
int tls_context_add_client_names(struct tls_context *c, const char *pem, size_t len);

/* From now on earlier sessions count for nothing. Setters do so themselves where it matters. */
void tls_context_renew(struct tls_context *c);

void tls_context_set_verify(struct tls_context *c, enum tls_verify mode);
enum tls_verify tls_context_verify(const struct tls_context *c);
/* X509_V_FLAG_ */
int tls_context_set_flags(struct tls_context *c, unsigned long flags);
unsigned long tls_context_flags(const struct tls_context *c);

/* 0x0303, 0x0304; 0: no bound */
int tls_context_set_versions(struct tls_context *c, int min, int max);
void tls_context_versions(const struct tls_context *c, int *min, int *max);

/* Of TLS 1.2, of 1.3; NULL leaves them. */
int tls_context_set_ciphers(struct tls_context *c, const char *list, const char *suites);
int tls_context_set_alpn(struct tls_context *c, const char *wire, size_t len);
int tls_context_set_keylog(struct tls_context *c, const char *path);
/* What a server's tickets are made with, TLS_TICKETS bytes: two contexts that share it and serve
   the same clients in the same way resume each other's sessions. */
int tls_context_get_tickets(struct tls_context *c, char *to);
int tls_context_set_tickets(struct tls_context *c, const char *from);

void tls_context_ask(struct tls_context *c, bool on);

#endif
