/*
 * socketlib.c - sockets: what they are, and the methods that never block.
 *
 * The metatable of a kind of socket (see socketlib.h) has an __index table of its own: the methods
 * and three fields. `close`, `__close` and `__gc` are one function, and closing twice is harmless.
 */
#include "socketlib.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "addrlib.h"
#include "block.h"
#include "lib.h"
#include "net.h"

#define NAME "curio.socket"
#define BACKLOG_DEFAULT 128

static const char socket_tag;
static char kinds_key;   /* registry: kind of socket -> metatable */
static char methods_key; /* registry: the methods */

/* ---- the box ---- */

void socket_fill(struct sock *s, int fd) {
    s->io = (struct io){.fd = fd, .gen = loop_generation()};
}

void socket_close(struct sock *s) {
    int fd = s->io.fd;
    if (fd < 0)
        return;
    s->io.fd = -1;
    block_release(fd, true);
    net_close(fd);
}

/* On the hottest path, and looking into the metatable takes four times as long. No other userdata
   has our tag there: whoever makes one does not know it, and memory that was a socket is wiped. */
struct sock *socket_test(lua_State *L, int idx) {
    struct sock *s = lua_touserdata(L, idx);
    return s && lua_rawlen(L, idx) == sizeof *s && s->tag == &socket_tag ? s : NULL;
}

struct sock *socket_check(lua_State *L, int arg) {
    struct sock *s = socket_test(L, arg);
    if (s)
        return s;
    luaL_typeerror(L, arg, NAME);
    return NULL;
}

struct sock *socket_open(lua_State *L, int arg, const char *op) {
    struct sock *s = socket_check(L, arg);
    if (s->io.fd >= 0)
        return s;
    error_closed_return(L, op, "socket");
    return NULL;
}

int socket_failed(lua_State *L, const struct sock *s, int err, const char *op) {
    char text[ADDR_TEXT_MAX];
    struct addr peer;
    if (net_peer(s->io.fd, &peer) == 0 && addr_family(&peer) != AF_UNIX)
        addr_format(&peer, text, sizeof text);
    else
        snprintf(text, sizeof text, "fd %d", s->io.fd);
    return error_os_return(L, err, op, text);
}

static int push_true(lua_State *L) {
    lua_pushboolean(L, 1);
    return 1;
}

static int success_or(lua_State *L, const struct sock *s, int result, const char *op) {
    return result < 0 ? socket_failed(L, s, -result, op) : push_true(L);
}

/* ---- what never blocks ---- */

static int m_listen(lua_State *L) {
    lua_Integer backlog = luaL_optinteger(L, 2, BACKLOG_DEFAULT);
    luaL_argcheck(L, backlog >= 0 && backlog <= INT_MAX, 2, "not a length of a queue");
    const struct sock *s = socket_open(L, 1, "listen");
    return s ? success_or(L, s, net_listen(s->io.fd, (int)backlog), "listen") : 2;
}

int socket_check_how(lua_State *L, int arg) {
    static const char *const names[] = {"rd", "wr", "rdwr", NULL};
    static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
    if (!lua_isinteger(L, arg))
        return hows[luaL_checkoption(L, arg, NULL, names)];
    lua_Integer how = lua_tointeger(L, arg);
    luaL_argcheck(L, how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR, arg,
                  "not one of SHUT_RD, SHUT_WR, SHUT_RDWR");
    return (int)how;
}

static int m_shutdown(lua_State *L) {
    int how = socket_check_how(L, 2);
    const struct sock *s = socket_open(L, 1, "shutdown");
    return s ? success_or(L, s, net_shutdown(s->io.fd, how), "shutdown") : 2;
}

/* Also __close. */
static int m_close(lua_State *L) {
    socket_close(socket_check(L, 1));
    return push_true(L);
}

static int mm_gc(lua_State *L) {
    struct sock *s = socket_check(L, 1);
    socket_close(s);
    s->tag = NULL;
    return 0;
}

static int m_fileno(lua_State *L) {
    const struct sock *s = socket_open(L, 1, "fileno");
    if (!s)
        return 2;
    lua_pushinteger(L, s->io.fd);
    return 1;
}

static int m_detach(lua_State *L) {
    struct sock *s = socket_open(L, 1, "detach");
    if (!s)
        return 2;
    int fd = s->io.fd;
    s->io.fd = -1;
    block_release(fd, false);
    lua_pushinteger(L, fd);
    return 1;
}

static int push_name(lua_State *L, int (*ask)(int, struct addr *), const char *op) {
    const struct sock *s = socket_open(L, 1, op);
    struct addr a;
    if (!s)
        return 2;
    int err = ask(s->io.fd, &a);
    if (err < 0)
        return socket_failed(L, s, -err, op);
    addrlib_push(L, &a);
    return 1;
}

static int m_getsockname(lua_State *L) {
    return push_name(L, net_name, "getsockname");
}

static int m_getpeername(lua_State *L) {
    return push_name(L, net_peer, "getpeername");
}

static int mm_tostring(lua_State *L) {
    const struct sock *s = socket_check(L, 1);
    char name[ADDR_TEXT_MAX] = "?", peer[ADDR_TEXT_MAX];
    struct addr a;
    if (s->io.fd < 0) {
        lua_pushliteral(L, NAME " (closed)");
        return 1;
    }
    if (net_name(s->io.fd, &a) == 0)
        addr_format(&a, name, sizeof name);
    lua_pushfstring(L, NAME " (fd %d, %s", s->io.fd, name);
    if (net_peer(s->io.fd, &a) == 0) {
        addr_format(&a, peer, sizeof peer);
        lua_pushfstring(L, " - %s)", peer);
    } else {
        lua_pushliteral(L, ")");
    }
    lua_concat(L, 2);
    return 1;
}

/* ---- kinds ---- */

static const luaL_Reg metamethods[] = {
    {"__tostring", mm_tostring}, {"__close", m_close}, {"__gc", mm_gc}, {NULL, NULL}};

static void set_integer(lua_State *L, const char *field, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

/* Copies, so that one lookup finds them; what is added to the methods later is found by __index.
   [-0, +1, m] */
static void push_fields(lua_State *L, int family, int type, int proto) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &methods_key);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -6);
    }
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    set_integer(L, "family", family);
    set_integer(L, "type", type);
    set_integer(L, "proto", proto);
}

static void push_metatable(lua_State *L, int family, int type, int proto) {
    lua_newtable(L);
    luaL_setfuncs(L, metamethods, 0);
    socket_add_transport(L);
    lua_pushliteral(L, NAME);
    lua_setfield(L, -2, "__name");
    push_fields(L, family, type, proto);
    lua_setfield(L, -2, "__index");
}

static void push_kind(lua_State *L, int family, int type, int proto) {
    lua_Integer key = ((lua_Integer)proto << 32) ^ ((lua_Integer)type << 16) ^ family;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &kinds_key);
    if (lua_rawgeti(L, -1, key) == LUA_TNIL) {
        lua_pop(L, 1);
        push_metatable(L, family, type, proto);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, key);
    }
    lua_remove(L, -2);
}

static struct sock *push_box(lua_State *L, int family, int type, int proto) {
    struct sock *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (struct sock){{-1, 0}, family, type, proto, &socket_tag};
    return s;
}

struct sock *socket_new(lua_State *L, int family, int type, int proto) {
    struct sock *s = push_box(L, family, type, proto);
    push_kind(L, family, type, proto);
    lua_setmetatable(L, -2);
    return s;
}

struct sock *socket_like(lua_State *L, int idx) {
    const struct sock *s = lua_touserdata(L, idx);
    struct sock *box = push_box(L, s->family, s->type, s->proto);
    lua_getmetatable(L, idx);
    lua_setmetatable(L, -2);
    return box;
}

/* ---- making sockets ---- */

static int check_number(lua_State *L, int arg, int def) {
    lua_Integer n = luaL_optinteger(L, arg, def);
    luaL_argcheck(L, n >= 0 && n <= INT_MAX, arg, lua_pushfstring(L, "no such constant: %I", n));
    return (int)n;
}

/* The flags that Linux lets a type carry are always set. */
static int check_type(lua_State *L, int arg) {
    int type = check_number(L, arg, SOCK_STREAM);
#ifdef SOCK_CLOEXEC
    type &= ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
#endif
    return type;
}

static int making_failed(lua_State *L, const struct sock *s, int err, const char *op) {
    char text[64];
    snprintf(text, sizeof text, "family %d, type %d, protocol %d", s->family, s->type, s->proto);
    return error_os_return(L, err, op, text);
}

static int f_socket(lua_State *L) {
    int family = check_number(L, 1, AF_INET), type = check_type(L, 2);
    struct sock *s = socket_new(L, family, type, check_number(L, 3, 0));
    int fd = net_socket(s->family, s->type, s->proto);
    if (fd < 0)
        return making_failed(L, s, -fd, "socket");
    socket_fill(s, fd);
    return 1;
}

static int f_socketpair(lua_State *L) {
    int fds[2], family = check_number(L, 1, AF_UNIX), type = check_type(L, 2);
    int proto = check_number(L, 3, 0);
    struct sock *a = socket_new(L, family, type, proto);
    struct sock *b = socket_new(L, family, type, proto);
    int err = net_pair(family, type, proto, fds);
    if (err < 0)
        return making_failed(L, a, -err, "socketpair");
    socket_fill(a, fds[0]);
    socket_fill(b, fds[1]);
    return 2;
}

static int fromfd_failed(lua_State *L, int fd, int err) {
    char text[32];
    snprintf(text, sizeof text, "fd %d", fd);
    return error_os_return(L, err, "fromfd", text);
}

/* Nothing is changed about the descriptor unless it is a socket. */
static int f_fromfd(lua_State *L) {
    lua_Integer number = luaL_checkinteger(L, 1);
    luaL_argcheck(L, number >= INT_MIN && number <= INT_MAX, 1, "not a descriptor");
    int fd = (int)number, family, type, proto;
    int err = net_info(fd, &family, &type, &proto);
    if (err < 0)
        return fromfd_failed(L, fd, -err);
    struct sock *s = socket_new(L, family, type, proto);
    err = net_nonblock(fd, 1);
    if (err >= 0)
        err = net_cloexec(fd);
    if (err < 0)
        return fromfd_failed(L, fd, -err);
    socket_fill(s, fd);
    return 1;
}

/* close(fd): of a descriptor that is a number, as recv_fds gives; wakes who waits on it. */
static int f_close(lua_State *L) {
    char text[32];
    lua_Integer fd = luaL_checkinteger(L, 1);
    luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "not a descriptor");
    block_release((int)fd, true);
    int err = net_close((int)fd);
    if (err == 0)
        return push_true(L);
    snprintf(text, sizeof text, "fd %d", (int)fd);
    return error_os_return(L, -err, "close", text);
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {
    {"listen", m_listen},
    {"shutdown", m_shutdown},
    {"close", m_close},
    {"fileno", m_fileno},
    {"detach", m_detach},
    {"getsockname", m_getsockname},
    {"getpeername", m_getpeername},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"socket", f_socket}, {"socketpair", f_socketpair}, {"fromfd", f_fromfd}, {"close", f_close},
    {NULL, NULL},
};

/* Leaves functions and constants; in .methods what every socket can do, to which the Lua layer
   adds; in .address the metatable of addresses. */
int open_socketlib(lua_State *L) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &kinds_key);
    luaL_newlib(L, functions);
    socket_add_constants(L);
    socket_add_message_functions(L);
    open_addrlib(L);
    lua_setfield(L, -2, "address");
    luaL_newlib(L, methods);
    socket_add_verbs(L);
    socket_add_addressed(L);
    socket_add_receiving(L);
    socket_add_sending(L);
    socket_add_sendfile(L);
    socket_add_options(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &methods_key);
    lua_setfield(L, -2, "methods");
    return 1;
}
