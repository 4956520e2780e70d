/*
 * tlslib.c - TLS sockets: what they are, how they are made and end.
 */
#include "tlslib.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "block.h"
#include "lib.h"
#include "net.h"

#define NAME "curio.TLSSocket"
#define DRAIN_TURNS 4

static const char tlsock_tag;
static char meta_key; /* registry: the metatable */

/* ---- the box ---- */

struct tlsock *tlsock_check(lua_State *L, int arg) {
    struct tlsock *s = lua_touserdata(L, arg);
    if (s && lua_rawlen(L, arg) == sizeof *s && s->tag == &tlsock_tag)
        return s;
    luaL_typeerror(L, arg, NAME);
    return NULL;
}

struct tlsock *tlsock_open(lua_State *L, int arg, const char *op) {
    struct tlsock *s = tlsock_check(L, arg);
    if (s->tls.ssl)
        return s;
    error_closed_return(L, op, "TLS socket");
    return NULL;
}

/* Without the memory the attempt fails with ENOMEM, if it needs it. */
void tlsock_lend(struct tlsock *s, struct kernel *k) {
    if (!k->work)
        k->work = malloc(TLS_WORK);
    tls_lend(&s->tls, s->sock ? &k->loop : NULL, k->work);
}

/* Who closes with something unread, say with the server's tickets, resets the connection, and what
   it has sent last might be lost on the way: an answer, an alert. */
static void drain(const struct sock *sock) {
    char ignored[2048];
    for (int i = 0; i < DRAIN_TURNS; i++)
        if (net_recv(sock->io.fd, ignored, sizeof ignored, 0) < (ssize_t)sizeof ignored)
            return;
}

void tlsock_close(struct tlsock *s) {
    struct kernel *k = kernel_current;
    if (!s->tls.ssl)
        return;
    if (k)
        tlsock_lend(s, k);
    tls_farewell(&s->tls);
    bool unread = !s->tls.ended && !s->tls.eof && !s->tls.recv_error;
    tls_free(&s->tls);
    if (!s->sock)
        return;
    if (unread && s->sock->io.fd >= 0)
        drain(s->sock);
    socket_close(s->sock);
}

/* ---- errors ---- */

static void set_string(lua_State *L, const char *field, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

/* Of the error on top. */
static void set_facts(lua_State *L, const struct tls_error *e, const char *op,
                      const char *subject) {
    char reason[128];
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    set_string(L, "reason", tls_error_reason(e, reason, sizeof reason));
    set_string(L, "code", reason);
    set_string(L, "op", op);
    set_string(L, "subject", subject);
    if (e->trouble != TLS_UNVERIFIED)
        return;
    lua_pushinteger(L, e->verify);
    lua_setfield(L, -2, "verify_code");
    set_string(L, "verify_message", tls_error_verify_text(e));
}

int tls_failed(lua_State *L, const struct tls_error *e, int code, const char *op,
               const char *subject) {
    if (code != TLS_FAILED)
        return error_os_return(L, -code, op, subject);
    lua_pushnil(L);
    const char *space = subject ? " " : "", *name = subject ? subject : "";
    if (e->trouble == TLS_UNVERIFIED)
        error_new(L, "SSLCertVerificationError", "%s%s%s: %s: %s", op, space, name,
                  tls_error_text(e), tls_error_verify_text(e));
    else
        error_new(L, "SSLError", "%s%s%s: %s", op, space, name, tls_error_text(e));
    set_facts(L, e, op, subject);
    return 2;
}

/* The server's name, or the peer's address. */
static void describe(lua_State *L, int idx, char *buf, size_t size) {
    const struct tlsock *s = lua_touserdata(L, idx);
    struct addr peer;
    buf[0] = '\0';
    if (lua_getiuservalue(L, idx, TLS_UV_NAME) == LUA_TSTRING)
        snprintf(buf, size, "%s", lua_tostring(L, -1));
    else if (s->sock && net_peer(s->sock->io.fd, &peer) == 0 && addr_family(&peer) != AF_UNIX)
        addr_format(&peer, buf, size);
    else if (s->sock)
        snprintf(buf, size, "fd %d", s->sock->io.fd);
    lua_pop(L, 1);
}

int tlsock_failed(lua_State *L, int idx, int code, const char *op) {
    char subject[ADDR_TEXT_MAX + 256];
    const struct tlsock *s = lua_touserdata(L, idx);
    describe(L, idx, subject, sizeof subject);
    return tls_failed(L, &s->tls.error, code, op, subject[0] ? subject : NULL);
}

int tlsock_push_asked(lua_State *L, struct tlsock *s) {
    const char *name;
    int len = tls_name(&s->tls, &name);
    lua_pushliteral(L, "servername");
    if (len < 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, name, (size_t)len);
    return 2;
}

/* ---- making ---- */

/* Who waits on the plain socket is told that it is gone. */
static void release_waiters(const struct sock *s) {
    const struct kernel *k = kernel_current;
    const struct fdent *e = k ? loop_entry(&k->loop, &s->io) : NULL;
    if (e && (loop_waiter(e, LOOP_READ) || loop_waiter(e, LOOP_WRITE)))
        block_release(s->io.fd, false);
}

/* The descriptor with its registration. */
static void move(struct sock *to, struct sock *from) {
    struct io io = from->io;
    from->io.fd = -1;
    to->io = io;
    release_waiters(to);
}

enum {
    WRAP_CONTEXT = 1,
    WRAP_SOCKET,
    WRAP_SERVER,
    WRAP_NAME,
    WRAP_CHECK,
    WRAP_RAGGED,
    WRAP_ALPN,
    WRAP_SESSION
};

/* Every write is a whole flight, or a message: to hold back a small one until the last is
   acknowledged, as after a server's tickets, would only cost time. */
static void send_at_once(const struct sock *s) {
    if (s->type == SOCK_STREAM && s->family != AF_UNIX)
        net_setopt_int(s->io.fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* The name of the peer in the cache of sessions; NULL: none. */
static const char *peer_key(lua_State *L, const struct sock *sock, char *buf, size_t size) {
    char text[ADDR_TEXT_MAX] = "";
    struct addr peer;
    const char *name = lua_tostring(L, WRAP_NAME);
    bool known = sock && net_peer(sock->io.fd, &peer) == 0;
    if (known)
        addr_format(&peer, text, sizeof text);
    if (!known && !name)
        return NULL;
    snprintf(buf, size, "%s|%s", name ? name : "", text);
    return buf;
}

static struct tlsock *push_box(lua_State *L) {
    struct tlsock *s = lua_newuserdatauv(L, sizeof *s, TLS_UV_COUNT);
    memset(s, 0, sizeof *s);
    s->tag = &tlsock_tag;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
    lua_setmetatable(L, -2);
    static const int values[] = {WRAP_CONTEXT, TLS_UV_CONTEXT, WRAP_NAME, TLS_UV_NAME};
    for (int i = 0; i < 4; i += 2) {
        lua_pushvalue(L, values[i]);
        lua_setiuservalue(L, -2, values[i + 1]);
    }
    return s;
}

/* Before the box, so that the collector finishes the box first, which has yet to say farewell. */
static struct sock *push_inner(lua_State *L, bool plain) {
    if (plain)
        return socket_like(L, WRAP_SOCKET);
    lua_pushnil(L);
    return NULL;
}

static void put_inner(lua_State *L, struct tlsock *s, struct sock *inner) {
    s->sock = inner;
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, TLS_UV_SOCKET);
    if (!inner)
        return;
    s->tls.io = &inner->io;
    s->tls.short_is_empty = inner->type == SOCK_STREAM && inner->family != AF_UNIX;
}

static int wrap_failed(lua_State *L, struct tlsock *s, int code) {
    if (code == -EINVAL)
        return luaL_error(L, "wrap_socket: '%s' is not a host name", lua_tostring(L, WRAP_NAME));
    return tls_failed(L, &s->tls.error, code, "wrap_socket", lua_tostring(L, WRAP_NAME));
}

/* A handshake with nobody would never end. */
static bool listens(const struct sock *s) {
    int listening = 0;
    return net_getopt_int(s->io.fd, SOL_SOCKET, SO_ACCEPTCONN, &listening) == 0 && listening;
}

/* wrap(context, socket or nil, server, name, check, ragged, alpn, session): on failure the socket
   stays the caller's. */
static int f_wrap(lua_State *L) {
    char key[ADDR_TEXT_MAX + 256];
    lua_settop(L, WRAP_SESSION);
    struct tls_context *context = tls_context_check(L, WRAP_CONTEXT);
    struct sock *plain =
        lua_isnil(L, WRAP_SOCKET) ? NULL : socket_open(L, WRAP_SOCKET, "wrap_socket");
    if (!plain && !lua_isnil(L, WRAP_SOCKET))
        return 2;
    if (plain && listens(plain))
        return luaL_error(L, "wrap_socket: the socket listens: wrap what it accepts");
    struct ssl_session_st **session = lua_touserdata(L, WRAP_SESSION);
    size_t name_len = 0;
    const char *name = luaL_optlstring(L, WRAP_NAME, NULL, &name_len);
    if (name && strlen(name) != name_len)
        return wrap_failed(L, NULL, -EINVAL);
    struct tls_options opts = {
        .hostname = name,
        .session = session ? *session : NULL,
        .alpn = luaL_optstring(L, WRAP_ALPN, NULL),
        .server = lua_toboolean(L, WRAP_SERVER),
        .check_hostname = lua_toboolean(L, WRAP_CHECK),
        .ragged_ok = lua_toboolean(L, WRAP_RAGGED),
    };
    if (opts.alpn)
        lua_tolstring(L, WRAP_ALPN, &opts.alpn_len);
    if (!opts.server)
        opts.peer = peer_key(L, plain, key, sizeof key);
    struct sock *inner = push_inner(L, plain != NULL);
    struct tlsock *s = push_box(L);
    put_inner(L, s, inner);
    int code = tls_open(&s->tls, context, &opts);
    if (code < 0)
        return wrap_failed(L, s, code);
    if (plain) {
        move(s->sock, plain);
        send_at_once(s->sock);
    }
    return 1;
}

/* ---- ending ---- */

/* Also __close. */
static int m_close(lua_State *L) {
    tlsock_close(tlsock_check(L, 1));
    lua_pushboolean(L, 1);
    return 1;
}

static int mm_gc(lua_State *L) {
    struct tlsock *s = tlsock_check(L, 1);
    tlsock_close(s);
    s->tag = NULL;
    return 0;
}

static int mm_tostring(lua_State *L) {
    char subject[ADDR_TEXT_MAX + 256];
    const struct tlsock *s = tlsock_check(L, 1);
    if (!s->tls.ssl) {
        lua_pushliteral(L, NAME " (closed)");
        return 1;
    }
    describe(L, 1, subject, sizeof subject);
    lua_pushfstring(L, NAME " (%s%s%s)", s->tls.server ? "server" : "client",
                    subject[0] ? ", " : "", subject);
    return 1;
}

/* ---- opening ---- */

/* Methods first; what else there is to know, the Lua layer's function tells. */
static int mm_index(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (lua_getfield(L, lua_upvalueindex(1), "_property") == LUA_TNIL)
        return 1;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 1);
    return 1;
}

static const luaL_Reg metamethods[] = {
    {"__tostring", mm_tostring}, {"__close", m_close}, {"__gc", mm_gc}, {NULL, NULL}};

static const luaL_Reg methods[] = {{"close", m_close}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"wrap", f_wrap}, {NULL, NULL}};

int open_tlslib(lua_State *L) {
    luaL_newlib(L, functions);
    tls_add_contexts(L);
    tls_add_certificates(L);
    tls_add_files(L);
    luaL_newlib(L, methods);
    tls_add_verbs(L);
    tls_add_facts(L);
    tls_add_steps(L);
    lua_newtable(L);
    luaL_setfuncs(L, metamethods, 0);
    lua_pushliteral(L, NAME);
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, mm_index, 1);
    lua_setfield(L, -2, "__index");
    tls_add_transport(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
    lua_setfield(L, -2, "methods");
    return 1;
}
