/*
 * frame.c - frames on sendmsg and recvmsg; see frame.h. The descriptors go with the first bytes.
 */
#include "frame.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC 0x4f525543u          /* "CURO" */
#define SIZE_MAX_SANE (1ull << 40) /* bytes; no message is that long */
#define FIRST_ROOM 4096

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

union control {
    char room[CMSG_SPACE(FRAME_FDS * sizeof(int))];
    struct cmsghdr align;
};

/* ---- sending ---- */

int frame_out_init(struct frame_out *f, struct message *m) {
    int none;
    size_t n = message_fds(m, &none, 0);
    *f = (struct frame_out){.head = {MAGIC, (uint32_t)n, m->size}, .message = m};
    return n > FRAME_FDS ? -E2BIG : 0;
}

static void put_fds(struct msghdr *msg, union control *control, const struct frame_out *f) {
    int fds[FRAME_FDS];
    size_t n = message_fds(f->message, fds, FRAME_FDS);
    memset(control, 0, sizeof *control);
    msg->msg_control = control->room;
    msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

/* What is left of head and bytes. */
static int pieces_left(const struct frame_out *f, struct iovec iov[2]) {
    size_t head = sizeof f->head;
    int n = 0;
    if (f->sent < head)
        iov[n++] = (struct iovec){(char *)&f->head + f->sent, head - f->sent};
    size_t done = f->sent > head ? f->sent - head : 0;
    if (done < f->message->size)
        iov[n++] = (struct iovec){(char *)message_data(f->message) + done, f->message->size - done};
    return n;
}

int frame_send(int fd, struct frame_out *f) {
    struct iovec iov[2];
    union control control;
    int n;
    while ((n = pieces_left(f, iov)) > 0) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
        if (f->sent == 0 && f->head.nfds)
            put_fds(&msg, &control, f);
        ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -errno;
        if (sent > 0)
            f->sent += (size_t)sent;
    }
    return 0;
}

/* ---- receiving ---- */

void frame_in_init(struct frame_in *f) {
    memset(f, 0, sizeof *f);
    message_init(&f->message);
}

void frame_in_term(struct frame_in *f) {
    free(f->block);
    f->block = NULL;
    message_drop(&f->message);
}

static int keep_fds(struct frame_in *f, struct msghdr *msg) {
    int err = msg->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (err || (err = message_attach(&f->message, fd)) < 0)
                close(fd);
        }
    }
    return err;
}

/* Into what is left of the head and the room behind it, so that a short frame takes one call. */
static ssize_t receive(int fd, struct frame_in *f) {
    size_t head = sizeof f->head;
    size_t got = f->got > head ? f->got - head : 0;
    union control control;
    struct iovec iov[2] = {{(char *)&f->head + f->got, f->got < head ? head - f->got : 0},
                           {f->block + got, f->room - got}};
    struct msghdr msg = {.msg_iov = iov,
                         .msg_iovlen = 2,
                         .msg_control = control.room,
                         .msg_controllen = sizeof control.room};
    ssize_t n;
    do
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    int err = keep_fds(f, &msg);
    return err ? err : n == 0 ? -EPIPE : n;
}

static int check_head(const struct frame_in *f) {
    int none;
    if (f->head.magic != MAGIC || f->head.size > SIZE_MAX_SANE)
        return -EBADMSG;
    return message_fds(&f->message, &none, 0) == f->head.nfds ? 0 : -EBADMSG;
}

/* Room for the next bytes: some at first, later as many as came so far. */
static int make_room(struct frame_in *f) {
    size_t head = sizeof f->head;
    size_t room = f->room ? f->room * 2 : FIRST_ROOM;
    if (f->room && (f->got < head || f->got - head < f->room))
        return 0;
    if (f->got >= head && room > f->head.size)
        room = f->head.size;
    char *block = realloc(f->block, room);
    if (!block)
        return -ENOMEM;
    f->block = block;
    f->room = room;
    return 0;
}

static int finish(struct frame_in *f) {
    message_adopt(&f->message, f->block, f->head.size);
    f->block = NULL;
    return 0;
}

int frame_recv(int fd, struct frame_in *f) {
    size_t head = sizeof f->head;
    for (;;) {
        int err = make_room(f);
        ssize_t n = err ? err : receive(fd, f);
        if (n < 0)
            return (int)n;
        bool headed = f->got >= head;
        f->got += (size_t)n;
        if (f->got < head)
            continue;
        if (!headed && check_head(f) < 0)
            return -EBADMSG;
        if (f->got - head > f->head.size)
            return -EBADMSG;
        if (f->got - head == f->head.size)
            return finish(f);
    }
}
