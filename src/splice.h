/*
 * splice.h - moving bytes from one descriptor to another inside the system, without copying them
 * through this process.
 *
 * Nothing here waits for a socket or a pipe, and nothing raises SIGPIPE. Not every pair of
 * descriptors can be served; -EINVAL (or -ENOSYS) then says so before anything has been moved, and
 * the caller copies by hand.
 *
 * Between two sockets a pipe is needed, to which the pages are lent in between. It is needed only
 * while there is something in it, so few serve many connections: they are kept for the thread as
 * long as anybody in it is pumping.
 */
#ifndef CURIO_SPLICE_H
#define CURIO_SPLICE_H

#include <stddef.h>
#include <sys/types.h>

/* Bytes of a regular file, from *offset on (which moves along), or with NULL from its position on,
   to any descriptor: bytes moved; 0 at the end of the file; -EAGAIN: `to` takes nothing now. */
ssize_t splice_sendfile(int to, int file, off_t *offset, size_t n);

/* Bytes between two descriptors one of which is a pipe: 0 at the end of `from`; -EAGAIN: one of the
   two is not ready. */
ssize_t splice_direct(int from, int to, size_t n);

/* A pipe in between; `held` bytes are in it. */
struct splice {
    int rd, wr; /* -1: none */
    size_t held;
};

/* Around a pumping, however long it lasts; pipes are kept between the two. */
void splice_begin(void);
void splice_end(void);

/* Gets a pipe, or gives it back; what is in it is dropped. 0 or -errno. */
int splice_acquire(struct splice *p);
void splice_release(struct splice *p);

/* Into an empty pipe, and from it: bytes moved; 0 at the end of `from`; -EAGAIN: that descriptor is
   not ready. */
ssize_t splice_in(struct splice *p, int from, size_t n);
ssize_t splice_out(struct splice *p, int to);

/* What is held, as bytes: how many, in the end 0. */
ssize_t splice_take_back(struct splice *p, char *buf, size_t room);

#endif
