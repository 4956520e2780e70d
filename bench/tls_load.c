/*
 * tls_load -- loads a TLS echo server and checks every byte that comes back.
 *
 *     tls_load HOST PORT [--connections N] [--size BYTES] [--seconds S] [--warmup S]
 *              [--full | --resumed | --idle]
 *
 * A closed loop like echo_load's, by OpenSSL: one thread, one epoll. The server's certificate is
 * not verified, which would only slow the load down.
 *
 *     (default)    messages over N connections that stay open
 *     --full       N loops of: connect, full handshake, one echo of SIZE bytes, close
 *     --resumed    the same, each connection resuming the session of the one before
 *     --idle       open N, one echo on each, say "opened", hold them for S seconds
 *
 * Prints one line of key=value as echo_load does: messages (echoes), seconds, rate, p50, p99 (µs),
 * errors, total, resumed. Exit status 1 on a wrong byte, a lost connection or a stall.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, SPAN = 65521, CONN_STEP = 7919, MESSAGE_STEP = 10007, STALL = 10 };
enum { OPENING = 64, TIMES = 1 << 20 };

enum mode { MESSAGES, FULL, RESUMED, IDLE };

struct conn {
    SSL *ssl;             /* NULL: closed */
    SSL_SESSION *session; /* to resume; NULL */
    int fd;
    uint32_t place, sent, got;
    int64_t started;
};

static struct {
    struct sockaddr_in addr;
    enum mode mode;
    uint32_t connections, size;
    double seconds, warmup;
} opt = {.connections = 1, .size = 1024, .seconds = 2, .warmup = 0.3};

static SSL_CTX *ctx;
static int epfd;
static struct conn *conns;
static char *text;
static char buffer[256 * 1024];
static bool measuring, draining;
static uint64_t total, messages, resumed;
static uint32_t errors, live, source, opened;
static uint32_t times[TIMES]; /* µs of the first messages of the measured span */

static void die(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct conn *conn_of(const SSL *ssl) {
    return SSL_get_app_data(ssl);
}

static int on_session(SSL *ssl, SSL_SESSION *session) {
    struct conn *c = conn_of(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static void conn_close(struct conn *c) {
    if (SSL_is_init_finished(c->ssl))
        SSL_shutdown(c->ssl); /* also keeps the session */
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    live--;
}

static void conn_lost(struct conn *c, const char *why) {
    if (errors++ < 5) {
        fprintf(stderr, "tls_load: connection %ld: %s\n", (long)(c - conns), why);
        ERR_print_errors_fp(stderr);
    }
    conn_close(c);
}

/* So that ports in TIME_WAIT do not run out; see echo_load. */
static void bind_source(int fd) {
    uint32_t next = source++ % (250 * 250);
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl((127u << 24) | ((next / 250 + 1) << 8) | (next % 250 + 1))};
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("tls_load: bind");
}

static void conn_open(struct conn *c) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("tls_load: socket");
    bind_source(c->fd);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->ssl = SSL_new(ctx);
    c->started = clock_ns();
    c->sent = c->got = 0;
    live++;
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_app_data(c->ssl, c);
    if (c->session && opt.mode == RESUMED)
        SSL_set_session(c->ssl, c->session);
    SSL_set_connect_state(c->ssl);
    if (connect(c->fd, (struct sockaddr *)&opt.addr, sizeof opt.addr) < 0 && errno != EINPROGRESS)
        die("tls_load: connect");
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("tls_load: epoll_ctl");
}

static void conn_done(struct conn *c) {
    int64_t now = clock_ns();
    if (total++ < UINT64_MAX && measuring) {
        if (messages < TIMES)
            times[messages] = (uint32_t)((now - c->started) / 1000);
        messages++;
        resumed += (uint64_t)SSL_session_reused(c->ssl);
    }
    c->place = (c->place + MESSAGE_STEP) % SPAN;
    c->sent = c->got = 0;
    c->started = now;
    opened++;
    if (opt.mode == FULL || opt.mode == RESUMED) {
        conn_close(c);
        if (!draining)
            conn_open(c);
    } else if (draining) {
        conn_close(c);
    }
}

/* 1: something was moved; 0: nothing can be; -1: the connection is gone. */
static int conn_step(struct conn *c) {
    ERR_clear_error();
    int n;
    if (c->sent < opt.size) {
        n = SSL_write(c->ssl, text + c->place + c->sent, (int)(opt.size - c->sent));
        c->sent += n > 0 ? (uint32_t)n : 0;
    } else {
        n = SSL_read(c->ssl, buffer, sizeof buffer);
        if (n > 0 && ((uint32_t)n > opt.size - c->got ||
                      memcmp(buffer, text + c->place + c->got, (size_t)n) != 0)) {
            conn_lost(c, "the echo differs from what was sent");
            return -1;
        }
        c->got += n > 0 ? (uint32_t)n : 0;
    }
    if (n > 0)
        return 1;
    int why = SSL_get_error(c->ssl, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return 0;
    conn_lost(c, "closed by the server, or failed");
    return -1;
}

static void conn_serve(struct conn *c) {
    if (!c->ssl)
        return;
    if (opt.mode == IDLE && opened >= opt.connections)
        return;
    SSL *ssl = c->ssl;
    for (;;) {
        int r = conn_step(c);
        if (r < 0 || (r == 0 && c->got < opt.size))
            return;
        if (c->got == opt.size)
            conn_done(c);
        if (c->ssl != ssl || (opt.mode == IDLE && c->sent == 0))
            return;
    }
}

static void turn(void) {
    static int64_t progress;
    static uint64_t last;
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epfd, events, EVENTS, 100);
    if (n < 0 && errno != EINTR)
        die("tls_load: epoll_wait");
    for (int i = 0; i < n; i++)
        conn_serve(events[i].data.ptr);
    if (progress == 0 || total != last || n > 0) {
        progress = clock_ns();
        last = total;
    } else if (clock_ns() - progress > STALL * 1000000000ll) {
        fprintf(stderr, "tls_load: no echo for %d s\n", STALL);
        exit(1);
    }
}

static void run_for(double seconds) {
    int64_t end = clock_ns() + (int64_t)(seconds * 1e9);
    while (clock_ns() < end && live > 0)
        turn();
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(double seconds) {
    size_t n = messages < TIMES ? messages : TIMES;
    qsort(times, n, sizeof times[0], compare);
    printf("messages=%llu seconds=%.3f rate=%.0f p50=%u p99=%u errors=%u total=%llu resumed=%llu "
           "connections=%u size=%u\n",
           (unsigned long long)messages, seconds, (double)messages / seconds, n ? times[n / 2] : 0,
           n ? times[n * 99 / 100] : 0, errors, (unsigned long long)total,
           (unsigned long long)resumed, opt.connections, opt.size);
}

static void measure(void) {
    for (uint32_t i = 0; i < opt.connections; i++)
        conn_open(&conns[i]);
    run_for(opt.warmup);
    measuring = true;
    int64_t start = clock_ns();
    run_for(opt.seconds);
    double seconds = (double)(clock_ns() - start) / 1e9;
    measuring = false;
    draining = true;
    while (live > 0)
        turn();
    report(seconds);
}

static void hold(void) {
    uint32_t next = 0;
    while (opened < opt.connections) {
        while (next < opt.connections && next < opened + OPENING)
            conn_open(&conns[next++]);
        turn();
        if (errors)
            exit(1);
    }
    printf("opened connections=%u\n", opened);
    fflush(stdout);
    usleep((useconds_t)(opt.seconds * 1e6));
}

static void set_up(void) {
    struct rlimit lim;
    uint64_t x = 88172645463325252ull;
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    signal(SIGPIPE, SIG_IGN);
    text = malloc((size_t)SPAN + opt.size);
    conns = calloc(opt.connections, sizeof *conns);
    if (!text || !conns)
        die("tls_load: memory");
    for (size_t i = 0; i < (size_t)SPAN + opt.size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        text[i] = (char)(x >> 32);
    }
    for (uint32_t i = 0; i < opt.connections; i++)
        conns[i].place = (uint32_t)((uint64_t)i * CONN_STEP % SPAN);
    ctx = SSL_CTX_new(TLS_client_method());
    if (!SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384")) /* the same for all servers */
        exit(1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    epfd = epoll_create1(EPOLL_CLOEXEC);
}

static void usage(void) {
    fprintf(stderr, "usage: tls_load HOST PORT [--connections N] [--size BYTES] [--seconds S]\n"
                    "                [--warmup S] [--full | --resumed | --idle]\n");
    exit(2);
}

static double number(const char *s) {
    char *end;
    double v = s ? strtod(s, &end) : -1;
    if (!s || *end || v < 0)
        usage();
    return v;
}

static void parse(char **argv) {
    opt.addr.sin_family = AF_INET;
    if (!argv[1] || inet_pton(AF_INET, argv[1], &opt.addr.sin_addr) != 1 || !argv[2])
        usage();
    opt.addr.sin_port = htons((uint16_t)number(argv[2]));
    for (char **a = argv + 3; *a; a++) {
        if (strcmp(*a, "--full") == 0)
            opt.mode = FULL;
        else if (strcmp(*a, "--resumed") == 0)
            opt.mode = RESUMED;
        else if (strcmp(*a, "--idle") == 0)
            opt.mode = IDLE;
        else if (strcmp(*a, "--connections") == 0)
            opt.connections = (uint32_t)number(*++a);
        else if (strcmp(*a, "--size") == 0)
            opt.size = (uint32_t)number(*++a);
        else if (strcmp(*a, "--seconds") == 0)
            opt.seconds = number(*++a);
        else if (strcmp(*a, "--warmup") == 0)
            opt.warmup = number(*++a);
        else
            usage();
    }
    if (opt.size < 1 || opt.connections < 1)
        usage();
}

int main(int argc, char **argv) {
    (void)argc;
    parse(argv);
    set_up();
    if (opt.mode == IDLE)
        hold();
    else
        measure();
    return errors ? 1 : 0;
}
