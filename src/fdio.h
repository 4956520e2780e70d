/*
 * fdio.h - reading and writing descriptors of any kind without ever blocking or raising SIGPIPE.
 *
 * A descriptor that is ours alone is made non-blocking. One that is shared with other processes,
 * as standard input is, must not be: O_NONBLOCK belongs to the open file, and a shell or a parent
 * would find its terminal changed. Such a one is opened anew where the system can do that, asked
 * with MSG_DONTWAIT if it is a socket, and else asked by poll(2) before each small step.
 */
#ifndef CURIO_FDIO_H
#define CURIO_FDIO_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

enum fdio_kind {
    FDIO_PLAIN,   /* non-blocking, or a regular file */
    FDIO_PIPE,    /* a non-blocking pipe */
    FDIO_SOCKET,  /* send and recv, with MSG_DONTWAIT */
    FDIO_CAREFUL, /* blocking: poll first, then little at a time */
};

struct fdio {
    int fd;              /* -1: none */
    uint8_t kind;        /* enum fdio_kind */
    bool own;            /* opened here: to be closed, unlike the one it stands for */
    bool short_is_empty; /* a read that gives less than asked for has emptied it */
};

/* Makes a descriptor that is the caller's alone ready for use: non-blocking, close-on-exec. 0 or
   -errno; then nothing has been changed. */
int fdio_adopt(struct fdio *f, int fd);

/* Makes ready one that others share; nothing about it is changed. */
int fdio_share(struct fdio *f, int fd, bool writing);

/* Bytes moved; 0 from fdio_read is the end; -EAGAIN: would block. */
ssize_t fdio_read(const struct fdio *f, void *buf, size_t room);
ssize_t fdio_write(const struct fdio *f, const struct iovec *pieces, int n);

/* Of a non-blocking socket. */
ssize_t fdio_send(int fd, const struct iovec *pieces, int n);

/* What the C library has read ahead from a file, moved to buf; the rest stays. */
size_t fdio_read_ahead(FILE *file, char *buf, size_t room);
size_t fdio_ahead(FILE *file); /* how much that is */

/* Around a call that might raise SIGPIPE: a failed write shall only say EPIPE. `failed`: it did, or
 * may have failed after the part that it wrote. */
void sigpipe_hold(sigset_t *mask);
void sigpipe_let(const sigset_t *mask, bool failed);

#endif
