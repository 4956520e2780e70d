/*
 * net: the socket calls, made uniform.
 *
 * Every descriptor made here is non-blocking and close-on-exec from its birth. Each function is
 * one system call with EINTR taken care of: it returns >= 0 or a negative errno code; -EAGAIN
 * means "would block" and is the caller's cue to sleep. Nothing here sleeps, raises SIGPIPE,
 * allocates or knows about loops and tasks.
 */
#ifndef CURIO_NET_H
#define CURIO_NET_H

#include "addr.h"

#include <errno.h>
#include <sys/types.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SO_NOSIGPIPE is set on each socket instead */
#endif

int net_socket(int family, int type, int proto);
int net_pair(int family, int type, int proto, int fds[2]);

int net_bind(int fd, const struct addr *a);
int net_listen(int fd, int backlog);

/*
 * 0: connected. -EINPROGRESS: wait until writable, then ask net_connect_result. -EAGAIN (Unix
 * sockets on Linux: the backlog is full): nothing has begun, and no event will tell when to try
 * again.
 */
int net_connect(int fd, const struct addr *a);

/* 0: connected. -EINPROGRESS: not decided yet (a spurious wake-up), wait on. Else why it failed. */
int net_connect_result(int fd);

/* The new descriptor. peer may be NULL. */
int net_accept(int fd, struct addr *peer);

/* Bytes moved; 0 from net_recv is the end of the stream (or an empty datagram). Inline, since after
   a system call the processor no longer knows where calls return to, and each return costs. */
static inline ssize_t net_recv(int fd, void *buf, size_t n, int flags) {
    ssize_t got;
    do
        got = recv(fd, buf, n, flags);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static inline ssize_t net_send(int fd, const void *buf, size_t n, int flags) {
    ssize_t sent;
    do
        sent = send(fd, buf, n, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

/* The same with the sender's address (len 0: none was told), or to an address. */
ssize_t net_recvfrom(int fd, void *buf, size_t n, int flags, struct addr *from);
ssize_t net_sendto(int fd, const void *buf, size_t n, int flags, const struct addr *to);

/* At least the bytes of the next datagram; 0: there is none, or it is empty. */
int net_next_size(int fd);

int net_shutdown(int fd, int how); /* SHUT_RD, SHUT_WR, SHUT_RDWR */

/* The descriptor is gone whatever this returns: never call it twice, never retry. */
int net_close(int fd);

int net_name(int fd, struct addr *a);
int net_peer(int fd, struct addr *a);

/* Options as raw bytes, and the int ones. *len: room in, size out. */
int net_setopt(int fd, int level, int option, const void *value, socklen_t len);
int net_getopt(int fd, int level, int option, void *value, socklen_t *len);
int net_setopt_int(int fd, int level, int option, int value);
int net_getopt_int(int fd, int level, int option, int *value);

/* For descriptors that came from elsewhere. net_nonblock returns the former mode, 0 or 1. */
int net_nonblock(int fd, int on);
int net_cloexec(int fd);

/* What kind of socket it is; each pointer may be NULL. -ENOTSOCK, -EBADF. */
int net_info(int fd, int *family, int *type, int *proto);

#endif
