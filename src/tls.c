/*
 * tls: see tls.h. OpenSSL does the protocol, tls_bio.c moves the bytes, this is between them.
 */
#include "tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ossl.h"
#include "tls_bio.h"
#include "tls_names.h"

#define WRITE_MOST (64 * 1024) /* bytes for one SSL_write: their records fit into TLS_WORK_OUT */
#define ASK_LEAST (17 * 1024)  /* bytes for one recv: a whole record */
#define CONTROL_MOST 32        /* records without data, one after the other */
#define RENEGOTIATIONS_MOST 3

void tls_lend(struct tls *t, struct loop *loop, char *work) {
    t->loop = loop;
    t->work = work;
    t->ask = ASK_LEAST;
    t->satisfied = t->exact = t->urgent = false;
}

/* This call fails; others may not. */
static int refuse(struct tls *t, enum tls_trouble trouble) {
    t->error = (struct tls_error){.trouble = (unsigned char)trouble};
    return TLS_FAILED;
}

static int fail(struct tls *t, enum tls_trouble trouble) {
    t->dead = true;
    return refuse(t, trouble);
}

/* ---- opening ---- */

/* Alerts that we write tell of attempts to negotiate anew: OpenSSL refuses each of them, for ever.
 */
static void on_info(const SSL *ssl, int where, int what) {
    struct tls *t = SSL_get_ex_data(ssl, 0);
    if (where == SSL_CB_WRITE_ALERT && (what & 0xff) == SSL_AD_NO_RENEGOTIATION &&
        t->refused < UINT8_MAX)
        t->refused++;
}

static int set_peer(struct tls *t, const struct tls_options *opts) {
    if (opts->hostname && !opts->server) {
        int err = tls_names_expect(t->ssl, opts->hostname, opts->check_hostname);
        if (err)
            return err;
    }
    if (!opts->peer || opts->server)
        return 0;
    t->peer = strdup(opts->peer);
    return t->peer ? 0 : -ENOMEM;
}

static void set_session(struct tls *t, const struct tls_options *opts) {
    SSL_SESSION *session = opts->session;
    if (t->server)
        return;
    if (!session && t->peer)
        session = tls_sessions_take(&t->context->sessions, t->peer);
    if (session && SSL_SESSION_is_resumable(session))
        SSL_set_session(t->ssl, session);
    if (session != opts->session)
        SSL_SESSION_free(session);
}

static int set_protocols(struct tls *t, const struct tls_options *opts) {
    const unsigned char *wire = (const unsigned char *)opts->alpn;
    return wire && SSL_set_alpn_protos(t->ssl, wire, (unsigned)opts->alpn_len) != 0 ? -ENOMEM : 0;
}

static int set_bio(struct tls *t) {
    BIO *bio = tls_bio_new(t);
    if (!bio)
        return -ENOMEM;
    SSL_set_bio(t->ssl, bio, bio);
    return 0;
}

int tls_open(struct tls *t, struct tls_context *context, const struct tls_options *opts) {
    ERR_clear_error();
    t->ssl = SSL_new(context->ctx);
    if (!t->ssl)
        return -ENOMEM;
    t->context = context;
    t->generation = context->generation;
    t->server = opts->server;
    t->checked = tls_context_verify(context) != TLS_VERIFY_NONE;
    int err = set_bio(t);
    if (!err && !SSL_set_ex_data(t->ssl, 0, t))
        err = -ENOMEM;
    if (!err)
        err = set_peer(t, opts);
    if (!err)
        err = set_protocols(t, opts);
    if (err) {
        tls_free(t);
        return err;
    }
    if (opts->ragged_ok)
        SSL_set_options(t->ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_set_info_callback(t->ssl, on_info);
    set_session(t, opts);
    if (t->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    return 0;
}

void tls_free(struct tls *t) {
    SSL *ssl = t->ssl;
    t->ssl = NULL;
    if (ssl)
        SSL_free(ssl);
    tls_bytes_drop(&t->in);
    tls_bytes_drop(&t->out);
    free(t->peer);
    t->peer = NULL;
}

/* ---- what OpenSSL says ---- */

static int unverified(struct tls *t, int verify) {
    t->dead = true;
    t->error.trouble = TLS_UNVERIFIED;
    t->error.verify = verify;
    return TLS_FAILED;
}

static int library_failed(struct tls *t) {
    t->dead = true;
    t->error = tls_error_take();
    int reason = ERR_GET_REASON(t->error.code);
    if (t->answer == TLS_ANSWER_REFUSE)
        return refuse(t, TLS_REFUSED);
    if (t->error.trouble == TLS_OK)
        return refuse(t, t->eof ? TLS_TRUNCATED : TLS_NO_MEMORY);
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return refuse(t, TLS_TRUNCATED);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return unverified(t, (int)SSL_get_verify_result(t->ssl));
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return unverified(t, X509_V_ERR_UNSPECIFIED);
    return TLS_FAILED;
}

/* The code for what a call has returned that did not succeed. */
static int outcome(struct tls *t, int result) {
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        t->want = LOOP_READ;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->want = LOOP_WRITE;
        return -EAGAIN;
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
        return TLS_ASK_NAME;
    case SSL_ERROR_ZERO_RETURN:
        t->ended = true;
        return 0;
    default:
        return t->recv_error ? t->recv_error : library_failed(t);
    }
}

/* What an attempt must do before it returns. */
static ssize_t done(struct tls *t, ssize_t result) {
    int err = tls_bio_settle(t);
    if (err < 0 && !t->recv_error)
        t->recv_error = t->send_error = err;
    return err < 0 ? err : result;
}

static int flush_all(struct tls *t) {
    int err = t->send_error ? t->send_error : tls_bio_flush(t);
    if (err == -EAGAIN)
        t->want = LOOP_WRITE;
    else
        t->send_error = err;
    return err;
}

/* ---- the handshake ---- */

/* A session that was made when less was asked for must not be a way around what is asked now. */
static int check_resumed(struct tls *t) {
    if (!t->checked || SSL_get_verify_result(t->ssl) == X509_V_OK)
        return 0;
    t->error.code = ERR_PACK(ERR_LIB_SSL, 0, SSL_R_CERTIFICATE_VERIFY_FAILED);
    return unverified(t, (int)SSL_get_verify_result(t->ssl));
}

static int shake(struct tls *t) {
    if (t->dead)
        return TLS_FAILED;
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    int code = result == 1 ? check_resumed(t) : outcome(t, result);
    if (result != 1 && code == 0)
        code = fail(t, TLS_TRUNCATED); /* close_notify in the middle of it */
    int want = t->want;
    t->urgent = code == TLS_FAILED;
    int err = flush_all(t);
    if (code == TLS_FAILED)
        return code; /* the alert that tells the peer why has been tried */
    if (err == -EAGAIN)
        return err;
    if (err < 0 && code != -EAGAIN)
        return err;
    t->want = (uint8_t)want; /* and should the peer have gone, read what it said before */
    t->connected = result == 1;
    return code;
}

int tls_handshake(struct tls *t) {
    return (int)done(t, shake(t));
}

int tls_name(struct tls *t, const char **name) {
    return tls_names_asked(t->ssl, name);
}

void tls_answer(struct tls *t, struct tls_context *context) {
    t->answer = context ? TLS_ANSWER_GO_ON : TLS_ANSWER_REFUSE;
    if (!context || context == t->context)
        return;
    SSL_set_SSL_CTX(t->ssl, context->ctx);
    SSL_set_verify(t->ssl, SSL_CTX_get_verify_mode(context->ctx), NULL);
    t->checked = tls_context_verify(context) != TLS_VERIFY_NONE;
    t->context = context;
}

/* ---- reading ---- */

bool tls_pending(const struct tls *t) {
    return t->dead || t->recv_error || t->ended || t->eof || tls_bio_has_input(t) ||
           SSL_has_pending(t->ssl);
}

/* Every record that brings no data takes a turn here, and they are counted. */
static ssize_t read_once(struct tls *t, char *buf, size_t room) {
    size_t n;
    for (int turn = 0; turn < CONTROL_MOST; turn++) {
        ERR_clear_error();
        int result = SSL_read_ex(t->ssl, buf, room, &n);
        if (result == 1)
            return (ssize_t)n;
        if (t->refused > RENEGOTIATIONS_MOST)
            return fail(t, TLS_RENEGOTIATION);
        int code = outcome(t, result);
        if (code != -EAGAIN || t->starved)
            return code;
    }
    return fail(t, TLS_FLOOD);
}

static ssize_t read_all(struct tls *t, char *buf, size_t room) {
    size_t total = 0;
    if (t->ended)
        return 0;
    if (t->dead)
        return TLS_FAILED;
    if (!t->connected)
        return refuse(t, TLS_UNREADY);
    t->ask = room + 1024 < ASK_LEAST ? ASK_LEAST : room + 1024;
    if (t->ask > TLS_WORK_IN)
        t->ask = TLS_WORK_IN;
    do {
        ssize_t n = read_once(t, buf + total, room - total);
        if (n <= 0)
            return total ? (ssize_t)total : n;
        total += (size_t)n;
        t->satisfied = true;
    } while (total < room && (tls_bio_has_input(t) || SSL_has_pending(t->ssl)));
    return (ssize_t)total;
}

ssize_t tls_read(struct tls *t, char *buf, size_t room) {
    ssize_t n = read_all(t, buf, room);
    int want = t->want;
    t->urgent = t->dead;
    if (tls_bio_has_output(t))
        flush_all(t); /* answers; a reader need not wait for that */
    t->want = (uint8_t)want;
    return done(t, n);
}

/* ---- writing ---- */

int tls_flush(struct tls *t) {
    return (int)done(t, flush_all(t));
}

static int encrypt(struct tls *t, const char *data, size_t len) {
    ERR_clear_error();
    int result = SSL_write_ex(t->ssl, data, len < WRITE_MOST ? len : WRITE_MOST, &t->taken);
    if (result == 1)
        return 0;
    t->taken = 0;
    int code = outcome(t, result);
    return code == 0 || code == -EAGAIN ? refuse(t, TLS_SHUT) : code;
}

static int may_write(struct tls *t) {
    if (t->dead)
        return TLS_FAILED;
    if (!t->connected)
        return refuse(t, TLS_UNREADY);
    if (t->shut)
        return refuse(t, TLS_SHUT);
    if (t->broken)
        return refuse(t, TLS_CANCELLED);
    return t->send_error;
}

static ssize_t write_some(struct tls *t, const char *data, size_t len) {
    if (!t->taken) {
        int err = may_write(t);
        if (!err && tls_bio_has_output(t))
            err = flush_all(t);
        if (!err)
            err = encrypt(t, data, len);
        if (err)
            return err;
    }
    int err = flush_all(t);
    if (err)
        return err;
    ssize_t n = (ssize_t)t->taken;
    t->taken = 0;
    return n;
}

ssize_t tls_write(struct tls *t, const char *data, size_t len) {
    return len ? done(t, write_some(t, data, len)) : 0;
}

void tls_break(struct tls *t) {
    t->broken = true;
    t->taken = 0;
}

int tls_update_keys(struct tls *t, bool request) {
    ERR_clear_error();
    int type = request ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
    if (SSL_key_update(t->ssl, type) == 1)
        return 0;
    t->error = tls_error_take();
    return TLS_FAILED;
}

/* ---- ending ---- */

static int say_end(struct tls *t) {
    if (t->dead)
        return TLS_FAILED;
    if (!t->connected)
        return refuse(t, TLS_UNREADY);
    if (t->broken)
        return refuse(t, TLS_CANCELLED);
    if (!t->shut) {
        ERR_clear_error();
        if (SSL_shutdown(t->ssl) < 0)
            return library_failed(t);
        t->shut = true;
    }
    return flush_all(t);
}

int tls_shut(struct tls *t) {
    return (int)done(t, say_end(t));
}

static int end_failed(struct tls *t, int result) {
    int code = outcome(t, result);
    if (code != TLS_FAILED ||
        ERR_GET_REASON(t->error.code) != SSL_R_APPLICATION_DATA_AFTER_CLOSE_NOTIFY)
        return code;
    return fail(t, TLS_DATA); /* that record is lost, so nothing can go on */
}

static int await_end(struct tls *t) {
    t->exact = true; /* what follows is not ours */
    for (int turn = 0; turn < CONTROL_MOST && !t->ended; turn++) {
        if (t->dead)
            return TLS_FAILED;
        ERR_clear_error();
        int result = SSL_shutdown(t->ssl);
        if (result == 1)
            t->ended = true;
        int code = result < 0 ? end_failed(t, result) : 0;
        if (code < 0 && (code != -EAGAIN || t->starved))
            return code;
    }
    return t->ended ? 0 : fail(t, TLS_FLOOD);
}

int tls_await_end(struct tls *t) {
    return (int)done(t, await_end(t));
}

void tls_farewell(struct tls *t) {
    if (t->ssl && t->connected && !t->broken && !t->taken && !t->dead) {
        t->urgent = true;
        say_end(t);
    }
    done(t, 0);
}

/* ---- in memory ---- */

int tls_feed(struct tls *t, const char *data, size_t len) {
    if (len == 0)
        t->eof = true;
    return len ? tls_bytes_add(&t->in, data, len) : 0;
}
