/*
 * ptylib.c - "curio.terminal": the master side of a pseudo-terminal, as a transport for streams.
 *
 * It is a transport of its own because a terminal ends in a way of its own: when the last process
 * has closed the other side, reading fails with EIO, which is the end of the stream.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "block.h"
#include "lib.h"
#include "net.h"
#include "proc.h"
#include "transport.h"

#define NAME "curio.terminal"

struct terminal {
    struct io io;
    int slave; /* the child's side, until it has been started; -1: closed */
};

static struct terminal *check(lua_State *L) {
    return luaL_checkudata(L, 1, NAME);
}

/* ---- the transport ---- */

static ssize_t terminal_read(void *self, struct task *t, char *buf, size_t room) {
    struct terminal *tty = self;
    struct loop *lp = &t->kernel->loop;
    if (tty->io.fd < 0)
        return -ESHUTDOWN;
    if (!loop_ready(lp, &tty->io, LOOP_READ))
        return -EAGAIN;
    ssize_t n;
    do
        n = read(tty->io.fd, buf, room);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        loop_blocked(lp, &tty->io, LOOP_READ);
    return errno == EIO ? 0 : -errno;
}

static ssize_t terminal_write(void *self, struct task *t, const struct iovec *pieces, int n) {
    struct terminal *tty = self;
    struct loop *lp = &t->kernel->loop;
    if (tty->io.fd < 0)
        return -ESHUTDOWN;
    if (!loop_ready(lp, &tty->io, LOOP_WRITE))
        return -EAGAIN;
    ssize_t written;
    do
        written = writev(tty->io.fd, pieces, n);
    while (written < 0 && errno == EINTR);
    if (written >= 0)
        return written;
    if (errno == EAGAIN)
        loop_blocked(lp, &tty->io, LOOP_WRITE);
    return -errno;
}

static int terminal_wait(void *self, lua_State *L, struct task *t, enum loop_dir dir) {
    const struct terminal *tty = self;
    return block_wait(L, t, &tty->io, dir);
}

static int terminal_failed(void *self, lua_State *L, int err, const char *op) {
    (void)self;
    return error_os_return(L, -err, op, "terminal");
}

static const struct transport transport = {"terminal", terminal_read, terminal_write, terminal_wait,
                                           terminal_failed};

/* ---- the object ---- */

static void close_slave(struct terminal *tty) {
    if (tty->slave >= 0)
        close(tty->slave);
    tty->slave = -1;
}

/* Also __close and __gc. */
static int m_close(lua_State *L) {
    struct terminal *tty = check(L);
    int fd = tty->io.fd;
    tty->io.fd = -1;
    close_slave(tty);
    if (fd >= 0) {
        block_release(fd, true);
        close(fd);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int m_fileno(lua_State *L) {
    const struct terminal *tty = check(L);
    if (tty->io.fd < 0)
        return error_closed_return(L, "fileno", "terminal");
    lua_pushinteger(L, tty->io.fd);
    return 1;
}

/* slave(): the descriptor of the other side, until close_slave() */
static int m_slave(lua_State *L) {
    lua_pushinteger(L, check(L)->slave);
    return 1;
}

static int m_close_slave(lua_State *L) {
    close_slave(check(L));
    return 0;
}

/* terminal(): a new one, or nil and an OSError */
static int f_terminal(lua_State *L) {
    struct terminal *tty = lua_newuserdatauv(L, sizeof *tty, 0);
    *tty = (struct terminal){.io = {.fd = -1}, .slave = -1};
    luaL_setmetatable(L, NAME);
    int fd, err = proc_terminal(&fd, &tty->slave);
    if (err < 0)
        return error_os_return(L, -err, "open", "a pseudo-terminal");
    tty->io = (struct io){.fd = fd, .gen = loop_generation()};
    err = net_nonblock(fd, 1);
    if (err < 0)
        return error_os_return(L, -err, "open", "a pseudo-terminal");
    return 1;
}

static const luaL_Reg methods[] = {{"close", m_close},
                                   {"fileno", m_fileno},
                                   {"slave", m_slave},
                                   {"close_slave", m_close_slave},
                                   {NULL, NULL}};

static const luaL_Reg metamethods[] = {{"__close", m_close}, {"__gc", m_close}, {NULL, NULL}};

int open_ptylib(lua_State *L) {
    luaL_newmetatable(L, NAME);
    luaL_setfuncs(L, metamethods, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&transport);
    lua_setfield(L, -2, TRANSPORT_KEY);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, f_terminal);
    return 1;
}
