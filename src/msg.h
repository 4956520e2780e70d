/*
 * msg: messages, with the ancillary data that travels beside their bytes.
 *
 * Ancillary data is a row of items in one buffer, each with a header that tells its length, level
 * and type. What is read here may come from anybody, so no length in it is believed: an item never
 * reaches beyond the buffer, and reading ends at the first header that makes no sense.
 *
 * Descriptors that arrive belong to whoever owns the buffer, from the system call on: they must be
 * taken out of it or closed.
 */
#ifndef CURIO_MSG_H
#define CURIO_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "addr.h"

struct msg {
    struct iovec *pieces;
    int npieces;
    void *control;      /* aligned as malloc does; may be NULL */
    size_t control_len; /* bytes of it to send; room for receiving, then bytes received */
    struct addr addr;   /* where to, or len 0; where from, or len 0 */
    int flags;          /* of what was received: MSG_TRUNC, MSG_CTRUNC and the like */
};

/* Bytes moved, or a negative errno. Descriptors received are close-on-exec. */
ssize_t msg_recv(int fd, struct msg *m, int flags);
ssize_t msg_send(int fd, const struct msg *m, int flags);

struct msg_item {
    int level;
    int type;
    const char *data; /* inside the buffer, not aligned */
    size_t len;
};

/* Bytes that an item with so much data takes: without and with the padding that lets another
   follow. 0 when there is no such number. */
size_t msg_item_len(size_t len);
size_t msg_item_space(size_t len);

/* Appends an item at *used, which grows. 0, or -ENOSPC and nothing has changed. */
int msg_put(void *buf, size_t size, size_t *used, const struct msg_item *item);

/* The item at *at (0 at first), which moves on; false when there is none. One that the system has
   cut off is as long as what is there of it. */
bool msg_next(const void *buf, size_t len, size_t *at, struct msg_item *item);

/* How many descriptors an item carries, and the one with that number from 0. */
size_t msg_item_fds(const struct msg_item *item);
int msg_item_fd(const struct msg_item *item, size_t i);

/* Closes the descriptors in the buffer but for the first `keep`. */
void msg_close_fds(const void *buf, size_t len, size_t keep);

#endif
