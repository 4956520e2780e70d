/*
 * tls_error: what went wrong with TLS, small enough to be kept, and its words.
 */
#ifndef CURIO_TLS_ERROR_H
#define CURIO_TLS_ERROR_H

#include <stddef.h>

enum tls_trouble {
    TLS_OK,
    TLS_LIBRARY,    /* OpenSSL: code */
    TLS_UNVERIFIED, /* the peer's certificate: code, verify */
    TLS_TRUNCATED,  /* the stream ended without close_notify */
    TLS_CANCELLED,  /* a write was given up half-way */
    TLS_SHUT,       /* write after shutdown */
    TLS_FLOOD,      /* nothing but control messages */
    TLS_RENEGOTIATION,
    TLS_DATA,    /* data where the end was awaited */
    TLS_UNREADY, /* the handshake comes first */
    TLS_REFUSED, /* the server's name, by the user's callback */
    TLS_NO_LIBRARY,
    TLS_NO_MEMORY,
};

struct tls_error {
    unsigned long code; /* as OpenSSL packs it */
    int verify;         /* X509_V_ERR_ */
    unsigned char trouble;
};

/* Takes the last error from OpenSSL's queue and empties it. */
struct tls_error tls_error_take(void);

/* "CERTIFICATE_VERIFY_FAILED" */
const char *tls_error_reason(const struct tls_error *e, char *buf, size_t size);
/* "certificate verify failed" */
const char *tls_error_text(const struct tls_error *e);
/* "self-signed certificate" */
const char *tls_error_verify_text(const struct tls_error *e);

#endif
