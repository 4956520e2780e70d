/*
 * tls_context: see tls_context.h.
 */
#include "tls_context.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ossl.h"
#include "tls.h"

#define SECURITY_LEVEL 2 /* at least: 112 bits, so RSA keys of 2048 */
#define LINE_MOST 512    /* of the log of keys */

static int failed(struct tls_context *c) {
    c->error = tls_error_take();
    if (!c->error.trouble)
        c->error.trouble = TLS_NO_MEMORY;
    return TLS_FAILED;
}

/* ---- callbacks: none of them may call Lua ---- */

/* A server's choice: its first that the client has too, else none (RFC 7301, 3.2). */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg) {
    const struct tls_context *c = arg;
    unsigned char *chosen;
    (void)ssl;
    if (!c->alpn)
        return SSL_TLSEXT_ERR_NOACK;
    int found = SSL_select_next_proto(&chosen, out_len, c->alpn, (unsigned)c->alpn_len, in, in_len);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A client has been given a session. 1: it is ours now. */
static int on_session(SSL *ssl, SSL_SESSION *session) {
    const struct tls *t = SSL_get_ex_data(ssl, 0);
    if (!t || !t->peer || t->generation != t->context->generation)
        return 0;
    return tls_sessions_add(&t->context->sessions, t->peer, session) == 0;
}

static int on_hello(SSL *ssl, int *alert, void *arg) {
    const struct tls *t = SSL_get_ex_data(ssl, 0);
    (void)arg;
    if (!t->context->asks && t->answer == TLS_ANSWER_NONE)
        return SSL_CLIENT_HELLO_SUCCESS;
    if (t->answer == TLS_ANSWER_REFUSE) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    return t->answer == TLS_ANSWER_GO_ON ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_RETRY;
}

/* In one write, so that processes can share the file. */
static void on_key(const SSL *ssl, const char *line) {
    char buf[LINE_MOST];
    const struct tls *t = SSL_get_ex_data(ssl, 0);
    int n = snprintf(buf, sizeof buf, "%s\n", line);
    if (!t || t->context->keylog < 0 || n >= (int)sizeof buf)
        return;
    ssize_t written = write(t->context->keylog, buf, (size_t)n);
    (void)written; /* there is nobody to tell */
}

/* ---- opening ---- */

static void set_defaults(SSL_CTX *ctx, bool server) {
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 (server ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0));
    if (SSL_CTX_get_security_level(ctx) < SECURITY_LEVEL)
        SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_verify(ctx, server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
}

/* A server keeps no sessions, clients keep them for it, as tickets. Those of one context are worth
   nothing to another, as it may ask more of a client. */
static bool set_sessions(struct tls_context *c) {
    SSL_CTX *ctx = c->ctx;
    bool server = c->server;
    SSL_CTX_set_session_cache_mode(
        ctx, server ? SSL_SESS_CACHE_OFF : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (!server) {
        SSL_CTX_sess_set_new_cb(ctx, on_session);
        return true;
    }
    return RAND_bytes(c->id, sizeof c->id) == 1 &&
           SSL_CTX_set_session_id_context(ctx, c->id, sizeof c->id);
}

int tls_context_open(struct tls_context *c, bool server) {
    c->keylog = -1;
    c->server = server;
    if (!ossl_load()) {
        c->error.trouble = TLS_NO_LIBRARY;
        return TLS_FAILED;
    }
    ERR_clear_error();
    c->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!c->ctx)
        return failed(c);
    set_defaults(c->ctx, server);
    if (!set_sessions(c) || !SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION))
        return failed(c);
    if (server) {
        SSL_CTX_set_alpn_select_cb(c->ctx, select_protocol, c);
        SSL_CTX_set_client_hello_cb(c->ctx, on_hello, NULL);
    }
    return 0;
}

void tls_context_free(struct tls_context *c) {
    SSL_CTX *ctx = c->ctx;
    c->ctx = NULL;
    if (!ctx)
        return;
    tls_sessions_clear(&c->sessions);
    SSL_CTX_free(ctx);
    free(c->alpn);
    c->alpn = NULL;
    if (c->keylog >= 0)
        close(c->keylog);
    c->keylog = -1;
}

void tls_context_renew(struct tls_context *c) {
    c->generation++;
    tls_sessions_clear(&c->sessions);
}

/* ---- certificate and key ---- */

static int give_password(char *buf, int size, int writing, void *arg) {
    struct tls_password *password = arg;
    (void)writing;
    password->asked = true;
    if (!password->text || password->len > (size_t)size)
        return -1;
    memcpy(buf, password->text, password->len);
    return (int)password->len;
}

static EVP_PKEY *read_key(const char *pem, size_t len, struct tls_password *password) {
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, password) : NULL;
    BIO_free(bio);
    return key;
}

/* All of them; an error only when there is none, or one is damaged. */
static STACK_OF(X509) * read_chain(const char *pem, size_t len) {
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    STACK_OF(X509) *chain = sk_X509_new_null();
    struct tls_password none = {0};
    X509 *cert = NULL;
    while (bio && chain && (cert = PEM_read_bio_X509(bio, NULL, give_password, &none)))
        if (!sk_X509_push(chain, cert)) {
            X509_free(cert);
            break;
        }
    bool whole = chain && sk_X509_num(chain) > 0 && !cert &&
                 ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (whole) {
        ERR_clear_error();
        return chain;
    }
    OPENSSL_sk_pop_free((OPENSSL_STACK *)chain, (OPENSSL_sk_freefunc)X509_free);
    return NULL;
}

static bool use(SSL_CTX *ctx, STACK_OF(X509) * chain, EVP_PKEY *key) {
    X509 *leaf = sk_X509_shift(chain);
    bool good = SSL_CTX_use_cert_and_key(ctx, leaf, key, chain, 1) == 1;
    X509_free(leaf);
    return good;
}

int tls_context_set_chain(struct tls_context *c, const char *chain, size_t chain_len,
                          const char *key, size_t key_len, struct tls_password *password) {
    ERR_clear_error();
    STACK_OF(X509) *certs = read_chain(chain, chain_len);
    EVP_PKEY *secret = certs ? read_key(key, key_len, password) : NULL;
    int result = secret && use(c->ctx, certs, secret) ? 0 : failed(c);
    OPENSSL_sk_pop_free((OPENSSL_STACK *)certs, (OPENSSL_sk_freefunc)X509_free);
    EVP_PKEY_free(secret);
    tls_context_renew(c);
    return result;
}

/* ---- whom to trust, how to verify ---- */

void tls_context_set_trust(struct tls_context *c, X509_STORE *store) {
    SSL_CTX_set1_cert_store(c->ctx, store);
    tls_context_renew(c);
}

int tls_context_add_client_names(struct tls_context *c, const char *pem, size_t len) {
    ERR_clear_error();
    STACK_OF(X509) *certs = read_chain(pem, len);
    bool good = true;
    for (int i = 0; certs && good && i < sk_X509_num(certs); i++)
        good = SSL_CTX_add_client_CA(c->ctx, sk_X509_value(certs, i)) == 1;
    OPENSSL_sk_pop_free((OPENSSL_STACK *)certs, (OPENSSL_sk_freefunc)X509_free);
    ERR_clear_error(); /* what is no certificate has no name to tell */
    return good ? 0 : failed(c);
}

void tls_context_set_verify(struct tls_context *c, enum tls_verify mode) {
    static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER,
                                SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    SSL_CTX_set_verify(c->ctx, modes[mode], NULL);
    tls_context_renew(c);
}

/* A client has no way to make it optional. */
enum tls_verify tls_context_verify(const struct tls_context *c) {
    int mode = SSL_CTX_get_verify_mode(c->ctx);
    if (!(mode & SSL_VERIFY_PEER))
        return TLS_VERIFY_NONE;
    return c->server && !(mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) ? TLS_VERIFY_OPTIONAL
                                                                  : TLS_VERIFY_REQUIRED;
}

int tls_context_set_flags(struct tls_context *c, unsigned long flags) {
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(c->ctx);
    ERR_clear_error();
    X509_VERIFY_PARAM_clear_flags(param, X509_VERIFY_PARAM_get_flags(param));
    tls_context_renew(c);
    return X509_VERIFY_PARAM_set_flags(param, flags) ? 0 : failed(c);
}

unsigned long tls_context_flags(const struct tls_context *c) {
    return X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(c->ctx));
}

/* ---- versions, ciphers, protocols ---- */

int tls_context_set_versions(struct tls_context *c, int min, int max) {
    ERR_clear_error();
    tls_context_renew(c);
    return SSL_CTX_set_min_proto_version(c->ctx, min) && SSL_CTX_set_max_proto_version(c->ctx, max)
               ? 0
               : failed(c);
}

void tls_context_versions(const struct tls_context *c, int *min, int *max) {
    *min = (int)SSL_CTX_get_min_proto_version(c->ctx);
    *max = (int)SSL_CTX_get_max_proto_version(c->ctx);
}

int tls_context_set_ciphers(struct tls_context *c, const char *list, const char *suites) {
    ERR_clear_error();
    if (list && !SSL_CTX_set_cipher_list(c->ctx, list))
        return failed(c);
    return suites && !SSL_CTX_set_ciphersuites(c->ctx, suites) ? failed(c) : 0;
}

/* Nothing changes unless all of it can be done. */
int tls_context_set_alpn(struct tls_context *c, const char *wire, size_t len) {
    unsigned char *copy = len ? malloc(len) : NULL;
    if (len && !copy)
        return -ENOMEM;
    if (len)
        memcpy(copy, wire, len);
    if (!c->server && SSL_CTX_set_alpn_protos(c->ctx, copy, (unsigned)len) != 0) {
        free(copy);
        return -ENOMEM;
    }
    free(c->alpn);
    c->alpn = copy;
    c->alpn_len = len;
    return 0;
}

int tls_context_set_keylog(struct tls_context *c, const char *path) {
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (path && fd < 0)
        return -errno;
    if (c->keylog >= 0)
        close(c->keylog);
    c->keylog = fd;
    SSL_CTX_set_keylog_callback(c->ctx, path ? on_key : NULL);
    return 0;
}

int tls_context_get_tickets(struct tls_context *c, char *to) {
    ERR_clear_error();
    memcpy(to, c->id, TLS_CONTEXT_ID);
    size_t rest = TLS_TICKETS - TLS_CONTEXT_ID;
    return SSL_CTX_get_tlsext_ticket_keys(c->ctx, to + TLS_CONTEXT_ID, (long)rest) == 1 ? 0
                                                                                        : failed(c);
}

int tls_context_set_tickets(struct tls_context *c, const char *from) {
    ERR_clear_error();
    memcpy(c->id, from, TLS_CONTEXT_ID);
    void *keys = (void *)(from + TLS_CONTEXT_ID);
    size_t rest = TLS_TICKETS - TLS_CONTEXT_ID;
    return SSL_CTX_set_session_id_context(c->ctx, c->id, TLS_CONTEXT_ID) &&
                   SSL_CTX_set_tlsext_ticket_keys(c->ctx, keys, (long)rest) == 1
               ? 0
               : failed(c);
}

void tls_context_ask(struct tls_context *c, bool on) {
    c->asks = on;
}
