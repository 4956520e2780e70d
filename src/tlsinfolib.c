/*
 * tlsinfolib.c - what a TLS socket knows: the peer's certificate, the cipher, the version; what it
 * leaves to the plain socket in it; and what the Lua layer needs besides.
 */
#include <stdlib.h>
#include <string.h>

#include "lib.h"
#include "ossl.h"
#include "tlslib.h"

#define SESSION "curio.TLSSession"

/* ---- sessions ---- */

/* A session is of use to the context only that it was made under. */
static int m_session(lua_State *L) {
    const struct tlsock *s = tlsock_check(L, 1);
    if (!s->tls.ssl)
        return 0;
    SSL_SESSION **box = lua_newuserdatauv(L, sizeof(SSL_SESSION *), 1);
    *box = NULL;
    luaL_setmetatable(L, SESSION);
    lua_getiuservalue(L, 1, TLS_UV_CONTEXT);
    lua_setiuservalue(L, -2, 1);
    *box = SSL_get1_session(s->tls.ssl);
    return *box ? 1 : 0;
}

/* _session_context(_, session): the owner of the context it is for; nil: it is no session */
static int m_session_context(lua_State *L) {
    if (!luaL_testudata(L, 2, SESSION))
        return 0;
    lua_getiuservalue(L, 2, 1);
    lua_getiuservalue(L, -1, 1);
    return 1;
}

static int session_gc(lua_State *L) {
    SSL_SESSION **box = luaL_checkudata(L, 1, SESSION);
    if (*box)
        SSL_SESSION_free(*box);
    *box = NULL;
    return 0;
}

/* ---- facts ---- */

/* Only when the handshake is over: before, nothing has been proved. */
static const struct tlsock *connected(lua_State *L, const char *op) {
    const struct tlsock *s = tlsock_open(L, 1, op);
    if (!s || s->tls.connected)
        return s;
    lua_pushnil(L);
    return NULL;
}

/* getpeercert(form): a table, or "der", or "pem"; nil when there is none */
static int m_getpeercert(lua_State *L) {
    static const char *const forms[] = {"table", "der", "pem", NULL};
    static void (*const pushers[])(lua_State *, X509 *) = {tls_push_certificate, tls_push_der,
                                                           tls_push_pem};
    int form = luaL_checkoption(L, 2, "table", forms);
    int top = lua_gettop(L);
    const struct tlsock *s = connected(L, "getpeercert");
    if (!s)
        return lua_gettop(L) - top;
    X509 **box = tls_new_certificate(L);
    *box = SSL_get1_peer_certificate(s->tls.ssl);
    if (!*box)
        return 0;
    pushers[form](L, *box);
    return 1;
}

/* cipher(): name, version, bits */
static int m_cipher(lua_State *L) {
    int top = lua_gettop(L);
    const struct tlsock *s = connected(L, "cipher");
    if (!s)
        return lua_gettop(L) - top;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(s->tls.ssl);
    lua_pushstring(L, SSL_CIPHER_get_name(cipher));
    lua_pushstring(L, SSL_CIPHER_get_version(cipher));
    lua_pushinteger(L, SSL_CIPHER_get_bits(cipher, NULL));
    return 3;
}

static int m_version(lua_State *L) {
    int top = lua_gettop(L);
    const struct tlsock *s = connected(L, "version");
    if (!s)
        return lua_gettop(L) - top;
    lua_pushstring(L, SSL_get_version(s->tls.ssl));
    return 1;
}

static int m_selected_alpn_protocol(lua_State *L) {
    int top = lua_gettop(L);
    const unsigned char *name;
    unsigned len;
    const struct tlsock *s = connected(L, "selected_alpn_protocol");
    if (!s)
        return lua_gettop(L) - top;
    SSL_get0_alpn_selected(s->tls.ssl, &name, &len);
    if (len == 0)
        return 0;
    lua_pushlstring(L, (const char *)name, len);
    return 1;
}

static int m_session_reused(lua_State *L) {
    int top = lua_gettop(L);
    const struct tlsock *s = connected(L, "session_reused");
    if (!s)
        return lua_gettop(L) - top;
    lua_pushboolean(L, SSL_session_reused(s->tls.ssl));
    return 1;
}

/* ---- what the plain socket does ---- */

static int forward(lua_State *L) {
    tlsock_check(L, 1);
    if (lua_getiuservalue(L, 1, TLS_UV_SOCKET) == LUA_TNIL) {
        lua_pushnil(L);
        error_new(L, "OSError", "TLS is not over a socket here");
        return 2;
    }
    lua_replace(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* _forward(name, method): leaves that method to the plain socket */
static int f_forward(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushcclosure(L, forward, 1);
    return 1;
}

/* ---- for the Lua layer ---- */

/* _answer(context): the server goes on with it; false: refuses */
static int m_answer(lua_State *L) {
    struct tlsock *s = tlsock_open(L, 1, "do_handshake");
    if (!s)
        return 2;
    struct tls_context *c = lua_toboolean(L, 2) ? tls_context_check(L, 2) : NULL;
    tls_answer(&s->tls, c);
    lua_settop(L, 2);
    lua_setiuservalue(L, 1, TLS_UV_CHOSEN);
    lua_pushboolean(L, 1);
    return 1;
}

/* _release(): the plain socket, and what was received behind the end of TLS, if anything */
static int m_release(lua_State *L) {
    struct tlsock *s = tlsock_open(L, 1, "unwrap");
    if (!s)
        return 2;
    lua_getiuservalue(L, 1, TLS_UV_SOCKET);
    const struct tls_bytes *in = &s->tls.in;
    if (in->len > in->at)
        lua_pushlstring(L, in->data + in->at, in->len - in->at);
    else
        lua_pushnil(L);
    tls_free(&s->tls);
    s->sock = NULL;
    return 2;
}

/* _context(): the owner of the context that is in force */
static int m_context(lua_State *L) {
    tlsock_check(L, 1);
    if (lua_getiuservalue(L, 1, TLS_UV_CHOSEN) != LUA_TUSERDATA)
        lua_getiuservalue(L, 1, TLS_UV_CONTEXT);
    lua_getiuservalue(L, -1, 1);
    return 1;
}

/* _name(): the server's name */
static int m_name(lua_State *L) {
    tlsock_check(L, 1);
    lua_getiuservalue(L, 1, TLS_UV_NAME);
    return 1;
}

/* _state(): "closed", "new" or "connected"; is it the server; the plain socket */
static int m_state(lua_State *L) {
    const struct tlsock *s = tlsock_check(L, 1);
    lua_pushstring(L, !s->tls.ssl ? "closed" : s->tls.connected ? "connected" : "new");
    lua_pushboolean(L, s->tls.server);
    lua_getiuservalue(L, 1, TLS_UV_SOCKET);
    return 3;
}

/* _update_keys(request): KeyUpdate with the next write */
static int m_update_keys(lua_State *L) {
    struct tlsock *s = tlsock_open(L, 1, "update_keys");
    if (!s)
        return 2;
    int code = tls_update_keys(&s->tls, lua_toboolean(L, 2));
    if (code < 0)
        return tlsock_failed(L, 1, code, "update_keys");
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg methods[] = {
    {"getpeercert", m_getpeercert},
    {"cipher", m_cipher},
    {"version", m_version},
    {"selected_alpn_protocol", m_selected_alpn_protocol},
    {"session_reused", m_session_reused},
    {"_session", m_session},
    {"_session_context", m_session_context},
    {"_forward", f_forward},
    {"_answer", m_answer},
    {"_release", m_release},
    {"_context", m_context},
    {"_name", m_name},
    {"_state", m_state},
    {"_update_keys", m_update_keys},
    {NULL, NULL},
};

void tls_add_facts(lua_State *L) {
    luaL_newmetatable(L, SESSION);
    lua_pushcfunction(L, session_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_setfuncs(L, methods, 0);
}
