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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, MAX_FDS = 1 << 20, READ_SIZE = 100000, EVENTS = 256 };

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
static volatile sig_atomic_t stopping;
static char buffer[READ_SIZE];

static void on_signal(int signo) {
    (void)signo;
    stopping = 1;
}

static void die(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void watch(int fd, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.fd = fd};
    if (conns[fd].watched == events)
        return;
    if (epoll_ctl(epfd, conns[fd].watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0)
        die("tls_server: epoll_ctl");
    conns[fd].watched = events;
}

static void conn_open(int fd) {
    conns[fd] = (struct conn){.ssl = SSL_new(ctx)};
    if (!conns[fd].ssl || !SSL_set_fd(conns[fd].ssl, fd))
        die("tls_server: SSL_new");
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
            die("tls_server: accept4");
    }
}

static void serve(int listen_fd) {
    struct epoll_event events[EVENTS];
    while (!stopping) {
        int n = epoll_wait(epfd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("tls_server: epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listen_fd)
                accept_all(listen_fd);
            else if (conn_serve(fd) < 0)
                conn_close(fd);
        }
    }
}

static int listen_on(uint16_t port) {
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    socklen_t len = sizeof addr;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        die("tls_server: listen");
    printf("listening 127.0.0.1 %d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static void make_context(const char *cert, const char *key) {
    static const unsigned char id[] = "tls_server";
    ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        die("tls_server: certificate");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, id, sizeof id);
    SSL_CTX_set_read_ahead(ctx, 1);
}

static void make_table(void) {
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        die("tls_server: getrlimit");
    if (lim.rlim_max > MAX_FDS)
        lim.rlim_max = MAX_FDS;
    lim.rlim_cur = lim.rlim_max;
    conns = calloc(lim.rlim_max, sizeof *conns);
    if (conns == NULL || setrlimit(RLIMIT_NOFILE, &lim) < 0)
        die("tls_server: table of connections");
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: tls_server CERTIFICATE KEY [PORT]\n");
        return 2;
    }
    struct sigaction sa = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    make_table();
    make_context(argv[1], argv[2]);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    int listen_fd = listen_on((uint16_t)(argc > 3 ? atoi(argv[3]) : 0));
    watch(listen_fd, EPOLLIN);
    serve(listen_fd);
    return 0;
}
