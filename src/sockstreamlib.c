/*
 * sockstreamlib.c - what streams find in a socket: its transport.
 */
#include <errno.h>
#include <sys/socket.h>

#include "block.h"
#include "fdio.h"
#include "net.h"
#include "socketlib.h"
#include "transport.h"

/* A socket that is not registered yet is registered first: the poller then tells for nothing
   whether there is data. A short read of TCP has emptied it; see sockiolib.c. */
static ssize_t sock_read(void *self, struct task *t, char *buf, size_t room) {
    const struct sock *s = self;
    struct loop *lp = &t->kernel->loop;
    ssize_t n;
    if (s->io.fd < 0)
        return -ESHUTDOWN;
    if (!loop_entry(lp, &s->io) || !loop_ready(lp, &s->io, LOOP_READ))
        return -EAGAIN;
    do
        n = net_recv(s->io.fd, buf, room, 0);
    while (n == 0 && s->type == SOCK_DGRAM); /* an empty datagram, not the end */
    if (n == -EAGAIN)
        loop_blocked(lp, &s->io, LOOP_READ);
    else if (n > 0 && (size_t)n < room && s->type == SOCK_STREAM && s->family != AF_UNIX)
        loop_drained(lp, &s->io, LOOP_READ);
    return n;
}

static ssize_t sock_write(void *self, struct task *t, const struct iovec *pieces, int n) {
    const struct sock *s = self;
    struct loop *lp = &t->kernel->loop;
    if (s->io.fd < 0)
        return -ESHUTDOWN;
    if (!loop_ready(lp, &s->io, LOOP_WRITE))
        return -EAGAIN;
    ssize_t sent = fdio_send(s->io.fd, pieces, n);
    if (sent == -EAGAIN)
        loop_blocked(lp, &s->io, LOOP_WRITE);
    return sent;
}

static int sock_wait(void *self, lua_State *L, struct task *t, enum loop_dir dir) {
    const struct sock *s = self;
    return block_wait(L, t, &s->io, dir);
}

static int sock_failed(void *self, lua_State *L, int err, const char *op) {
    return socket_failed(L, self, -err, op);
}

static const struct transport transport = {"socket", sock_read, sock_write, sock_wait, sock_failed};

struct sock *socket_of_transport(const struct transport *via, void *self) {
    return via == &transport ? self : NULL;
}

void socket_add_transport(lua_State *L) {
    lua_pushlightuserdata(L, (void *)&transport);
    lua_setfield(L, -2, TRANSPORT_KEY);
}
