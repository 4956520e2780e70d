/*
 * net_test: the socket calls, alone and in a storm of signals.
 */
#include "check.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static struct addr loopback(int port) {
    struct addr a;
    addr_inet(&a, "127.0.0.1", 9, port, AF_INET);
    return a;
}

static int is_private(int fd) {
    return fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void wait_for(int fd, short events) {
    struct pollfd ask = {.fd = fd, .events = events};
    while (poll(&ask, 1, 10000) < 0)
        ;
}

/* A listening socket on a free port; *at is its address. */
static int listener(struct addr *at) {
    int fd = net_socket(AF_INET, SOCK_STREAM, 0);
    *at = loopback(0);
    net_bind(fd, at);
    net_listen(fd, 100);
    net_name(fd, at);
    return fd;
}

static int accept_soon(int fd, struct addr *peer) {
    int client;
    while ((client = net_accept(fd, peer)) == -EAGAIN)
        wait_for(fd, POLLIN);
    return client;
}

static int connect_soon(int fd, const struct addr *to) {
    int result = net_connect(fd, to);
    while (result == -EINPROGRESS) {
        wait_for(fd, POLLOUT);
        result = net_connect_result(fd);
    }
    return result;
}

static void test_birth(void) {
    int fds[2], fd = net_socket(AF_INET, SOCK_STREAM, 0);
    CHECK("a socket is born private", is_private(fd));
    CHECK("closing it succeeds", net_close(fd) == 0);
    CHECK("closing it again fails", net_close(fd) == -EBADF);
    CHECK("a pair is made", net_pair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK("both of a pair are private", is_private(fds[0]) && is_private(fds[1]));
    net_close(fds[0]);
    net_close(fds[1]);
    CHECK("a bad family is refused", net_socket(12345, SOCK_STREAM, 0) == -EAFNOSUPPORT);
    CHECK("a pair of TCP is refused", net_pair(AF_INET, SOCK_STREAM, 0, fds) == -EOPNOTSUPP);
}

static void test_connection(void) {
    struct addr at, peer, name, seen;
    char buf[16];
    int server = listener(&at), fd = net_socket(AF_INET, SOCK_STREAM, 0);

    CHECK("a free port was found", addr_port(&at) > 0);
    CHECK("without a client accept would block", net_accept(server, &peer) == -EAGAIN);
    CHECK("an unconnected socket has no peer", net_peer(fd, &peer) == -ENOTCONN);
    CHECK("a connection is made", connect_soon(fd, &at) == 0);
    int client = accept_soon(server, &peer);
    CHECK("the accepted one is private", is_private(client));
    CHECK("accept tells the peer", net_name(fd, &name) == 0 && addr_equal(&peer, &name));
    CHECK("so does peer", net_peer(client, &seen) == 0 && addr_equal(&peer, &seen));
    CHECK("without bytes recv would block", net_recv(client, buf, 16, 0) == -EAGAIN);
    CHECK("bytes are sent", net_send(fd, "hello", 5, 0) == 5);
    wait_for(client, POLLIN);
    CHECK("they can be looked at", net_recv(client, buf, 16, MSG_PEEK) == 5);
    CHECK("they are received", net_recv(client, buf, 16, 0) == 5 && !memcmp(buf, "hello", 5));
    CHECK("one direction is shut", net_shutdown(fd, SHUT_WR) == 0);
    wait_for(client, POLLIN);
    CHECK("then the stream has ended", net_recv(client, buf, 16, 0) == 0);
    CHECK("shutting down nonsense is refused", net_shutdown(fd, 77) == -EINVAL);
    net_close(client);
    net_close(fd);
    fd = net_socket(AF_INET, SOCK_STREAM, 0);
    connect_soon(fd, &at);
    client = accept_soon(server, NULL);
    CHECK("accept need not tell the peer", is_private(client));
    net_close(client);
    net_close(fd);
    net_close(server);
}

static void test_refused(void) {
    struct addr at;
    int server = listener(&at), fd = net_socket(AF_INET, SOCK_STREAM, 0), other;
    CHECK("a fresh socket is not connected", net_connect_result(fd) != -EINPROGRESS);
    other = net_socket(AF_INET, SOCK_STREAM, 0);
    CHECK("a port in use is refused", net_bind(other, &at) == -EADDRINUSE);
    net_close(server);
    CHECK("nobody listening is refused", connect_soon(fd, &at) == -ECONNREFUSED);
    net_close(fd);
    net_close(other);
    CHECK("a bad descriptor is told", net_recv(-1, &at, 1, 0) == -EBADF);
    CHECK("and in connect_result", net_connect_result(-1) < 0);
}

/* A full backlog drops the SYN: the connection stays undecided. */
static void test_undecided(void) {
    struct addr at;
    int server = net_socket(AF_INET, SOCK_STREAM, 0), fds[8], undecided = 0;
    at = loopback(0);
    net_bind(server, &at);
    net_listen(server, 0);
    net_name(server, &at);
    for (int i = 0; i < 8; i++) {
        fds[i] = net_socket(AF_INET, SOCK_STREAM, 0);
        net_connect(fds[i], &at);
    }
    check_pause();
    for (int i = 0; i < 8; i++)
        undecided += net_connect_result(fds[i]) == -EINPROGRESS;
    CHECK("a connection that nobody takes is in progress", undecided > 0);
    for (int i = 0; i < 8; i++)
        net_close(fds[i]);
    net_close(server);
}

#ifdef __linux__
static void test_full_unix_backlog(void) {
    struct addr at;
    int server = net_socket(AF_UNIX, SOCK_STREAM, 0), fds[4], full = 0;
    addr_unix(&at, "", 0);
    net_bind(server, &at);
    net_name(server, &at);
    net_listen(server, 0);
    for (int i = 0; i < 4; i++) {
        fds[i] = net_socket(AF_UNIX, SOCK_STREAM, 0);
        full += net_connect(fds[i], &at) == -EAGAIN;
    }
    CHECK("a full Unix backlog is EAGAIN", full == 3);
    struct addr peer;
    int client = net_accept(server, &peer);
    CHECK("its client is unnamed", addr_family(&peer) == AF_UNIX && peer.len <= 2);
    net_close(client);
    for (int i = 0; i < 4; i++)
        net_close(fds[i]);
    net_close(server);
}
#endif

static void test_no_sigpipe(void) {
    int fds[2];
    signal(SIGPIPE, SIG_DFL);
    net_pair(AF_UNIX, SOCK_STREAM, 0, fds);
    net_close(fds[1]);
    CHECK("sending to nobody is an error, not a signal", net_send(fds[0], "x", 1, 0) == -EPIPE);
    net_close(fds[0]);
}

static void test_options(void) {
    int value = -1, fd = net_socket(AF_INET, SOCK_STREAM, 0);
    struct linger linger = {1, 7}, back = {0, 0};
    socklen_t len = sizeof back;

    CHECK("an int option is set", net_setopt_int(fd, IPPROTO_TCP, TCP_NODELAY, 1) == 0);
    CHECK("and read", net_getopt_int(fd, IPPROTO_TCP, TCP_NODELAY, &value) == 0 && value);
    CHECK("a raw option is set",
          net_setopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    CHECK("and read", net_getopt(fd, SOL_SOCKET, SO_LINGER, &back, &len) == 0);
    CHECK("whole", len == sizeof back && back.l_linger == 7);
    CHECK("an unknown one is refused", net_setopt_int(fd, SOL_SOCKET, 99999, 1) == -ENOPROTOOPT);
    net_close(fd);
}

static void test_foreign_descriptors(void) {
    int fds[2], family = 0, type = 0, proto = 0;
    CHECK("a pipe is made", pipe(fds) == 0);
    CHECK("it was blocking", net_nonblock(fds[0], 1) == 0);
    CHECK("it is no longer", net_nonblock(fds[0], 1) == 1);
    CHECK("it can be made so again", net_nonblock(fds[0], 0) == 1);
    CHECK("and is", (fcntl(fds[0], F_GETFL) & O_NONBLOCK) == 0);
    CHECK("it can be made close-on-exec", net_cloexec(fds[0]) == 0 && net_cloexec(fds[0]) == 0);
    CHECK("and is", fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    CHECK("it is no socket", net_info(fds[0], &family, &type, &proto) == -ENOTSOCK);
    close(fds[0]);
    close(fds[1]);
    CHECK("a closed one has no flags", net_nonblock(fds[0], 1) == -EBADF);
    CHECK("nor these", net_cloexec(fds[0]) == -EBADF);
    CHECK("nor is it a socket", net_info(fds[0], NULL, NULL, NULL) == -EBADF);
    int fd = net_socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd < 0)
        fd = net_socket(AF_INET, SOCK_DGRAM, 0);
    CHECK("a socket tells what it is", net_info(fd, &family, &type, &proto) == 0);
    CHECK("its family", family == AF_INET6 || family == AF_INET);
    CHECK("its type", type == SOCK_DGRAM);
    CHECK("its protocol", proto == IPPROTO_UDP);
    net_close(fd);
}

/* ---- signals every 50 microseconds, handlers without SA_RESTART ---- */

static volatile sig_atomic_t alarms;

static void on_alarm(int signo) {
    (void)signo;
    alarms++;
}

static void storm(long microseconds) {
    struct itimerval every = {{0, microseconds}, {0, microseconds}};
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

/* In a child, so that both ends run at once: sends all, slowly, through a blocking socket. */
static void child_send(int fd, size_t total) {
    char block[4096] = {1};
    size_t sent = 0;
    while (sent < total) {
        size_t n = total - sent < sizeof block ? total - sent : sizeof block;
        ssize_t result = net_send(fd, block, n, 0);
        if (result < 0)
            _exit(1);
        sent += (size_t)result;
        if (sent % (64 * sizeof block) == 0)
            check_pause();
    }
    _exit(0);
}

/* The sockets are made blocking here: only then can a call be interrupted. */
static void test_storm_of_reads(void) {
    enum { TOTAL = 4 << 20 };
    char buf[10000];
    int fds[2];
    ssize_t n;
    size_t got = 0;

    net_pair(AF_UNIX, SOCK_STREAM, 0, fds);
    net_nonblock(fds[0], 0);
    net_nonblock(fds[1], 0);
    pid_t child = fork();
    if (child == 0)
        child_send(fds[1], TOTAL);
    net_close(fds[1]);
    storm(50);
    while ((n = net_recv(fds[0], buf, sizeof buf, 0)) > 0)
        got += (size_t)n;
    storm(0);
    CHECK("no read was interrupted", n == 0);
    CHECK("every byte arrived", got == TOTAL);
    CHECK("though there were signals", alarms > 0);
    net_close(fds[0]);
    while (waitpid(child, NULL, 0) < 0)
        ;
}

static void child_connect(const struct addr *at, int n) {
    for (int i = 0; i < n; i++) {
        int fd = net_socket(AF_INET, SOCK_STREAM, 0);
        check_pause();
        if (connect_soon(fd, at) < 0)
            _exit(1);
        net_close(fd);
    }
    _exit(0);
}

static void test_storm_of_accepts(void) {
    struct addr at;
    int server = listener(&at), accepted = 0, fd;
    net_nonblock(server, 0);
    pid_t child = fork();
    if (child == 0)
        child_connect(&at, 50);
    alarms = 0;
    storm(50);
    while (accepted < 50 && (fd = net_accept(server, NULL)) >= 0) {
        accepted++;
        net_close(fd);
    }
    storm(0);
    CHECK("no accept was interrupted", accepted == 50);
    CHECK("though there were signals", alarms > 0);
    net_close(server);
    while (waitpid(child, NULL, 0) < 0)
        ;
}

static void test_storm_of_connects(void) {
    struct addr at;
    int server = listener(&at), good = 0;
    storm(50);
    for (int i = 0; i < 500; i++) {
        int fd = net_socket(AF_INET, SOCK_STREAM, 0), client;
        good += connect_soon(fd, &at) == 0;
        client = accept_soon(server, NULL);
        net_close(fd);
        net_close(client);
    }
    storm(0);
    CHECK("connections are made in a storm of signals", good == 500);
    net_close(server);
}

static int lowest_free(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

int main(void) {
    int before = lowest_free();
    test_birth();
    test_connection();
    test_refused();
    test_undecided();
#ifdef __linux__
    test_full_unix_backlog();
#endif
    test_no_sigpipe();
    test_options();
    test_foreign_descriptors();
    test_storm_of_reads();
    test_storm_of_accepts();
    test_storm_of_connects();
    CHECK("no descriptor is left", lowest_free() == before);
    return check_end();
}
