/*
 * recvmsglib.c - receiving datagrams and messages: recvfrom recvmsg recv_fds.
 *
 * Each is an attempt in the sense of block.h. What arrives beside the data goes into a box made
 * before the system is asked: until the results are complete the descriptors in it are the box's,
 * which closes them if an error, of memory say, comes between. An empty datagram is an empty
 * string; nil alone is the end of a stream.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "addrlib.h"
#include "block.h"
#include "lib.h"
#include "msg.h"
#include "net.h"
#include "socketlib.h"

#define ANCILLARY_MOST (1024 * 1024) /* bytes; no system gives as many */
#define FDS_MOST 1024                /* Linux passes 253 at most */
#define OTHERS_ROOM 64               /* for what comes before descriptors: credentials */

#define CONTROL "curio.ancillary data"
static char item_key; /* registry: the metatable of ancillary items */

/* For the verbs' attempts, where argument 1 has been checked. */
static struct sock *self(lua_State *L) {
    return lua_touserdata(L, 1);
}

/* ---- boxes of ancillary data ---- */

struct control {
    size_t len; /* of data received and not handed out yet */
    _Alignas(struct cmsghdr) char bytes[];
};

static int mm_gc(lua_State *L) {
    struct control *c = lua_touserdata(L, 1);
    size_t len = c->len;
    c->len = 0;
    msg_close_fds(c->bytes, len, 0);
    return 0;
}

static struct control *control_new(lua_State *L, size_t size) {
    struct control *c = lua_newuserdatauv(L, sizeof *c + size, 0);
    c->len = 0;
    if (luaL_newmetatable(L, CONTROL)) {
        lua_pushcfunction(L, mm_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return c;
}

/* The box at idx, made when it is first needed. */
static struct control *control_at(lua_State *L, int idx, size_t size) {
    struct control *c = lua_touserdata(L, idx);
    if (c)
        return c;
    c = control_new(L, size);
    lua_replace(L, idx);
    return c;
}

/* ---- recvfrom ---- */

/* A stream that is asked for nothing gives it at once; a datagram is waited for all the same. */
static bool wants_nothing(lua_State *L, const struct sock *s) {
    return lua_tointeger(L, 2) == 0 && s->type == SOCK_STREAM;
}

static bool is_end(lua_State *L, const struct sock *s, ssize_t n) {
    return n == 0 && socket_ends(s) && lua_tointeger(L, 2) > 0;
}

static void push_sender(lua_State *L, const struct addr *from) {
    if (from->len)
        addrlib_push(L, from);
    else
        lua_pushnil(L);
}

static int push_end(lua_State *L) {
    lua_pushnil(L);
    return 1;
}

/* [socket, max, flags] */
static int recvfrom_attempt(lua_State *L, struct task *t) {
    const struct sock *s = self(L);
    struct addr from;
    size_t room;
    if (s->io.fd < 0)
        return error_closed_return(L, "recvfrom", "socket");
    if (wants_nothing(L, s)) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (!loop_known_ready(&t->kernel->loop, &s->io, LOOP_READ))
        return block_wait(L, t, &s->io, LOOP_READ);
    char *buf = socket_room(L, t->kernel, s, lua_tointeger(L, 2), &room);
    ssize_t n = net_recvfrom(s->io.fd, buf, room, (int)lua_tointeger(L, 3), &from);
    if (n == -EAGAIN)
        return block_again(L, t, &s->io, LOOP_READ);
    if (n < 0)
        return socket_failed(L, s, (int)-n, "recvfrom");
    if (is_end(L, s, n))
        return push_end(L);
    lua_pushlstring(L, buf, (size_t)n);
    push_sender(L, &from);
    return 2;
}

static const struct verb recvfrom_verb = {"socket:recvfrom", recvfrom_attempt, NULL};

static int m_recvfrom(lua_State *L) {
    socket_check(L, 1);
    lua_Integer max = socket_check_size(L, 2, 0);
    int flags = socket_check_recv_flags(L, 3);
    lua_settop(L, 1);
    lua_pushinteger(L, max);
    lua_pushinteger(L, flags);
    return block_run(L, &recvfrom_verb);
}

/* ---- recvmsg, recv_fds ---- */

/* ROOM: bytes for ancillary data, or the most descriptors. */
enum { IN_SIZE = 2, IN_ROOM, IN_FLAGS, IN_CONTROL };

/* With the data on top: pushes what came beside them, releases what the box held, and returns the
   number of all results. */
typedef int beside(lua_State *L, const struct msg *m, struct control *c);

static int push_nothing(lua_State *L) {
    lua_pushliteral(L, "");
    lua_newtable(L);
    lua_pushinteger(L, 0);
    return 3;
}

static int receive(lua_State *L, struct task *t, const char *op, size_t size, beside *push) {
    const struct sock *s = self(L);
    struct iovec piece;
    if (s->io.fd < 0)
        return error_closed_return(L, op, "socket");
    if (wants_nothing(L, s))
        return push_nothing(L);
    if (!loop_known_ready(&t->kernel->loop, &s->io, LOOP_READ))
        return block_wait(L, t, &s->io, LOOP_READ);
    struct control *c = control_at(L, IN_CONTROL, size);
    piece.iov_base = socket_room(L, t->kernel, s, lua_tointeger(L, IN_SIZE), &piece.iov_len);
    struct msg m = {.pieces = &piece, .npieces = 1, .control = c->bytes, .control_len = size};
    ssize_t n = msg_recv(s->io.fd, &m, (int)lua_tointeger(L, IN_FLAGS));
    if (n == -EAGAIN)
        return block_again(L, t, &s->io, LOOP_READ);
    if (n < 0)
        return socket_failed(L, s, (int)-n, op);
    c->len = m.control_len;
    if (is_end(L, s, n) && !c->len)
        return push_end(L);
    lua_pushlstring(L, piece.iov_base, (size_t)n);
    return push(L, &m, c);
}

static void push_item(lua_State *L, const struct msg_item *item) {
    lua_createtable(L, 3, 0);
    lua_pushinteger(L, item->level);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, item->type);
    lua_rawseti(L, -2, 2);
    lua_pushlstring(L, item->data, item->len);
    lua_rawseti(L, -2, 3);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &item_key);
    lua_setmetatable(L, -2);
}

/* data, list of {level, type, data}, flags, address */
static int push_items(lua_State *L, const struct msg *m, struct control *c) {
    struct msg_item item;
    size_t at = 0;
    lua_newtable(L);
    for (int i = 1; msg_next(c->bytes, c->len, &at, &item); i++) {
        push_item(L, &item);
        lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, m->flags);
    push_sender(L, &m->addr);
    c->len = 0;
    return 4;
}

static int recvmsg_attempt(lua_State *L, struct task *t) {
    return receive(L, t, "recvmsg", (size_t)lua_tointeger(L, IN_ROOM), push_items);
}

/* Descriptors in the list on top, no more than are wanted; how many there were. */
static size_t push_fds(lua_State *L, const struct control *c, size_t most) {
    struct msg_item item;
    size_t at = 0, n = 0;
    while (msg_next(c->bytes, c->len, &at, &item))
        for (size_t i = 0; i < msg_item_fds(&item); i++) {
            if (n++ >= most)
                continue;
            lua_pushinteger(L, msg_item_fd(&item, i));
            lua_rawseti(L, -2, (lua_Integer)n);
        }
    return n;
}

/* data, list of descriptors, flags, address */
static int push_rights(lua_State *L, const struct msg *m, struct control *c) {
    size_t most = (size_t)lua_tointeger(L, IN_ROOM), len = c->len;
    lua_newtable(L);
    size_t n = push_fds(L, c, most);
    lua_pushinteger(L, n > most ? m->flags | MSG_CTRUNC : m->flags);
    push_sender(L, &m->addr);
    c->len = 0;
    msg_close_fds(c->bytes, len, most);
    return 4;
}

/* Other ancillary data may come first, such as the credentials that were asked for. */
static int recv_fds_attempt(lua_State *L, struct task *t) {
    size_t fds = (size_t)lua_tointeger(L, IN_ROOM) * sizeof(int);
    return receive(L, t, "recv_fds", msg_item_space(fds) + msg_item_space(OTHERS_ROOM),
                   push_rights);
}

static const struct verb recvmsg_verb = {"socket:recvmsg", recvmsg_attempt, NULL};
static const struct verb recv_fds_verb = {"socket:recv_fds", recv_fds_attempt, NULL};

static int run_receive(lua_State *L, const struct verb *verb, lua_Integer room) {
    lua_Integer max = socket_check_size(L, 2, 0);
    int flags = socket_check_recv_flags(L, 4);
    lua_settop(L, 1);
    lua_pushinteger(L, max);
    lua_pushinteger(L, room);
    lua_pushinteger(L, flags);
    lua_pushnil(L);
    return block_run(L, verb);
}

/* recvmsg(max, ancsize, flags) */
static int m_recvmsg(lua_State *L) {
    socket_check(L, 1);
    lua_Integer room = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, room >= 0 && room <= ANCILLARY_MOST, 3, "the size must be 0 to 1048576");
    return run_receive(L, &recvmsg_verb, room);
}

/* recv_fds(max, maxfds, flags) */
static int m_recv_fds(lua_State *L) {
    socket_check(L, 1);
    lua_Integer room = luaL_checkinteger(L, 3);
    luaL_argcheck(L, room >= 0 && room <= FDS_MOST, 3, "the number must be 0 to 1024");
    return run_receive(L, &recv_fds_verb, room);
}

/* ---- opening ---- */

static int f_cmsg_len(lua_State *L) {
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= INT_MAX, 1, "no such size");
    lua_pushinteger(L, (lua_Integer)msg_item_len((size_t)n));
    return 1;
}

static int f_cmsg_space(lua_State *L) {
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= INT_MAX, 1, "no such size");
    lua_pushinteger(L, (lua_Integer)msg_item_space((size_t)n));
    return 1;
}

/* item.level, item.type, item.data */
static int item_index(lua_State *L) {
    static const char *const names[] = {"level", "type", "data"};
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    for (int i = 0; i < 3; i++)
        if (!strcmp(lua_tostring(L, 2), names[i])) {
            lua_rawgeti(L, 1, i + 1);
            return 1;
        }
    return 0;
}

static const luaL_Reg methods[] = {
    {"recvfrom", m_recvfrom}, {"recvmsg", m_recvmsg}, {"recv_fds", m_recv_fds}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"CMSG_LEN", f_cmsg_len}, {"CMSG_SPACE", f_cmsg_space}, {NULL, NULL}};

void socket_add_receiving(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}

void socket_add_message_functions(lua_State *L) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, item_index);
    lua_setfield(L, -2, "__index");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &item_key);
    luaL_setfuncs(L, functions, 0);
}
