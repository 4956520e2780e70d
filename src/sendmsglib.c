/*
 * sendmsglib.c - sending datagrams and messages: sendto sendmsg send_fds.
 *
 * Each is an attempt in the sense of block.h; the arguments are first brought into the order that
 * the attempt expects. Pieces and ancillary data are read from the users' tables once, before the
 * first attempt: what they do to these tables while the task sleeps does not matter.
 */
#include <errno.h>
#include <limits.h>

#include "addrlib.h"
#include "block.h"
#include "clock.h"
#include "lib.h"
#include "msg.h"
#include "net.h"
#include "socketlib.h"

#define ANCILLARY_MOST (1024 * 1024) /* bytes; no system takes as many */
#define PIECES_MOST 1024             /* of one message: IOV_MAX of Linux */
#define FDS_MOST 1024                /* Linux passes 253 at most */
#define RETRY_SECONDS 0.002          /* a Unix socket's full queue gives no event */

/* For the verbs' attempts, where argument 1 has been checked. */
static struct sock *self(lua_State *L) {
    return lua_touserdata(L, 1);
}

/* ---- waiting, results ---- */

/* A datagram for a Unix socket whose queue is full is refused. When others have filled it no event
   will tell that there is room again; and being refused is an event itself, as memory that was
   taken for the datagram is given back. */
static bool tells_nothing(const struct sock *s) {
    return s->family == AF_UNIX && s->type == SOCK_DGRAM;
}

static bool must_wait_to_send(struct task *t, const struct sock *s) {
    return !tells_nothing(s) && !loop_ready(&t->kernel->loop, &s->io, LOOP_WRITE);
}

static int send_again(lua_State *L, struct task *t, const struct sock *s) {
    if (!tells_nothing(s))
        return block_again(L, t, &s->io, LOOP_WRITE);
    int64_t then = clock_after(t->kernel->now, RETRY_SECONDS);
    task_sleep(t, "WRITE_WAIT", task_unlink, NULL, then);
    return BLOCK_PARKED;
}

/* An error about the place where it should go, or else about the socket. */
static int send_failed(lua_State *L, const struct sock *s, const struct addr *to, int err,
                       const char *op) {
    char text[ADDR_TEXT_MAX];
    if (!to->len)
        return socket_failed(L, s, err, op);
    addr_format(to, text, sizeof text);
    return error_os_return(L, err, op, text);
}

static int push_sent(lua_State *L, struct task *t, const struct sock *s, ssize_t n, size_t len) {
    if ((size_t)n < len)
        loop_drained(&t->kernel->loop, &s->io, LOOP_WRITE);
    lua_pushinteger(L, n);
    return 1;
}

/* ---- sendto ---- */

/* [socket, data, address, port, question, flags] */
enum { TO_DATA = 2, TO_ADDRESS, TO_PORT, TO_QUESTION, TO_FLAGS };

static int sendto_attempt(lua_State *L, struct task *t) {
    const struct sock *s = self(L);
    struct addr to;
    size_t len;
    const char *data = lua_tolstring(L, TO_DATA, &len);
    if (s->io.fd < 0)
        return error_closed_return(L, "sendto", "socket");
    int results = socket_take_address(L, t, TO_ADDRESS, "sendto", &to);
    if (results)
        return results;
    if (must_wait_to_send(t, s))
        return block_wait(L, t, &s->io, LOOP_WRITE);
    ssize_t n = net_sendto(s->io.fd, data, len, (int)lua_tointeger(L, TO_FLAGS), &to);
    if (n == -EAGAIN)
        return send_again(L, t, s);
    if (n < 0)
        return send_failed(L, s, &to, (int)-n, "sendto");
    return push_sent(L, t, s, n, len);
}

static const struct verb sendto_verb = {"socket:sendto", sendto_attempt, NULL};

/* sendto(data, [flags,] address): no address begins with a number. */
static int m_sendto(lua_State *L) {
    int flags = 0;
    socket_check(L, 1);
    luaL_checkstring(L, TO_DATA);
    if (lua_type(L, 3) == LUA_TNUMBER) {
        flags = socket_check_flags(L, 3);
        lua_remove(L, 3);
    }
    lua_settop(L, TO_PORT);
    lua_pushnil(L);
    lua_pushinteger(L, flags);
    return block_run(L, &sendto_verb);
}

/* ---- sendmsg, send_fds ---- */

/* [socket, what was given, likewise, flags, address, port, question, control, pieces...]: what was
   given stays, as files in it must not be collected before their descriptors are sent. */
enum { OUT_FLAGS = 4, OUT_ADDRESS, OUT_PORT, OUT_QUESTION, OUT_CONTROL, OUT_PIECES };

static size_t gather(lua_State *L, struct iovec pieces[PIECES_MOST], int n) {
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        size_t len;
        const char *data = lua_tolstring(L, OUT_PIECES + i, &len);
        pieces[i].iov_base = (void *)(uintptr_t)data; /* not written to */
        pieces[i].iov_len = len;
        total += len;
    }
    return total;
}

static int transmit(lua_State *L, struct task *t, const char *op) {
    const struct sock *s = self(L);
    struct iovec pieces[PIECES_MOST];
    struct msg m = {.pieces = pieces, .npieces = lua_gettop(L) - OUT_CONTROL};
    if (s->io.fd < 0)
        return error_closed_return(L, op, "socket");
    int results = 0;
    if (!lua_isnil(L, OUT_ADDRESS))
        results = socket_take_address(L, t, OUT_ADDRESS, op, &m.addr);
    if (results)
        return results;
    if (must_wait_to_send(t, s))
        return block_wait(L, t, &s->io, LOOP_WRITE);
    size_t len = gather(L, pieces, m.npieces);
    m.control = lua_touserdata(L, OUT_CONTROL);
    m.control_len = m.control ? lua_rawlen(L, OUT_CONTROL) : 0;
    ssize_t n = msg_send(s->io.fd, &m, (int)lua_tointeger(L, OUT_FLAGS));
    if (n == -EAGAIN)
        return send_again(L, t, s);
    if (n < 0)
        return send_failed(L, s, &m.addr, (int)-n, op);
    return push_sent(L, t, s, n, len);
}

static int sendmsg_attempt(lua_State *L, struct task *t) {
    return transmit(L, t, "sendmsg");
}

static int send_fds_attempt(lua_State *L, struct task *t) {
    return transmit(L, t, "send_fds");
}

static const struct verb sendmsg_verb = {"socket:sendmsg", sendmsg_attempt, NULL};
static const struct verb send_fds_verb = {"socket:send_fds", send_fds_attempt, NULL};

/* [-0, +n, v] */
static int push_pieces(lua_State *L, int arg) {
    if (lua_type(L, arg) == LUA_TSTRING) {
        lua_pushvalue(L, arg);
        return 1;
    }
    luaL_argexpected(L, lua_istable(L, arg), arg, "list of strings");
    lua_Unsigned n = lua_rawlen(L, arg);
    luaL_argcheck(L, n <= PIECES_MOST, arg, "more than 1024 pieces");
    luaL_checkstack(L, (int)n, "too many pieces");
    for (lua_Unsigned i = 1; i <= n; i++)
        if (lua_rawgeti(L, arg, (lua_Integer)i) != LUA_TSTRING)
            luaL_argerror(L, arg,
                          lua_pushfstring(L, "piece %I is a %s, not a string", (lua_Integer)i,
                                          luaL_typename(L, -1)));
    return (int)n;
}

static lua_Integer item_number(lua_State *L, int item, int place, const char *name) {
    if (lua_rawgeti(L, item, place) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushstring(L, name);
        lua_rawget(L, item);
    }
    int exact;
    lua_Integer n = lua_tointegerx(L, -1, &exact);
    lua_pop(L, 1);
    return exact && n >= INT_MIN && n <= INT_MAX ? n : -1;
}

/* The i-th of the list at arg; its data stays on the stack. [-0, +1, v] */
static struct msg_item read_item(lua_State *L, int arg, lua_Integer i) {
    struct msg_item item = {0};
    if (lua_rawgeti(L, arg, i) != LUA_TTABLE)
        luaL_argerror(L, arg, lua_pushfstring(L, "item %I is not {level, type, data}", i));
    int at = lua_gettop(L);
    item.level = (int)item_number(L, at, 1, "level");
    item.type = (int)item_number(L, at, 2, "type");
    if (lua_rawgeti(L, at, 3) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushliteral(L, "data");
        lua_rawget(L, at);
    }
    item.data = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &item.len) : NULL;
    if (item.level < 0 || item.type < 0 || !item.data)
        luaL_argerror(L, arg, lua_pushfstring(L, "item %I is not {level, type, data}", i));
    lua_remove(L, at);
    return item;
}

static size_t items_size(lua_State *L, int arg, lua_Integer n) {
    size_t size = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        struct msg_item item = read_item(L, arg, i);
        if (item.len > ANCILLARY_MOST || (size += msg_item_space(item.len)) > ANCILLARY_MOST)
            luaL_argerror(L, arg, "more than a system takes");
        lua_pop(L, 1);
    }
    return size;
}

/* Pushes a userdata with the items, or nil for none. Nothing runs in between that could change
 * them. */
static void push_control(lua_State *L, int arg) {
    lua_Integer n = 0;
    if (!lua_isnoneornil(L, arg)) {
        luaL_argexpected(L, lua_istable(L, arg), arg, "list of {level, type, data}");
        n = (lua_Integer)lua_rawlen(L, arg);
    }
    size_t used = 0, size = items_size(L, arg, n);
    if (!size) {
        lua_pushnil(L);
        return;
    }
    void *control = lua_newuserdatauv(L, size, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        struct msg_item item = read_item(L, arg, i);
        msg_put(control, size, &used, &item);
        lua_pop(L, 1);
    }
}

/* Pushes a userdata with the descriptors listed at arg, or nil for none. */
static void push_rights_of(lua_State *L, int arg) {
    int fds[FDS_MOST];
    struct msg_item item = {.level = SOL_SOCKET, .type = SCM_RIGHTS, .data = (const char *)fds};
    luaL_argexpected(L, lua_istable(L, arg), arg, "list of descriptors");
    lua_Unsigned n = lua_rawlen(L, arg);
    luaL_argcheck(L, n <= FDS_MOST, arg, "more than 1024 descriptors");
    for (lua_Unsigned i = 0; i < n; i++) {
        lua_rawgeti(L, arg, (lua_Integer)i + 1);
        fds[i] = args_to_fileno(L, -1);
        if (fds[i] < 0)
            luaL_argerror(
                L, arg,
                lua_pushfstring(L, "item %I is not an open descriptor", (lua_Integer)i + 1));
        lua_pop(L, 1);
    }
    item.len = n * sizeof(int);
    size_t used = 0, size = n ? msg_item_space(item.len) : 0;
    if (size)
        msg_put(lua_newuserdatauv(L, size, 0), size, &used, &item);
    else
        lua_pushnil(L);
}

static bool all_empty(lua_State *L, int n) {
    for (int i = 0; i < n; i++)
        if (lua_rawlen(L, OUT_PIECES + i))
            return false;
    return true;
}

/* A stream drops, silently, what would travel beside no bytes. */
static int run_transmit(lua_State *L, const struct verb *verb, void (*push)(lua_State *, int)) {
    const struct sock *s = socket_check(L, 1);
    lua_settop(L, OUT_PORT);
    lua_pushinteger(L, socket_check_flags(L, OUT_FLAGS));
    lua_replace(L, OUT_FLAGS);
    lua_pushnil(L);
    push(L, 3);
    int n = push_pieces(L, 2);
    if (s->type == SOCK_STREAM && !lua_isnil(L, OUT_CONTROL) && all_empty(L, n))
        luaL_argerror(L, 2, "a stream carries ancillary data beside one byte at least");
    return block_run(L, verb);
}

/* sendmsg(buffers, ancillary, flags, address) */
static int m_sendmsg(lua_State *L) {
    return run_transmit(L, &sendmsg_verb, push_control);
}

/* send_fds(data, fds, flags, address) */
static int m_send_fds(lua_State *L) {
    luaL_checkstring(L, 2);
    return run_transmit(L, &send_fds_verb, push_rights_of);
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {
    {"sendto", m_sendto}, {"sendmsg", m_sendmsg}, {"send_fds", m_send_fds}, {NULL, NULL}};

void socket_add_sending(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
