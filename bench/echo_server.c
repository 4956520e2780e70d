/*
 * echo_server -- the baseline that curio's echo is measured against.
 *
 * A plain single-threaded epoll server, the way a good C programmer writes one: sockets
 * non-blocking, each registered once and edge-triggered, so that a message costs one recv, one send
 * and a share of an epoll_wait. A recv that returns less than was asked has emptied the socket, so
 * no call is wasted on EAGAIN. What the peer does not take at once is kept, and reading stops until
 * it is gone. There is nothing here that a real server could leave out, and nothing more: a
 * baseline that is easy to beat would be worth nothing.
 *
 *     echo_server [PORT]        prints "listening 127.0.0.1 PORT"; ends on SIGTERM or SIGINT
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listener.h"

static const uint32_t READING = EPOLLIN | EPOLLRDHUP | EPOLLET;

/* One connection; the table of them is indexed by descriptor. */
struct conn {
    char *unsent; /* what send() did not take, owned; NULL unless the peer is slow */
    size_t unsent_len;
};

static struct conn *conns;
static char buffer[READ_SIZE];

static void conn_open(int epfd, int fd) {
    struct epoll_event ev = {.events = READING, .data.fd = fd};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
}

static void conn_close(int fd) {
    free(conns[fd].unsent);
    conns[fd].unsent = NULL;
    close(fd);
}

/* Sends what the socket takes: the number of bytes taken, or -1 if the peer is gone. */
static ssize_t conn_send(int fd, const char *data, size_t len) {
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)sent;
}

/* 1 when nothing is left to send, 0 when the socket is still full, -1 if the peer is gone. */
static int conn_flush(int fd) {
    struct conn *c = &conns[fd];
    ssize_t sent = conn_send(fd, c->unsent, c->unsent_len);
    if (sent < 0)
        return -1;
    c->unsent_len -= (size_t)sent;
    memmove(c->unsent, c->unsent + sent, c->unsent_len);
    if (c->unsent_len > 0)
        return 0;
    free(c->unsent);
    c->unsent = NULL;
    return 1;
}

/* Changes what is waited for. If it is ready already an event comes although there was no edge. */
static int conn_watch(int epfd, int fd, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.fd = fd};
    return epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev);
}

/* Keeps a copy of what send() did not take; reading goes on when it is gone. */
static int conn_keep(int epfd, int fd, const char *data, size_t len) {
    struct conn *c = &conns[fd];
    c->unsent = malloc(len);
    if (c->unsent == NULL)
        return -1;
    memcpy(c->unsent, data, len);
    c->unsent_len = len;
    return conn_watch(epfd, fd, READING | EPOLLOUT);
}

/*
 * Serves one event: 0 to go on, -1 when the connection is over. After a hang-up we read on although
 * the last recv was short: the end of the stream, which comes behind it, makes no edge of its own.
 */
static int conn_serve(int epfd, int fd, uint32_t events) {
    bool hangup = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (conns[fd].unsent != NULL) {
        int r = conn_flush(fd);
        if (r <= 0)
            return r;
    }
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        if (n == 0)
            return -1;
        ssize_t sent = conn_send(fd, buffer, (size_t)n);
        if (sent < 0)
            return -1;
        if (sent < n)
            return conn_keep(epfd, fd, buffer + sent, (size_t)(n - sent));
        if ((size_t)n == sizeof buffer)
            return conn_watch(epfd, fd, READING); /* there may be more: others first */
        if (!hangup)
            return 0;
    }
}

static void accept_all(int epfd, int listen_fd) {
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            conn_open(epfd, fd);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR && errno != ECONNABORTED)
            die("accept4");
    }
}

static void serve(int epfd, int listen_fd) {
    struct epoll_event events[EVENTS];
    while (!stopping) {
        int n = epoll_wait(epfd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listen_fd)
                accept_all(epfd, listen_fd);
            else if (conn_serve(epfd, fd, events[i].events) < 0)
                conn_close(fd);
        }
    }
}

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 2 || port < 0 || port > 65535) {
        fprintf(stderr, "usage: echo_server [PORT]\n");
        return 2;
    }
    stop_on_signals();
    conns = table_by_descriptor(sizeof *conns);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        die("epoll_create1");
    int listen_fd = listen_on(port);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listen_fd};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, listen_fd, &ev) < 0)
        die("epoll_ctl");
    serve(epfd, listen_fd);
    close(listen_fd);
    close(epfd);
    return 0; /* connections still open end with the process */
}
