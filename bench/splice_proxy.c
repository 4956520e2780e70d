/*
 * splice_proxy -- the baseline that curio's proxy (examples/proxy.lua) is measured against.
 *
 * One connection at a time, which is all that is measured, as a good C programmer would write it:
 * sockets non-blocking, a pipe for each direction as large as the system lets it be, splice from
 * one side into the pipe and from there to the other side, poll only when both directions have
 * nothing to do, and half-close passed on.
 *
 *     splice_proxy TARGETPORT      prints "listening 127.0.0.1 PORT"; ends on a signal
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_SIZE = 1 << 20 };

struct direction {
    int from, to;
    int pipe[2];
    size_t held;
    bool ended;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void begin(struct direction *d, int from, int to) {
    *d = (struct direction){.from = from, .to = to};
    if (pipe2(d->pipe, O_NONBLOCK) < 0)
        die("splice_proxy: pipe2");
    fcntl(d->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
}

static void end(struct direction *d) {
    close(d->pipe[0]);
    close(d->pipe[1]);
}

/* False: it can do nothing now. */
static bool pump(struct direction *d) {
    const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    if (d->ended)
        return false;
    if (d->held == 0) {
        ssize_t n = splice(d->from, NULL, d->pipe[1], NULL, PIPE_SIZE, flags);
        if (n < 0)
            return errno == EAGAIN ? false : (d->ended = true);
        if (n == 0) {
            shutdown(d->to, SHUT_WR);
            return d->ended = true;
        }
        d->held = (size_t)n;
    }
    ssize_t n = splice(d->pipe[0], NULL, d->to, NULL, d->held, flags);
    if (n < 0)
        return errno == EAGAIN ? false : (d->ended = true);
    d->held -= (size_t)n;
    return true;
}

static void serve(int client, int server) {
    struct direction there, back;
    begin(&there, client, server);
    begin(&back, server, client);
    while (!there.ended || !back.ended) {
        bool there_moved = pump(&there), back_moved = pump(&back);
        if (there_moved || back_moved)
            continue;
        struct pollfd ask[2] = {{.fd = client}, {.fd = server}};
        ask[0].events =
            (short)((there.ended || there.held ? 0 : POLLIN) | (back.held ? POLLOUT : 0));
        ask[1].events =
            (short)((back.ended || back.held ? 0 : POLLIN) | (there.held ? POLLOUT : 0));
        poll(ask, 2, -1);
    }
    end(&there);
    end(&back);
}

static int listen_anywhere(void) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        die("splice_proxy: listen");
    printf("listening 127.0.0.1 %d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static int connect_to(int port) {
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("splice_proxy: connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: splice_proxy TARGETPORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_anywhere();
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (client < 0)
            die("splice_proxy: accept");
        int server = connect_to((int)strtol(argv[1], NULL, 10));
        serve(client, server);
        close(client);
        close(server);
    }
}
