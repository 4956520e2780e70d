/*
 * tls_bio: moves bytes between OpenSSL and the descriptor.
 *
 * Reading: first what an earlier attempt has left, then one recv into the scratch memory, from
 * which OpenSSL takes header by header and body by body. Whether to ask the system is up to the
 * loop's flags, as for plain sockets. Writing: into the scratch memory, or behind what waits; it
 * always succeeds, unless a peer who reads nothing makes us answer again and again.
 */
#include "tls_bio.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "ossl.h"

#define OUT_MOST (1024 * 1024) /* bytes that may wait to be sent */

/* ---- bytes that wait ---- */

void tls_bytes_drop(struct tls_bytes *b) {
    free(b->data);
    *b = (struct tls_bytes){0};
}

int tls_bytes_add(struct tls_bytes *b, const char *data, size_t len) {
    if (b->at > 0) {
        memmove(b->data, b->data + b->at, b->len - b->at);
        b->len -= b->at;
        b->at = 0;
    }
    if (b->room - b->len < len) {
        char *grown = realloc(b->data, b->len + len);
        if (!grown)
            return -ENOMEM;
        b->data = grown;
        b->room = b->len + len;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

static size_t waiting(const struct tls_bytes *b) {
    return b->len - b->at;
}

static void taken(struct tls_bytes *b, size_t n) {
    b->at += n;
    if (b->at == b->len)
        tls_bytes_drop(b);
}

bool tls_bio_has_input(const struct tls *t) {
    return t->got_len || waiting(&t->in);
}

bool tls_bio_has_output(const struct tls *t) {
    return t->made_len || waiting(&t->out);
}

/* ---- reading ---- */

/* A socket that is not registered yet will be, and then the poller tells for nothing. */
static bool worth_trying(const struct tls *t) {
    if (!t->loop)
        return false;
    const struct fdent *e = loop_entry(t->loop, t->io);
    return e && e->flags & (IO_READABLE | IO_ALWAYS);
}

/* One recv: bytes, 0 at the end, -EAGAIN, or another negative errno. */
static ssize_t receive(struct tls *t, size_t ask) {
    if (!t->work)
        return -ENOMEM;
    ssize_t n = net_recv(t->io->fd, t->work, ask, 0);
    if (n == -EAGAIN)
        loop_blocked(t->loop, t->io, LOOP_READ);
    else if (n > 0 && (size_t)n < ask && t->short_is_empty)
        loop_drained(t->loop, t->io, LOOP_READ);
    if (n > 0) {
        t->got = t->work;
        t->got_len = (size_t)n;
    }
    return n;
}

static int starve(BIO *b, struct tls *t) {
    t->starved = true;
    BIO_set_flags(b, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
    return -1;
}

/* More from the descriptor: true when there is. Else `starved`, `eof` or `recv_error` tells why. */
static bool refill(BIO *b, struct tls *t, size_t size) {
    if (t->eof || t->recv_error)
        return false;
    if (!t->io || t->satisfied || !worth_trying(t)) {
        starve(b, t);
        return false;
    }
    ssize_t n = receive(t, t->exact && size < t->ask ? size : t->ask);
    if (n == -EAGAIN)
        starve(b, t);
    else if (n == 0)
        t->eof = true;
    else if (n < 0)
        t->recv_error = (int)n;
    return n > 0;
}

static int bio_read(BIO *b, char *buf, int size) {
    struct tls *t = BIO_get_data(b);
    size_t n = size > 0 ? (size_t)size : 0;
    BIO_clear_flags(b, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    t->starved = false;
    if (waiting(&t->in)) {
        n = n < waiting(&t->in) ? n : waiting(&t->in);
        memcpy(buf, t->in.data + t->in.at, n);
        taken(&t->in, n);
        return (int)n;
    }
    if (!t->got_len && !refill(b, t, n))
        return t->eof && !t->starved ? 0 : -1;
    n = n < t->got_len ? n : t->got_len;
    memcpy(buf, t->got, n);
    t->got += n;
    t->got_len -= n;
    return (int)n;
}

/* ---- writing ---- */

static char *made(const struct tls *t) {
    return t->work + TLS_WORK_IN;
}

/* Behind what waits already. */
static int keep_made(struct tls *t) {
    int err = t->made_len ? tls_bytes_add(&t->out, made(t), t->made_len) : 0;
    t->made_len = 0;
    return err;
}

static int bio_write(BIO *b, const char *data, int size) {
    struct tls *t = BIO_get_data(b);
    size_t n = size > 0 ? (size_t)size : 0;
    BIO_clear_flags(b, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (t->work && n <= TLS_WORK_OUT - t->made_len) {
        memcpy(made(t) + t->made_len, data, n);
        t->made_len += n;
        return size;
    }
    if (waiting(&t->out) + t->made_len + n > OUT_MOST)
        return -1;
    return keep_made(t) < 0 || tls_bytes_add(&t->out, data, n) < 0 ? -1 : size;
}

/* What one send takes: 0 when all, -EAGAIN, or another negative errno. */
static int send_some(struct tls *t, const char *data, size_t len, size_t *sent) {
    *sent = 0;
    if (t->loop && !t->urgent && !loop_ready(t->loop, t->io, LOOP_WRITE))
        return -EAGAIN;
    ssize_t n = net_send(t->io->fd, data, len, 0);
    if (n == -EAGAIN && t->loop)
        loop_blocked(t->loop, t->io, LOOP_WRITE);
    if (n < 0)
        return (int)n;
    *sent = (size_t)n;
    if (*sent == len)
        return 0;
    if (t->loop)
        loop_drained(t->loop, t->io, LOOP_WRITE);
    return -EAGAIN;
}

int tls_bio_flush(struct tls *t) {
    size_t sent;
    int err = 0;
    if (!t->io)
        return 0; /* the owner takes it from there */
    if (waiting(&t->out)) {
        err = send_some(t, t->out.data + t->out.at, waiting(&t->out), &sent);
        taken(&t->out, sent);
    }
    if (!err && t->made_len) {
        err = send_some(t, made(t), t->made_len, &sent);
        t->made_len -= sent;
        memmove(made(t), made(t) + sent, t->made_len);
    }
    return err;
}

int tls_bio_settle(struct tls *t) {
    int err = keep_made(t);
    if (t->got_len && tls_bytes_add(&t->in, t->got, t->got_len) < 0)
        err = -ENOMEM;
    t->got = NULL;
    t->got_len = 0;
    t->loop = NULL;
    t->work = NULL;
    return err;
}

/* ---- the method ---- */

/* OpenSSL tells a missing close_notify by the end of the file. */
static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
    const struct tls *t = BIO_get_data(b);
    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_EOF)
        return t->eof;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void) {
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "curio");
    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl))
        method = m;
    else
        BIO_meth_free(m);
}

BIO *tls_bio_new(struct tls *t) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *b = method ? BIO_new(method) : NULL;
    if (b) {
        BIO_set_data(b, t);
        BIO_set_init(b, 1);
    }
    return b;
}
