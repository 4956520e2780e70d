/*
 * transport.h - what a stream reads from and writes to: a descriptor, a socket, a TLS connection.
 *
 * A userdata is a transport if its metatable has, under "__transport", a light userdata that points
 * to one of these tables; `self` is then the userdata's block. Attempts never block and never
 * raise. A stream asks `read` or `write`, and after -EAGAIN returns what `wait` returned, so a
 * transport alone decides what it sleeps on: a TLS connection may have to wait for the other
 * direction.
 */
#ifndef CURIO_TRANSPORT_H
#define CURIO_TRANSPORT_H

#include <lua.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "loop.h"
#include "task.h"

struct transport {
    const char *what; /* "socket", as messages call it */

    /* Bytes read into buf; 0 at the end of the stream; -EAGAIN: wait first; -ESHUTDOWN: closed;
       another negative number: an errno, or a code that `failed` understands. */
    ssize_t (*read)(void *self, struct task *t, char *buf, size_t room);

    /* Bytes written, at least one; or a negative number as above. After -EAGAIN it is asked again
       with the same bytes, unless the writer was cancelled meanwhile. */
    ssize_t (*write)(void *self, struct task *t, const struct iovec *pieces, int n);

    /* Parks the running task until the attempt in that direction may succeed; returns BLOCK_PARKED,
       or the number of results pushed (nil, err). May raise ReadResourceBusy, WriteResourceBusy. */
    int (*wait)(void *self, lua_State *L, struct task *t, enum loop_dir dir);

    /* Pushes nil and the error object for a negative number; returns 2. [-0, +2, m] */
    int (*failed)(void *self, lua_State *L, int err, const char *op);
};

#define TRANSPORT_KEY "__transport"

#endif
