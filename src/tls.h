/*
 * tls: one TLS connection; the engine below sockets that are encrypted.
 *
 * In the shape of net.c: each call is an attempt that never sleeps, returns >= 0 or a negative
 * code, and leaves in `want` what to wait for after -EAGAIN. OpenSSL reads and writes memory only;
 * this file moves the bytes. One recv takes all that is there, for many records or for one; what a
 * write has encrypted goes out in one send. What the socket does not take is kept and goes out
 * first next time, whoever comes: so OpenSSL never waits for writing, a reader that has to answer
 * (KeyUpdate) never stands in a writer's way, and no half of a record is ever lost.
 *
 * Between attempts an idle connection keeps no buffer of ours, and none of OpenSSL's.
 */
#ifndef CURIO_TLS_H
#define CURIO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop.h"
#include "tls_context.h"
#include "tls_error.h"

/* Bytes that the attempts work in; nothing stays there between them. */
enum { TLS_WORK_IN = 72 * 1024, TLS_WORK_OUT = 80 * 1024, TLS_WORK = TLS_WORK_IN + TLS_WORK_OUT };

/* Codes beside negative errno. */
enum {
    TLS_FAILED = -100001,   /* see `error` */
    TLS_ASK_NAME = -100002, /* of a handshake: which context for the client's server name? */
};

/* Bytes that wait: data[at] to data[len]. */
struct tls_bytes {
    char *data; /* owned; NULL when there are none */
    size_t at, len, room;
};

enum tls_answer { TLS_ANSWER_NONE, TLS_ANSWER_GO_ON, TLS_ANSWER_REFUSE };

struct tls {
    struct ssl_st *ssl;          /* NULL: closed */
    struct tls_context *context; /* the one it was opened with; outlives it */
    const struct io *io;         /* of the socket; NULL: in memory, see tls_feed */
    struct loop *loop;           /* during an attempt; NULL: outside a kernel */
    char *work;                  /* during an attempt: TLS_WORK bytes */
    char *got;                   /* during an attempt: received, not taken by OpenSSL yet */
    size_t got_len;
    size_t ask;      /* during an attempt: bytes for one recv */
    size_t made_len; /* during an attempt: written by OpenSSL, not sent yet; in the work area */
    struct tls_bytes in, out;
    size_t taken;   /* bytes of the write under way that are encrypted, and not all sent */
    char *peer;     /* owned: the key of the cache of sessions; NULL: none */
    int recv_error; /* a negative errno, sticky; 0 */
    int send_error;
    unsigned generation; /* of the context's settings when this was opened */
    uint8_t want;        /* enum loop_dir, after -EAGAIN */
    uint8_t refused;     /* renegotiations */
    uint8_t answer;      /* enum tls_answer */
    bool server;
    bool connected;         /* the handshake is over */
    bool short_is_empty;    /* a recv that gets less than it asked for has emptied the socket */
    bool starved;           /* during an attempt: OpenSSL wanted more than there is */
    bool satisfied;         /* during an attempt: there is data for the reader, ask for no more */
    bool eof;               /* the descriptor's end has been read */
    bool ended;             /* the peer has said that it will write no more */
    bool shut;              /* we have said so */
    bool broken;            /* a write was given up half-way */
    bool dead;              /* `error` is for ever */
    bool urgent;            /* during an attempt: the last chance to send */
    bool exact;             /* during an attempt: receive no more than OpenSSL asks for */
    bool checked;           /* the peer is verified */
    struct tls_error error; /* the last */
};

struct tls_options {
    const char *hostname;           /* to send, and to check; NULL: neither */
    const char *peer;               /* the key of the cache of sessions; NULL: do not use it */
    struct ssl_session_st *session; /* to resume, instead of one from the cache; NULL */
    const char *alpn; /* of a client, as on the wire, instead of the context's; NULL */
    size_t alpn_len;
    bool server;
    bool check_hostname;
    bool ragged_ok;
};

/* Into zeroed memory. 0, or TLS_FAILED, or -EINVAL: the hostname is none. */
int tls_open(struct tls *t, struct tls_context *context, const struct tls_options *opts);
void tls_free(struct tls *t);

/* Each attempt gets the loop (NULL: outside a kernel) and TLS_WORK bytes (NULL: there are none). */
void tls_lend(struct tls *t, struct loop *loop, char *work);

/* 0: connected, and everything sent. TLS_ASK_NAME: then tls_name, tls_answer, and again. */
int tls_handshake(struct tls *t);

/* The name that a client asked for, and that may be none: its length, or -1. */
int tls_name(struct tls *t, const char **name);
/* NULL: refuse it. Without a call the context stays. */
void tls_answer(struct tls *t, struct tls_context *context);

/* Could a read succeed without the descriptor being ready? */
bool tls_pending(const struct tls *t);

/* Bytes; 0 at the end of the stream. */
ssize_t tls_read(struct tls *t, char *buf, size_t room);

/* Bytes, all of them sent. After -EAGAIN it must be asked again with the same ones, or the writer
   calls tls_break. */
ssize_t tls_write(struct tls *t, const char *data, size_t len);

/* The writer goes away in the middle. */
void tls_break(struct tls *t);

/* Sends what waits. */
int tls_flush(struct tls *t);

/* Says that we write no more. 0 when that is sent. */
int tls_shut(struct tls *t);

/* 0: the peer has said the same. Data that arrives instead is TLS_FAILED. */
int tls_await_end(struct tls *t);

/* Says it as far as can be done without waiting. */
void tls_farewell(struct tls *t);

/* In memory: gives it what arrived (no bytes: the end of the stream). What is to be sent is in
 * `out`.
 */
int tls_feed(struct tls *t, const char *data, size_t len);

/* Sends a KeyUpdate with the next write; asks for one too. */
int tls_update_keys(struct tls *t, bool request);

#endif
