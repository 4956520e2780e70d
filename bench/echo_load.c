/*
 * echo_load -- loads an echo server and checks every byte that comes back.
 *
 *     echo_load HOST PORT [--connections N] [--size BYTES] [--seconds S] [--warmup S]
 *               [--connect-rate | --idle] [--spin]
 *
 * A closed loop: each connection has one message in flight and sends the next when the echo of the
 * last is complete. One thread and one epoll, edge-triggered. Each message is a slice of one random
 * text, at a place that differs per connection and per message, so sending fills nothing and
 * checking is a memcmp. A server that mixes up connections, or answers with an old message, is
 * found out.
 *
 *     (default)         messages over N connections that stay open
 *     --spin            asks for events again and again and never sleeps, so that no server pays
 * for waking it; over a network none would
 *     --connect-rate    N loops of: connect, one echo, close; a "message" is then a whole
 * connection
 *     --idle            open N, one echo on each, say "opened", hold them for S seconds, one echo
 *                       more on each
 *
 * Prints one line of key=value: messages seconds rate (of the measured span), p50 p99 max in µs,
 * errors, total (messages in all, those before and after the span too), cpu (of this process in
 * the span, in seconds). Exit status 1 on a wrong byte, a lost connection or a stall.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

enum {
    EVENTS = 256,
    OPENING = 64,           /* connections being opened at once: less than any server's backlog */
    SPAN = 65521,           /* messages start at this many places of the text (a prime) */
    CONN_STEP = 7919,       /* distance of two connections' first messages */
    MESSAGE_STEP = 10007,   /* distance of two messages of a connection */
    READ_SIZE = 256 * 1024, /* most that one recv asks for */
    STALL = 10              /* seconds without any progress that count as an error */
};

enum mode { MESSAGES, CONNECTS, IDLE };
enum phase { OPEN, WARMUP, MEASURE, DRAIN };

struct conn {
    int fd;          /* -1 when closed */
    bool connecting; /* connect() has not been confirmed yet */
    bool busy;       /* a message is in flight */
    uint32_t place;  /* where in the text the message in flight starts */
    uint32_t sent;   /* bytes of it sent */
    uint32_t got;    /* bytes of it received and found right */
    int64_t started; /* ns; of the message, with --connect-rate of the connection */
};

/* Log-linear histogram of ns: 64 buckets to each power of two, so within 1.6 %. */
enum { SUB_BITS = 6, SUB = 1 << SUB_BITS, BUCKETS = (64 - SUB_BITS) * SUB };

static struct {
    const char *host;
    struct sockaddr_in addr;
    bool loopback;
    enum mode mode;
    uint32_t connections, size;
    double seconds, warmup;
    bool spin;
} opt = {.connections = 1, .size = 1024, .seconds = 5, .warmup = 0.3};

static struct {
    int epfd;
    enum phase phase;
    struct conn *conns;
    uint32_t opening;   /* connections whose first echo is awaited */
    uint32_t opened;    /* connections that have had it */
    uint32_t in_flight; /* messages sent whose echo is not complete */
    uint32_t lost;      /* connections that ended, failed or echoed a wrong byte */
    uint32_t source;    /* counts up through 127.0.0.0/8 */
    uint64_t total, messages;
    uint64_t buckets[BUCKETS];
    int64_t max;
} st;

static char *text;
static char buffer[READ_SIZE];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- histogram ---- */

static void hist_add(int64_t ns) {
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;
    unsigned shift = v < 2 * SUB ? 0 : 63 - (unsigned)__builtin_clzll(v) - SUB_BITS;
    st.buckets[shift * SUB + (v >> shift)]++;
    if (ns > st.max)
        st.max = ns;
}

/* Middle of the bucket that holds the given share of all values, in µs. */
static double hist_share(double share) {
    uint64_t want = (uint64_t)(share * (double)st.messages), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += st.buckets[i];
        if (seen > want) {
            unsigned shift = i < 2 * SUB ? 0 : i / SUB - 1;
            double low = (double)((uint64_t)(i - shift * SUB) << shift);
            return (low + (double)((1ull << shift) - 1) / 2) / 1e3;
        }
    }
    return (double)st.max / 1e3;
}

/* ---- connections ---- */

static void conn_close(struct conn *c) {
    close(c->fd);
    c->fd = -1;
}

static void conn_lost(struct conn *c, const char *why, int err) {
    if (st.lost++ < 5)
        fprintf(stderr, "echo_load: connection %ld: %s%s%s\n", (long)(c - st.conns), why,
                err != 0 ? ": " : "", err != 0 ? strerror(err) : "");
    if (c->busy && st.phase == OPEN)
        st.opening--;
    if (c->busy)
        st.in_flight--;
    c->busy = false;
    conn_close(c);
}

/*
 * A new port for each connection soon uses up the ports of one address (closed connections keep
 * theirs for a minute), so on loopback each comes from the next address of 127.0.0.0/8.
 */
static void bind_source(int fd) {
    uint32_t next = st.source++ % (250 * 250);
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl((127u << 24) | ((next / 250 + 1) << 8) | (next % 250 + 1))};
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("echo_load: bind to a source address");
}

static void conn_open(struct conn *c) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->started = clock_ns();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("echo_load: socket");
    if (opt.loopback)
        bind_source(c->fd);
    c->connecting = c->busy = true;
    c->sent = c->got = 0;
    st.in_flight++;
    if (connect(c->fd, (struct sockaddr *)&opt.addr, sizeof opt.addr) < 0 && errno != EINPROGRESS)
        conn_lost(c, "connect", errno);
    else if (epoll_ctl(st.epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("echo_load: epoll_ctl");
}

/* Sends what the socket takes of the message in flight: false if the connection is gone. */
static bool conn_send(struct conn *c) {
    while (c->sent < opt.size) {
        ssize_t n = send(c->fd, text + c->place + c->sent, opt.size - c->sent, MSG_NOSIGNAL);
        if (n >= 0)
            c->sent += (uint32_t)n;
        else if (errno == EAGAIN)
            return true;
        else if (errno != EINTR) {
            conn_lost(c, "send", errno);
            return false;
        }
    }
    return true;
}

/* Starts the next message of a connection that is open and idle. */
static void conn_start(struct conn *c, int64_t now) {
    c->started = now;
    c->busy = true;
    c->sent = c->got = 0;
    st.in_flight++;
    conn_send(c);
}

/*
 * Receives and checks what is there: true when the echo is complete. One byte more than the message
 * is asked for: an echo that is too long shows, and a complete one has emptied the socket.
 */
static bool conn_recv(struct conn *c) {
    for (;;) {
        size_t left = opt.size - c->got;
        size_t want = left + 1 < READ_SIZE ? left + 1 : READ_SIZE;
        ssize_t n = recv(c->fd, buffer, want, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0) {
            conn_lost(c, n == 0 ? "closed by the server" : "recv", n == 0 ? 0 : errno);
            return false;
        }
        if ((size_t)n > left || c->got + (size_t)n > c->sent ||
            memcmp(buffer, text + c->place + c->got, (size_t)n) != 0) {
            conn_lost(c, "the echo differs from what was sent", 0);
            return false;
        }
        c->got += (uint32_t)n;
        if ((size_t)n < want)
            return c->got == opt.size;
    }
}

/* What a complete echo leads to: count it, and go on as the mode and the phase want it. */
static void conn_done(struct conn *c) {
    int64_t now = clock_ns();
    c->busy = false;
    st.in_flight--;
    st.total++;
    c->place += MESSAGE_STEP;
    if (c->place >= SPAN)
        c->place -= SPAN;
    if (st.phase == MEASURE) {
        st.messages++;
        hist_add(now - c->started);
    }
    if (opt.mode == CONNECTS)
        conn_close(c);
    if (st.phase == OPEN) {
        st.opening--;
        st.opened++;
    } else if (st.phase != DRAIN && opt.mode == MESSAGES)
        conn_start(c, now);
    else if (st.phase != DRAIN && opt.mode == CONNECTS)
        conn_open(c);
}

/* The outcome of connect(): false if there is no connection. */
static bool conn_connected(struct conn *c) {
    int err = 0, one = 1;
    socklen_t len = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err != 0) {
        conn_lost(c, "connect", err);
        return false;
    }
    if (opt.mode != CONNECTS)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->connecting = false;
    return true;
}

static void conn_serve(struct conn *c, uint32_t events) {
    if (c->connecting && !conn_connected(c))
        return;
    if (c->sent < opt.size && !conn_send(c))
        return;
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && conn_recv(c))
        conn_done(c);
}

/* ---- phases ---- */

/* One epoll_wait of at most `ns` and what comes of it; ends the program after a stall. */
static void turn(int64_t ns) {
    static int64_t progress;
    static uint64_t last_total;
    struct epoll_event events[EVENTS];
    int ms = ns < 0 ? 0 : (int)(ns / 1000000) + 1;
    int n = epoll_wait(st.epfd, events, EVENTS, opt.spin ? 0 : ms < 100 ? ms : 100);
    if (n < 0 && errno != EINTR)
        die("echo_load: epoll_wait");
    for (int i = 0; i < n; i++)
        conn_serve(events[i].data.ptr, events[i].events);
    if (n > 0 || st.in_flight == 0 || progress == 0 || st.total != last_total) {
        progress = clock_ns();
        last_total = st.total;
    } else if (clock_ns() - progress > STALL * 1000000000ll) {
        fprintf(stderr, "echo_load: no echo for %d s, %u messages in flight\n", STALL,
                st.in_flight);
        exit(1);
    }
}

static void run_for(double seconds) {
    int64_t end = clock_ns() + (int64_t)(seconds * 1e9), now;
    while ((now = clock_ns()) < end && st.lost < opt.connections)
        turn(end - now);
}

static void open_all(void) {
    uint32_t next = 0;
    st.phase = OPEN;
    while (st.opened + st.lost < opt.connections) {
        for (; next < opt.connections && st.opening < OPENING; next++) {
            st.opening++;
            conn_open(&st.conns[next]);
        }
        turn(1000000000);
    }
}

/* One message on each connection that is open. */
static void start_all(void) {
    for (uint32_t i = 0; i < opt.connections; i++)
        if (st.conns[i].fd >= 0)
            conn_start(&st.conns[i], clock_ns());
}

static void drain(void) {
    st.phase = DRAIN;
    while (st.in_flight > 0)
        turn(1000000000);
}

static void report(double seconds, double cpu) {
    printf("messages=%llu seconds=%.3f rate=%.0f p50=%.1f p99=%.1f max=%.1f errors=%u total=%llu "
           "cpu=%.3f connections=%u size=%u\n",
           (unsigned long long)st.messages, seconds, (double)st.messages / seconds,
           hist_share(0.50), hist_share(0.99), (double)st.max / 1e3, st.lost,
           (unsigned long long)st.total, cpu, opt.connections, opt.size);
}

static void measure(void) {
    if (opt.mode == CONNECTS) {
        st.phase = WARMUP;
        for (uint32_t i = 0; i < opt.connections; i++)
            conn_open(&st.conns[i]);
    } else {
        open_all();
        st.phase = WARMUP;
        start_all();
    }
    run_for(opt.warmup);
    st.phase = MEASURE;
    double cpu = cpu_seconds();
    int64_t start = clock_ns();
    run_for(opt.seconds);
    int64_t end = clock_ns();
    cpu = cpu_seconds() - cpu;
    drain();
    report((double)(end - start) / 1e9, cpu);
}

static void hold(void) {
    open_all();
    printf("opened connections=%u\n", st.opened);
    fflush(stdout);
    st.phase = DRAIN; /* no message follows another */
    run_for(opt.seconds);
    int64_t start = clock_ns();
    double cpu = cpu_seconds();
    start_all();
    drain();
    report((double)(clock_ns() - start) / 1e9, cpu_seconds() - cpu);
}

/* ---- set-up ---- */

static void raise_fd_limit(void) {
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        die("echo_load: getrlimit");
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_max < opt.connections + 16) {
        fprintf(stderr, "echo_load: %u connections, but only %llu descriptors are allowed\n",
                opt.connections, (unsigned long long)lim.rlim_max);
        exit(2);
    }
}

/* Random bytes (xorshift64), the same in every run. */
static void make_text(void) {
    uint64_t x = 88172645463325252ull;
    text = malloc((size_t)SPAN + opt.size);
    if (text == NULL)
        die("echo_load: text");
    for (size_t i = 0; i < (size_t)SPAN + opt.size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        text[i] = (char)(x >> 32);
    }
}

static void make_conns(void) {
    st.conns = calloc(opt.connections, sizeof *st.conns);
    if (st.conns == NULL)
        die("echo_load: connections");
    for (uint32_t i = 0; i < opt.connections; i++) {
        st.conns[i].fd = -1;
        st.conns[i].place = (uint32_t)((uint64_t)i * CONN_STEP % SPAN);
    }
}

static void usage(void) {
    fprintf(stderr, "usage: echo_load HOST PORT [--connections N] [--size BYTES] [--seconds S]\n"
                    "                 [--warmup S] [--connect-rate | --idle] [--spin]\n");
    exit(2);
}

static double number(const char *s, double min, double max) {
    char *end;
    double v = s != NULL ? strtod(s, &end) : -1;
    if (s == NULL || *s == '\0' || *end != '\0' || !(v >= min && v <= max))
        usage();
    return v;
}

static void parse(char **argv) {
    opt.addr.sin_family = AF_INET;
    if (argv[1] == NULL || inet_pton(AF_INET, argv[1], &opt.addr.sin_addr) != 1 || argv[2] == NULL)
        usage();
    opt.loopback = ntohl(opt.addr.sin_addr.s_addr) >> 24 == 127;
    opt.addr.sin_port = htons((uint16_t)number(argv[2], 1, 65535));
    for (char **a = argv + 3; *a != NULL; a++) {
        if (strcmp(*a, "--connect-rate") == 0)
            opt.mode = CONNECTS;
        else if (strcmp(*a, "--spin") == 0)
            opt.spin = true;
        else if (strcmp(*a, "--idle") == 0)
            opt.mode = IDLE;
        else if (strcmp(*a, "--connections") == 0)
            opt.connections = (uint32_t)number(*++a, 1, 1e6);
        else if (strcmp(*a, "--size") == 0)
            opt.size = (uint32_t)number(*++a, 1, 1 << 30);
        else if (strcmp(*a, "--seconds") == 0)
            opt.seconds = number(*++a, 0.01, 86400);
        else if (strcmp(*a, "--warmup") == 0)
            opt.warmup = number(*++a, 0, 3600);
        else
            usage();
    }
}

int main(int argc, char **argv) {
    (void)argc;
    parse(argv);
    raise_fd_limit();
    make_text();
    make_conns();
    st.epfd = epoll_create1(EPOLL_CLOEXEC);
    if (st.epfd < 0)
        die("echo_load: epoll_create1");
    if (opt.mode == IDLE)
        hold();
    else
        measure();
    return st.lost > 0 ? 1 : 0;
}
