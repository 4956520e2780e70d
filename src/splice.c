/*
 * splice.c - see splice.h. On systems without these calls all of it is -ENOSYS.
 */
#include "splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fdio.h"
#include "net.h"

#define RETRY(result, call)                                                                        \
    do                                                                                             \
        (result) = (call);                                                                         \
    while ((result) < 0 && errno == EINTR)

#define PIPE_ROOM (1024 * 1024)
#define MOST_KEPT 8 /* pipes of a thread that nobody uses right now */

struct kept {
    struct splice pipes[MOST_KEPT];
    int n;
    unsigned users;
};

static __thread struct kept kept;

/* May a call have raised SIGPIPE? Also one that moved a part, and failed with the next: then the
 * system returns the length of that part. */
static bool broken(ssize_t moved, size_t n) {
    return moved == -EPIPE || (moved > 0 && (size_t)moved < n);
}

#ifdef __linux__
#include <sys/sendfile.h>

static ssize_t move(int from, int to, size_t n) {
    ssize_t moved;
    RETRY(moved, splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
    return moved < 0 ? -errno : moved;
}

ssize_t splice_sendfile(int to, int file, off_t *offset, size_t n) {
    sigset_t mask;
    ssize_t moved;
    sigpipe_hold(&mask);
    RETRY(moved, sendfile(to, file, offset, n));
    moved = moved < 0 ? -errno : moved;
    sigpipe_let(&mask, broken(moved, n));
    return moved;
}

static int open_pipe(struct splice *p) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    fcntl(fds[1], F_SETPIPE_SZ, PIPE_ROOM); /* less will do too */
    *p = (struct splice){fds[0], fds[1], 0};
    return 0;
}
#else
static ssize_t move(int from, int to, size_t n) {
    (void)from, (void)to, (void)n;
    return -ENOSYS;
}

ssize_t splice_sendfile(int to, int file, off_t *offset, size_t n) {
    (void)to, (void)file, (void)offset, (void)n;
    return -ENOSYS;
}

static int open_pipe(struct splice *p) {
    (void)p;
    return -ENOSYS;
}
#endif

/* Whether it may raise SIGPIPE depends on what `to` is and on the system's version. */
static ssize_t move_held(int from, int to, size_t n) {
    sigset_t mask;
    sigpipe_hold(&mask);
    ssize_t moved = move(from, to, n);
    sigpipe_let(&mask, broken(moved, n));
    return moved;
}

ssize_t splice_direct(int from, int to, size_t n) {
    return move_held(from, to, n);
}

/* ---- pipes in between ---- */

static void close_pipe(struct splice *p) {
    net_close(p->rd);
    net_close(p->wr);
    *p = (struct splice){-1, -1, 0};
}

void splice_begin(void) {
    kept.users++;
}

void splice_end(void) {
    if (--kept.users == 0)
        while (kept.n > 0)
            close_pipe(&kept.pipes[--kept.n]);
}

int splice_acquire(struct splice *p) {
    if (kept.n == 0)
        return open_pipe(p);
    *p = kept.pipes[--kept.n];
    return 0;
}

void splice_release(struct splice *p) {
    if (p->rd < 0)
        return;
    if (p->held || kept.n == MOST_KEPT || kept.users == 0) {
        close_pipe(p);
        return;
    }
    kept.pipes[kept.n++] = *p;
    *p = (struct splice){-1, -1, 0};
}

ssize_t splice_in(struct splice *p, int from, size_t n) {
    ssize_t moved = move(from, p->wr, n);
    if (moved > 0)
        p->held += (size_t)moved;
    return moved;
}

ssize_t splice_out(struct splice *p, int to) {
    ssize_t moved = move_held(p->rd, to, p->held);
    if (moved > 0)
        p->held -= (size_t)moved;
    return moved;
}

ssize_t splice_take_back(struct splice *p, char *buf, size_t room) {
    ssize_t n;
    if (p->held == 0)
        return 0;
    RETRY(n, read(p->rd, buf, room < p->held ? room : p->held));
    if (n > 0)
        p->held -= (size_t)n;
    return n < 0 ? -errno : n;
}
