/*
 * fdio.c - see fdio.h.
 */
#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

#define RETRY(result, call)                                                                        \
    do                                                                                             \
        (result) = (call);                                                                         \
    while ((result) < 0 && errno == EINTR)

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100 /* Linux 6.18 */
#endif

#define CAREFUL_READ 4096
#define CAREFUL_WRITE 512 /* POSIX: a pipe that poll calls writable takes as much (PIPE_BUF) */

/* ---- SIGPIPE ---- */

/* The signal comes to the thread that wrote, at once; while it is blocked it waits, and is taken
 * back. */
void sigpipe_hold(sigset_t *mask) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, mask);
}

void sigpipe_let(const sigset_t *mask, bool failed) {
    if (sigismember(mask, SIGPIPE))
        return;
    if (failed) {
        const struct timespec none = {0};
        sigset_t set;
        int got;
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        RETRY(got, sigtimedwait(&set, NULL, &none));
    }
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* ---- what a descriptor is ---- */

/* With O_DIRECT a read gives a packet, and there may be more. */
static bool is_byte_pipe(int fd, mode_t mode) {
#ifdef O_DIRECT
    return S_ISFIFO(mode) && !(fcntl(fd, F_GETFL) & O_DIRECT);
#else
    return S_ISFIFO(mode);
#endif
}

int fdio_adopt(struct fdio *f, int fd) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    int err = net_nonblock(fd, 1);
    if (err >= 0)
        err = net_cloexec(fd);
    if (err < 0)
        return err;
    *f = (struct fdio){.fd = fd, .own = true};
    f->kind = S_ISFIFO(st.st_mode) ? FDIO_PIPE : S_ISSOCK(st.st_mode) ? FDIO_SOCKET : FDIO_PLAIN;
    f->short_is_empty = is_byte_pipe(fd, st.st_mode);
    return 0;
}

/* Opening the master of a pseudo-terminal anew makes another one; other devices may do anything. */
static bool can_reopen(int fd, mode_t mode) {
#ifdef TIOCGPTN
    unsigned number;
    if (ioctl(fd, TIOCGPTN, &number) == 0)
        return false;
#endif
    return S_ISFIFO(mode) || (S_ISCHR(mode) && isatty(fd));
}

/* The same pipe or terminal with an open file description of our own; -1: it cannot be had. */
static int reopen(int fd, mode_t mode, bool writing) {
#ifdef __linux__
    char path[40];
    int flags = (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (!can_reopen(fd, mode))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags);
#else
    (void)fd, (void)mode, (void)writing, (void)can_reopen;
    return -1;
#endif
}

int fdio_share(struct fdio *f, int fd, bool writing) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *f = (struct fdio){.fd = fd, .kind = FDIO_CAREFUL};
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
        f->kind = FDIO_PLAIN;
    else if (S_ISSOCK(st.st_mode))
        f->kind = FDIO_SOCKET;
    int own = f->kind == FDIO_CAREFUL ? reopen(fd, st.st_mode, writing) : -1;
    if (own >= 0)
        *f = (struct fdio){own, S_ISFIFO(st.st_mode) ? FDIO_PIPE : FDIO_PLAIN, true,
                           is_byte_pipe(own, st.st_mode)};
    return 0;
}

/* ---- reading ---- */

static bool is_ready(int fd, short events) {
    struct pollfd ask = {.fd = fd, .events = events};
    int n;
    RETRY(n, poll(&ask, 1, 0));
    return n != 0; /* an error too: reading or writing will tell which */
}

static ssize_t careful_read(int fd, void *buf, size_t room) {
    ssize_t n;
    if (!is_ready(fd, POLLIN))
        return -EAGAIN;
#ifdef RWF_NOWAIT
    struct iovec piece = {buf, room};
    RETRY(n, preadv2(fd, &piece, 1, -1, RWF_NOWAIT));
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != ESPIPE))
        return n < 0 ? -errno : n;
#endif
    RETRY(n, read(fd, buf, room < CAREFUL_READ ? room : CAREFUL_READ));
    return n < 0 ? -errno : n;
}

ssize_t fdio_read(const struct fdio *f, void *buf, size_t room) {
    ssize_t n;
    if (f->kind == FDIO_SOCKET)
        return net_recv(f->fd, buf, room, MSG_DONTWAIT);
    if (f->kind == FDIO_CAREFUL)
        return careful_read(f->fd, buf, room);
    RETRY(n, read(f->fd, buf, room));
    return n < 0 ? -errno : n;
}

/* ---- writing ---- */

ssize_t fdio_send(int fd, const struct iovec *pieces, int n) {
    ssize_t sent;
    if (n == 1)
        return net_send(fd, pieces->iov_base, pieces->iov_len, MSG_DONTWAIT);
    struct msghdr msg = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)n};
    RETRY(sent, sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT));
    return sent < 0 ? -errno : sent;
}

static ssize_t write_some(int fd, const struct iovec *pieces, int n) {
    ssize_t done;
    if (n == 1)
        RETRY(done, write(fd, pieces->iov_base, pieces->iov_len));
    else
        RETRY(done, writev(fd, pieces, n));
    return done < 0 ? -errno : done;
}

static ssize_t careful_write(int fd, const struct iovec *pieces, int n) {
    if (!is_ready(fd, POLLOUT))
        return -EAGAIN;
#ifdef RWF_NOWAIT
    ssize_t done;
    RETRY(done, pwritev2(fd, pieces, n, -1, RWF_NOWAIT));
    if (done >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != ESPIPE))
        return done < 0 ? -errno : done;
#endif
    struct iovec little = *pieces;
    if (little.iov_len > CAREFUL_WRITE)
        little.iov_len = CAREFUL_WRITE;
    return write_some(fd, &little, 1);
}

/* Recent systems spare us the two calls about the signal. */
static ssize_t write_unsignalled(int fd, const struct iovec *pieces, int n) {
#ifdef __linux__
    static atomic_bool unknown;
    ssize_t done;
    if (atomic_load_explicit(&unknown, memory_order_relaxed))
        return -EOPNOTSUPP;
    RETRY(done, pwritev2(fd, pieces, n, -1, RWF_NOSIGNAL));
    if (done >= 0 || errno != EOPNOTSUPP)
        return done < 0 ? -errno : done;
    atomic_store_explicit(&unknown, true, memory_order_relaxed);
#else
    (void)fd, (void)pieces, (void)n;
#endif
    return -EOPNOTSUPP;
}

static ssize_t write_pipe(const struct fdio *f, const struct iovec *pieces, int n) {
    sigset_t mask;
    ssize_t done = f->kind == FDIO_PIPE ? write_unsignalled(f->fd, pieces, n) : -EOPNOTSUPP;
    if (done != -EOPNOTSUPP)
        return done;
    sigpipe_hold(&mask);
    done = f->kind == FDIO_PIPE ? write_some(f->fd, pieces, n) : careful_write(f->fd, pieces, n);
    sigpipe_let(&mask, done == -EPIPE);
    return done;
}

ssize_t fdio_write(const struct fdio *f, const struct iovec *pieces, int n) {
    if (f->kind == FDIO_SOCKET)
        return fdio_send(f->fd, pieces, n);
    return f->kind == FDIO_PLAIN ? write_some(f->fd, pieces, n) : write_pipe(f, pieces, n);
}

/* ---- files of the C library ---- */

size_t fdio_ahead(FILE *file) {
#ifdef __GLIBC__
    return file->_IO_read_ptr ? (size_t)(file->_IO_read_end - file->_IO_read_ptr) : 0;
#else
    (void)file;
    return 0;
#endif
}

size_t fdio_read_ahead(FILE *file, char *buf, size_t room) {
    size_t ahead = fdio_ahead(file);
    return ahead ? fread(buf, 1, ahead < room ? ahead : room, file) : 0;
}
