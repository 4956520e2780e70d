/*
 * tls_server -- the baseline that curio's TLS echo is measured against.
 *
 * A plain single-threaded epoll server on OpenSSL, with the settings of curio's: read-ahead, so
 * that a message costs one recv; buffers released while a connection is idle; no renegotiation;
 * sessions by tickets only. Level-triggered, so that no recv is wasted on EAGAIN. What the peer
 * does not take at once is kept, and reading stops until it is gone.
 *
 *     tls_server CERTIFICATE KEY [PORT]     prints "listening 127.0.0.1 PORT"; ends on SIGTERM
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listener.h"

/* One connection; the table of them is indexed by descriptor. */
struct conn {
    SSL *ssl;
    char *unsent; /* what SSL_write did not take, owned; NULL unless the peer is slow */
    size_t unsent_len;
    uint32_t watched; /* events */
};

static struct conn *conns;
static SSL_CTX *ctx;
static int epfd;
static char buffer[READ_SIZE];

static void watch(int fd, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.fd = fd};
    if (conns[fd].watched == events)
        return;
    if (epoll_ctl(epfd, conns[fd].watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
    conns[fd].watched = events;
}

static void conn_open(int fd) {
    conns[fd] = (struct conn){.ssl = SSL_new(ctx)};
    if (!conns[fd].ssl || !SSL_set_fd(conns[fd].ssl, fd))
        die("SSL_new");
    SSL_set_accept_state(conns[fd].ssl);
    watch(fd, EPOLLIN);
}

static void conn_close(int fd) {
    if (SSL_is_init_finished(conns[fd].ssl))
        SSL_shutdown(conns[fd].ssl);
    SSL_free(conns[fd].ssl);
    free(conns[fd].unsent);
    conns[fd] = (struct conn){0};
    close(fd);
}

/* 0 when OpenSSL waits for an event, which is then watched for; -1 when the connection is over. */
static int wanted(int fd, int result) {
    switch (SSL_get_error(conns[fd].ssl, result)) {
    case SSL_ERROR_WANT_READ:
        watch(fd, EPOLLIN);
        return 0;
    case SSL_ERROR_WANT_WRITE:
        watch(fd, EPOLLOUT);
        return 0;
    default:
        return -1;
    }
}

static int keep(int fd, const char *data, size_t len) {
    char *copy = malloc(len);
    if (!copy)
        return -1;
    memcpy(copy, data, len);
    free(conns[fd].unsent);
    conns[fd].unsent = copy;
    conns[fd].unsent_len = len;
    return 0;
}

/* 1: all of it has been sent. */
static int conn_send(int fd, const char *data, size_t len) {
    while (len > 0) {
        ERR_clear_error();
        int n = SSL_write(conns[fd].ssl, data, (int)len);
        if (n <= 0)
            return keep(fd, data, len) < 0 ? -1 : wanted(fd, n);
        data += n;
        len -= (size_t)n;
    }
    return 1;
}

static int conn_flush(int fd) {
    char *data = conns[fd].unsent;
    conns[fd].unsent = NULL;
    int r = conn_send(fd, data, conns[fd].unsent_len);
    free(data);
    if (r == 1)
        watch(fd, EPOLLIN);
    return r;
}

static int conn_serve(int fd) {
    SSL *ssl = conns[fd].ssl;
    ERR_clear_error();
    if (!SSL_is_init_finished(ssl)) {
        int r = SSL_do_handshake(ssl);
        if (r != 1)
            return wanted(fd, r);
        watch(fd, EPOLLIN);
        if (!SSL_has_pending(ssl))
            return 0;
    }
    if (conns[fd].unsent) {
        int r = conn_flush(fd);
        if (r <= 0)
            return r;
    }
    do {
        ERR_clear_error();
        int n = SSL_read(ssl, buffer, sizeof buffer);
        if (n <= 0)
            return wanted(fd, n);
        int r = conn_send(fd, buffer, (size_t)n);
        if (r <= 0)
            return r;
    } while (SSL_has_pending(ssl));
    return 0;
}

static void accept_all(int listen_fd) {
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            conn_open(fd);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR && errno != ECONNABORTED)
            die("accept4");
    }
}

static void serve(int listen_fd) {
    struct epoll_event events[EVENTS];
    while (!stopping) {
        int n = epoll_wait(epfd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listen_fd)
                accept_all(listen_fd);
            else if (conn_serve(fd) < 0)
                conn_close(fd);
        }
    }
}

static void make_context(const char *cert, const char *key) {
    static const unsigned char id[] = "tls_server";
    ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        die("certificate");
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, id, sizeof id);
    SSL_CTX_set_read_ahead(ctx, 1);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: tls_server CERTIFICATE KEY [PORT]\n");
        return 2;
    }
    stop_on_signals();
    signal(SIGPIPE, SIG_IGN);
    conns = table_by_descriptor(sizeof *conns);
    make_context(argv[1], argv[2]);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    int listen_fd = listen_on(argc > 3 ? atoi(argv[3]) : 0);
    watch(listen_fd, EPOLLIN);
    serve(listen_fd);
    return 0;
}
