/*
 * net: one function per system call; see net.h.
 *
 * RETRY repeats a call while signals interrupt it. Two calls must not be repeated: close, as the
 * descriptor is gone and its number may already belong to another thread, and connect, which
 * goes on in the background. Systems that cannot set the flags at birth set them right after.
 */
#include "net.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RETRY(result, call)                                                                        \
    do                                                                                             \
        (result) = (call);                                                                         \
    while ((result) < 0 && errno == EINTR)

static int result_of(int result) {
    return result < 0 ? -errno : result;
}

/* ---- flags ---- */

static int flag_set(int fd, int get, int set, int flag, int on) {
    int old, now, result;
    RETRY(old, fcntl(fd, get));
    if (old < 0)
        return -errno;
    now = on ? old | flag : old & ~flag;
    result = 0;
    if (now != old)
        RETRY(result, fcntl(fd, set, now));
    return result < 0 ? -errno : (old & flag) != 0;
}

int net_nonblock(int fd, int on) {
    return flag_set(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int net_cloexec(int fd) {
    int result = flag_set(fd, F_GETFD, F_SETFD, FD_CLOEXEC, 1);
    return result < 0 ? result : 0;
}

/* ---- making and ending ---- */

#if !defined(SOCK_CLOEXEC) || defined(SO_NOSIGPIPE)
/* What the system cannot do at birth. Closes fd on failure. */
static int born(int fd) {
    int err = net_cloexec(fd);
    if (err >= 0)
        err = net_nonblock(fd, 1);
#ifdef SO_NOSIGPIPE
    if (err >= 0)
        err = net_setopt_int(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
    if (err < 0)
        net_close(fd);
    return err < 0 ? err : fd;
}
#else
static int born(int fd) {
    return fd;
}
#endif

#ifdef SOCK_CLOEXEC
enum { BIRTH = SOCK_CLOEXEC | SOCK_NONBLOCK };
#else
enum { BIRTH = 0 };
#endif

int net_socket(int family, int type, int proto) {
    int fd = socket(family, type | BIRTH, proto);
    return fd < 0 ? -errno : born(fd);
}

int net_pair(int family, int type, int proto, int fds[2]) {
    if (socketpair(family, type | BIRTH, proto, fds) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        int err = born(fds[i]);
        if (err < 0) {
            net_close(fds[1 - i]);
            return err;
        }
    }
    return 0;
}

int net_accept(int fd, struct addr *peer) {
    struct sockaddr *to = peer ? &peer->u.any : NULL;
    socklen_t room = sizeof peer->u;
    int client;
#ifdef SOCK_CLOEXEC
    RETRY(client, accept4(fd, to, to ? &room : NULL, BIRTH));
#else
    RETRY(client, accept(fd, to, to ? &room : NULL));
#endif
    if (client < 0)
        return -errno;
    if (peer)
        peer->len = room;
    return born(client);
}

int net_close(int fd) {
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int net_shutdown(int fd, int how) {
    return result_of(shutdown(fd, how));
}

/* ---- addresses ---- */

int net_bind(int fd, const struct addr *a) {
    return result_of(bind(fd, &a->u.any, a->len));
}

int net_listen(int fd, int backlog) {
    return result_of(listen(fd, backlog));
}

int net_connect(int fd, const struct addr *a) {
    if (connect(fd, &a->u.any, a->len) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

/* Writability is asked first: a connection that fails in between is then reported, not missed. */
int net_connect_result(int fd) {
    struct pollfd ask = {.fd = fd, .events = POLLOUT};
    int ready, err = 0, result;
    RETRY(ready, poll(&ask, 1, 0));
    if (ready < 0)
        return -errno;
    if (ready == 0)
        return -EINPROGRESS;
    result = net_getopt_int(fd, SOL_SOCKET, SO_ERROR, &err);
    return result < 0 ? result : -err;
}

int net_name(int fd, struct addr *a) {
    a->len = sizeof a->u;
    return result_of(getsockname(fd, &a->u.any, &a->len));
}

int net_peer(int fd, struct addr *a) {
    a->len = sizeof a->u;
    return result_of(getpeername(fd, &a->u.any, &a->len));
}

/* ---- data ---- */

ssize_t net_recvfrom(int fd, void *buf, size_t n, int flags, struct addr *from) {
    socklen_t room = sizeof from->u;
    ssize_t got;
    RETRY(got, recvfrom(fd, buf, n, flags, &from->u.any, &room));
    if (got < 0)
        return -errno;
    from->len = room < sizeof from->u ? room : sizeof from->u;
    return got;
}

ssize_t net_sendto(int fd, const void *buf, size_t n, int flags, const struct addr *to) {
    ssize_t sent;
    RETRY(sent, sendto(fd, buf, n, flags | MSG_NOSIGNAL, &to->u.any, to->len));
    return sent < 0 ? -errno : sent;
}

/* Looking at the datagram itself would take a pending error away. */
int net_next_size(int fd) {
    int size, result;
    RETRY(result, ioctl(fd, FIONREAD, &size));
    return result < 0 ? -errno : size;
}

/* ---- options ---- */

int net_setopt(int fd, int level, int option, const void *value, socklen_t len) {
    return result_of(setsockopt(fd, level, option, value, len));
}

int net_getopt(int fd, int level, int option, void *value, socklen_t *len) {
    return result_of(getsockopt(fd, level, option, value, len));
}

int net_setopt_int(int fd, int level, int option, int value) {
    return net_setopt(fd, level, option, &value, sizeof value);
}

/* Some options fill one byte only; the others stay zero. */
int net_getopt_int(int fd, int level, int option, int *value) {
    socklen_t len = sizeof *value;
    *value = 0;
    return net_getopt(fd, level, option, value, &len);
}

static int family_of(int fd, int *family) {
#ifdef SO_DOMAIN
    return net_getopt_int(fd, SOL_SOCKET, SO_DOMAIN, family);
#else
    struct addr a;
    int err = net_name(fd, &a);
    *family = addr_family(&a);
    return err;
#endif
}

static int proto_of(int fd, int *proto) {
#ifdef SO_PROTOCOL
    return net_getopt_int(fd, SOL_SOCKET, SO_PROTOCOL, proto);
#else
    (void)fd;
    *proto = 0;
    return 0;
#endif
}

int net_info(int fd, int *family, int *type, int *proto) {
    int ignored;
    int err = net_getopt_int(fd, SOL_SOCKET, SO_TYPE, type ? type : &ignored);
    if (err >= 0)
        err = family_of(fd, family ? family : &ignored);
    if (err >= 0)
        err = proto_of(fd, proto ? proto : &ignored);
    return err;
}
