/*
 * sockiolib.c - the verbs of a socket that block: recv chunks send sendall accept.
 *
 * Each is an attempt in the sense of block.h and costs one system call when it need not wait. Data
 * is received into the kernel's scratch buffer and copied once, into the Lua string. A read of a
 * TCP socket that got less than it asked for has emptied it, so the next one sleeps without asking
 * the system first. Not so for Unix sockets: there a read also stops where descriptors were sent
 * along.
 */
#include <errno.h>
#include <limits.h>

#include "addrlib.h"
#include "block.h"
#include "lib.h"
#include "net.h"
#include "socketlib.h"

#define RECV_DEFAULT 65536
#define SEND_MOST (256 * 1024) /* bytes for one send: others want to run too */

/* For the verbs' attempts, where argument 1 has been checked. */
static struct sock *self(lua_State *L) {
    return lua_touserdata(L, 1);
}

static int push_true(lua_State *L) {
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- recv(max, flags), chunks(max) ---- */

/* Can a short read only mean that there is no more? */
static bool short_is_empty(const struct sock *s, int flags) {
    return s->type == SOCK_STREAM && s->family != AF_UNIX && !flags;
}

static char *big_room(lua_State *L, const struct sock *s, lua_Integer max, size_t *room) {
    int size = net_next_size(s->io.fd);
    if (size <= KERNEL_SCRATCH)
        return NULL;
    *room = size < max ? (size_t)size : (size_t)max;
    return lua_newuserdatauv(L, *room, 0);
}

char *socket_room(lua_State *L, struct kernel *k, const struct sock *s, lua_Integer max,
                  size_t *room) {
    char *big = NULL;
    *room = max < KERNEL_SCRATCH ? (size_t)max : KERNEL_SCRATCH;
    if (max > KERNEL_SCRATCH && s->type != SOCK_STREAM)
        big = big_room(L, s, max, room);
    return big ? big : k->scratch;
}

static int recv_attempt(lua_State *L, struct task *t) {
    struct sock *s = self(L);
    struct kernel *k = t->kernel;
    if (s->io.fd < 0)
        return error_closed_return(L, "recv", "socket");
    if (!loop_known_ready(&k->loop, &s->io, LOOP_READ)) /* the first data come after accept */
        return block_wait(L, t, &s->io, LOOP_READ);
    lua_Integer max = lua_tointeger(L, 2);
    int flags = lua_gettop(L) > 2 ? (int)lua_tointeger(L, 3) : 0;
    size_t room;
    char *buf = socket_room(L, k, s, max, &room);
    ssize_t n = net_recv(s->io.fd, buf, room, flags);
    if (n == -EAGAIN)
        return block_again(L, t, &s->io, LOOP_READ);
    if (n < 0)
        return socket_failed(L, s, (int)-n, "recv");
    if ((size_t)n < room && n > 0 && short_is_empty(s, flags))
        loop_drained(&k->loop, &s->io, LOOP_READ);
    if (n == 0 && socket_ends(s))
        lua_pushnil(L);
    else
        lua_pushlstring(L, buf, (size_t)n < room ? (size_t)n : room);
    return 1;
}

/* Of nothing: succeeds at once. */
static int recv_nothing(lua_State *L, struct task *t) {
    (void)t;
    if (self(L)->io.fd < 0)
        return error_closed_return(L, "recv", "socket");
    lua_pushliteral(L, "");
    return 1;
}

static const struct verb recv_verb = {"socket:recv", recv_attempt, NULL};
static const struct verb recv_nothing_verb = {"socket:recv", recv_nothing, NULL};

lua_Integer socket_check_size(lua_State *L, int arg, lua_Integer least) {
    lua_Integer max = luaL_optinteger(L, arg, RECV_DEFAULT);
    if (max < least)
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "the size must be %I or more, not %I", least, max));
    return max;
}

int socket_check_flags(lua_State *L, int arg) {
    lua_Integer flags = luaL_optinteger(L, arg, 0);
    luaL_argcheck(L, flags >= INT_MIN && flags <= INT_MAX, arg, "not a set of flags");
    return (int)flags;
}

/* With MSG_TRUNC nothing would be received, yet be counted. */
int socket_check_recv_flags(lua_State *L, int arg) {
    int flags = socket_check_flags(L, arg);
    luaL_argcheck(L, !(flags & MSG_TRUNC), arg, "MSG_TRUNC gives no data");
    return flags;
}

/* Leaves [socket, size, flags]. */
static lua_Integer check_recv(lua_State *L) {
    lua_Integer max = socket_check_size(L, 2, 0);
    socket_check_recv_flags(L, 3);
    lua_settop(L, 3);
    lua_pushinteger(L, max);
    lua_replace(L, 2);
    return max;
}

static int m_recv(lua_State *L) {
    socket_check(L, 1);
    bool simple = lua_gettop(L) == 2 && lua_tointeger(L, 2) > 0; /* as most are */
    if (!simple && check_recv(L) == 0)
        return block_run(L, &recv_nothing_verb);
    return block_run(L, &recv_verb);
}

/* A loop cannot look at an error behind the nil, so errors are raised; only closing ends it. */
static int chunk_attempt(lua_State *L, struct task *t) {
    int n = recv_attempt(L, t);
    if (n != 2)
        return n;
    if (!error_is(L, -1, "ClosedError"))
        return lua_error(L);
    lua_pushnil(L);
    return 1;
}

static const struct verb chunk_verb = {"socket:chunks", chunk_attempt, NULL};

static int chunks_next(lua_State *L) {
    socket_check(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    return block_run(L, &chunk_verb);
}

static int m_chunks(lua_State *L) {
    if (!socket_open(L, 1, "chunks"))
        return lua_error(L);
    lua_pushinteger(L, socket_check_size(L, 2, 1));
    lua_pushcclosure(L, chunks_next, 1);
    lua_pushvalue(L, 1);
    return 2;
}

/* ---- send(data, flags), sendall(data, flags) ---- */

/* The last: bytes sent so far, once some were and others were not. */
enum { SEND_DATA = 2, SEND_FLAGS, SEND_DONE };

static int send_flags(lua_State *L) {
    return lua_gettop(L) >= SEND_FLAGS ? (int)lua_tointeger(L, SEND_FLAGS) : 0;
}

static size_t recall(lua_State *L) {
    return lua_gettop(L) >= SEND_DONE ? (size_t)lua_tointeger(L, SEND_DONE) : 0;
}

static void remember(lua_State *L, size_t done) {
    lua_settop(L, SEND_FLAGS);
    lua_pushinteger(L, (lua_Integer)done);
}

/* Of the error on top. */
static void set_bytes_sent(lua_State *L, lua_Integer done) {
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_pushinteger(L, done);
    lua_setfield(L, -2, "bytes_sent");
}

/* One system call: bytes sent, -EAGAIN after noting it, or another code. */
static ssize_t send_some(struct task *t, const struct sock *s, const char *data, size_t len,
                         int flags) {
    size_t part = s->type == SOCK_STREAM && len > SEND_MOST ? SEND_MOST : len;
    ssize_t n = net_send(s->io.fd, data, part, flags);
    if (n == -EAGAIN)
        loop_blocked(&t->kernel->loop, &s->io, LOOP_WRITE);
    else if (n >= 0 && (size_t)n < part)
        loop_drained(&t->kernel->loop, &s->io, LOOP_WRITE);
    return n;
}

static int send_attempt(lua_State *L, struct task *t) {
    const struct sock *s = self(L);
    size_t len;
    const char *data = lua_tolstring(L, SEND_DATA, &len);
    if (s->io.fd < 0)
        return error_closed_return(L, "send", "socket");
    if (!loop_ready(&t->kernel->loop, &s->io, LOOP_WRITE))
        return block_wait(L, t, &s->io, LOOP_WRITE);
    ssize_t n = send_some(t, s, data, len, send_flags(L));
    if (n == -EAGAIN)
        return block_wait(L, t, &s->io, LOOP_WRITE);
    if (n < 0)
        return socket_failed(L, s, (int)-n, "send");
    lua_pushinteger(L, n);
    return 1;
}

static int sendall_failed(lua_State *L, const struct sock *s, int err, size_t done) {
    if (err)
        socket_failed(L, s, err, "sendall");
    else
        error_closed_return(L, "sendall", "socket");
    set_bytes_sent(L, (lua_Integer)done);
    return 2;
}

static int sendall_attempt(lua_State *L, struct task *t) {
    const struct sock *s = self(L);
    size_t len, done = recall(L);
    const char *data = lua_tolstring(L, SEND_DATA, &len);
    if (s->io.fd < 0)
        return sendall_failed(L, s, 0, done);
    do {
        if (!loop_ready(&t->kernel->loop, &s->io, LOOP_WRITE))
            return block_wait(L, t, &s->io, LOOP_WRITE);
        ssize_t n = send_some(t, s, data + done, len - done, send_flags(L));
        if (n == -EAGAIN)
            return block_wait(L, t, &s->io, LOOP_WRITE);
        if (n < 0)
            return sendall_failed(L, s, (int)-n, done);
        done += (size_t)n;
        if (done < len)
            remember(L, done);
    } while (done < len && --t->kernel->io_budget >= 0);
    if (done == len)
        return push_true(L);
    task_give_way(t);
    return BLOCK_PARKED;
}

static void sendall_interrupted(lua_State *L, struct task *t) {
    (void)t;
    bool begun = lua_gettop(L) > SEND_DONE; /* the error is on top */
    set_bytes_sent(L, begun ? lua_tointeger(L, SEND_DONE) : 0);
}

static const struct verb send_verb = {"socket:send", send_attempt, NULL};
static const struct verb sendall_verb = {"socket:sendall", sendall_attempt, sendall_interrupted};

static int run_send(lua_State *L, const struct verb *verb) {
    socket_check(L, 1);
    luaL_checklstring(L, SEND_DATA, NULL);
    if (lua_gettop(L) > SEND_DATA) {
        socket_check_flags(L, SEND_FLAGS);
        lua_settop(L, SEND_FLAGS);
    }
    return block_run(L, verb);
}

static int m_send(lua_State *L) {
    return run_send(L, &send_verb);
}

static int m_sendall(lua_State *L) {
    return run_send(L, &sendall_verb);
}

/* ---- accept() ---- */

/* The box is made once and waits on the stack. */
static struct sock *accept_box(lua_State *L) {
    return lua_gettop(L) > 1 ? lua_touserdata(L, 2) : socket_like(L, 1);
}

static int accept_failed(lua_State *L, const struct sock *s, int err) {
    char text[ADDR_TEXT_MAX];
    struct addr name;
    if (net_name(s->io.fd, &name) < 0)
        return socket_failed(L, s, err, "accept");
    addr_format(&name, text, sizeof text);
    return error_os_return(L, err, "accept", text);
}

static int accept_attempt(lua_State *L, struct task *t) {
    const struct sock *s = self(L);
    struct addr peer;
    if (s->io.fd < 0)
        return error_closed_return(L, "accept", "socket");
    if (!loop_ready(&t->kernel->loop, &s->io, LOOP_READ))
        return block_wait(L, t, &s->io, LOOP_READ);
    struct sock *client = accept_box(L);
    int fd = net_accept(s->io.fd, &peer);
    if (fd == -EAGAIN)
        return block_again(L, t, &s->io, LOOP_READ);
    if (fd < 0)
        return accept_failed(L, s, -fd);
    socket_fill(client, fd);
    addrlib_push(L, &peer);
    return 2;
}

static const struct verb accept_verb = {"socket:accept", accept_attempt, NULL};

static int m_accept(lua_State *L) {
    socket_check(L, 1);
    lua_settop(L, 1);
    return block_run(L, &accept_verb);
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {
    {"recv", m_recv},       {"chunks", m_chunks}, {"send", m_send},
    {"sendall", m_sendall}, {"accept", m_accept}, {NULL, NULL},
};

void socket_add_verbs(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
