/*
 * frame.h - messages between two processes over a stream socket: a head that says how many bytes
 * and descriptors follow, then these. Works on blocking and non-blocking sockets: what cannot go on
 * says -EAGAIN and is called again.
 *
 * The other side is not trusted: what does not begin like a frame, or announces what cannot be, is
 * refused; room is made only as the bytes come.
 */
#ifndef CURIO_FRAME_H
#define CURIO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "message.h"

enum { FRAME_FDS = 250 }; /* in one frame; the system's limit is 253 */

struct frame_head {
    uint32_t magic;
    uint32_t nfds;
    uint64_t size;
};

struct frame_out {
    struct frame_head head;
    struct message *message; /* the caller's; stays complete */
    size_t sent;             /* of head and bytes */
};

struct frame_in {
    struct frame_head head;
    size_t got; /* of head and bytes */
    char *block;
    size_t room;
    struct message message; /* gets the descriptors; and the bytes when they are all there */
};

/* 0; -E2BIG: too many descriptors. */
int frame_out_init(struct frame_out *f, struct message *m);
void frame_in_init(struct frame_in *f);
void frame_in_term(struct frame_in *f);

/* 0: all is sent; -EAGAIN; or why it cannot be. */
int frame_send(int fd, struct frame_out *f);

/* 0: f->message is complete; -EAGAIN; -EPIPE: the stream ended; -EBADMSG: this is no frame; or why
   it cannot go on. */
int frame_recv(int fd, struct frame_in *f);

#endif
