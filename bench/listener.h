/*
 * listener.h - what the C servers of bench/ share: stopping on a signal, a place for each
 * descriptor, and the listening socket.
 */
#ifndef BENCH_LISTENER_H
#define BENCH_LISTENER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    BACKLOG = 1024,
    MAX_FDS = 1 << 20,
    READ_SIZE = 100000, /* bytes a recv asks for; the same in echo.lua */
    EVENTS = 256        /* taken from one epoll_wait */
};

static volatile sig_atomic_t stopping;

static void die(const char *what) {
    fprintf(stderr, "%s: ", program_invocation_short_name);
    perror(what);
    exit(1);
}

static void stop(int signo) {
    (void)signo;
    stopping = 1;
}

/* Without SA_RESTART: epoll_wait must return. */
static void stop_on_signals(void) {
    struct sigaction sa = {.sa_handler = stop};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
}

/* Room for each descriptor that this process may have, zeroed, after raising their number. */
static void *table_by_descriptor(size_t entry) {
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        die("getrlimit");
    if (lim.rlim_max > MAX_FDS)
        lim.rlim_max = MAX_FDS;
    lim.rlim_cur = lim.rlim_max;
    void *table = calloc(lim.rlim_max, entry);
    if (!table || setrlimit(RLIMIT_NOFILE, &lim) < 0)
        die("table of connections");
    return table;
}

/* TCP_NODELAY is set here once: Linux hands it on to accepted sockets, so it costs them no call.
   Prints "listening 127.0.0.1 PORT". */
static int listen_on(int port) {
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof addr;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        die("listen");
    printf("listening 127.0.0.1 %d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

#endif
