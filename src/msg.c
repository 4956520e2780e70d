/*
 * msg: see msg.h. Headers are copied out and in, since the buffer's bytes are not ours to trust and
 * the CMSG_ macros of some systems walk past the end of a buffer that lies about its lengths.
 */
#include "msg.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "net.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* see net.c */
#endif

enum { HEADER = CMSG_LEN(0) };

#define LEN_MAX (SIZE_MAX / 2 > INT32_MAX ? (size_t)INT32_MAX : SIZE_MAX / 2)

/* ---- system calls ---- */

static struct msghdr header_of(const struct msg *m) {
    struct msghdr h;
    memset(&h, 0, sizeof h);
    h.msg_iov = m->pieces;
    h.msg_iovlen = (size_t)m->npieces;
    h.msg_control = m->control_len ? m->control : NULL;
    h.msg_controllen = m->control_len;
    return h;
}

#ifdef MSG_CMSG_CLOEXEC
enum { BIRTH = MSG_CMSG_CLOEXEC };

static void make_private(const struct msg *m) {
    (void)m;
}
#else
enum { BIRTH = 0 };

static void make_private(const struct msg *m) {
    struct msg_item item;
    size_t at = 0;
    while (msg_next(m->control, m->control_len, &at, &item))
        for (size_t i = 0; i < msg_item_fds(&item); i++)
            net_cloexec(msg_item_fd(&item, i));
}
#endif

ssize_t msg_recv(int fd, struct msg *m, int flags) {
    struct msghdr h = header_of(m);
    ssize_t n;
    h.msg_name = &m->addr.u;
    h.msg_namelen = sizeof m->addr.u;
    do
        n = recvmsg(fd, &h, flags | BIRTH);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    m->addr.len = h.msg_namelen < sizeof m->addr.u ? h.msg_namelen : sizeof m->addr.u;
    m->control_len = m->control ? h.msg_controllen : 0;
    m->flags = h.msg_flags & ~BIRTH;
    make_private(m);
    return n;
}

ssize_t msg_send(int fd, const struct msg *m, int flags) {
    struct msghdr h = header_of(m);
    ssize_t n;
    if (m->addr.len) {
        h.msg_name = (void *)(uintptr_t)&m->addr.u; /* not written to */
        h.msg_namelen = m->addr.len;
    }
    do
        n = sendmsg(fd, &h, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* ---- items ---- */

size_t msg_item_len(size_t len) {
    return len > LEN_MAX ? 0 : CMSG_LEN(len);
}

size_t msg_item_space(size_t len) {
    return len > LEN_MAX ? 0 : CMSG_SPACE(len);
}

int msg_put(void *buf, size_t size, size_t *used, const struct msg_item *item) {
    struct cmsghdr h;
    size_t space = msg_item_space(item->len);
    char *to = (char *)buf + *used;
    if (!space || *used > size || space > size - *used)
        return -ENOSPC;
    memset(&h, 0, sizeof h);
    h.cmsg_level = item->level;
    h.cmsg_type = item->type;
    h.cmsg_len = CMSG_LEN(item->len);
    memset(to, 0, space);
    memcpy(to, &h, sizeof h);
    if (item->len)
        memcpy(to + HEADER, item->data, item->len);
    *used += space;
    return 0;
}

bool msg_next(const void *buf, size_t len, size_t *at, struct msg_item *item) {
    struct cmsghdr h;
    if (*at >= len || len - *at < HEADER)
        return false;
    const char *from = (const char *)buf + *at;
    memcpy(&h, from, sizeof h);
    size_t left = len - *at, size = h.cmsg_len;
    if (size < HEADER)
        return false;
    if (size > left)
        size = left;
    item->level = h.cmsg_level;
    item->type = h.cmsg_type;
    item->data = from + HEADER;
    item->len = size - HEADER;
    size_t space = CMSG_SPACE(item->len);
    *at = space < left ? *at + space : len;
    return true;
}

/* ---- descriptors ---- */

size_t msg_item_fds(const struct msg_item *item) {
    bool rights = item->level == SOL_SOCKET && item->type == SCM_RIGHTS;
    return rights ? item->len / sizeof(int) : 0;
}

int msg_item_fd(const struct msg_item *item, size_t i) {
    int fd;
    memcpy(&fd, item->data + i * sizeof fd, sizeof fd);
    return fd;
}

void msg_close_fds(const void *buf, size_t len, size_t keep) {
    struct msg_item item;
    size_t at = 0;
    while (msg_next(buf, len, &at, &item))
        for (size_t i = 0; i < msg_item_fds(&item); i++) {
            if (keep)
                keep--;
            else
                net_close(msg_item_fd(&item, i));
        }
}
