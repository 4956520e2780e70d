/*
 * tlsmemlib.c - TLS over something that is no socket: the engine in memory, a step at a time. The
 * Lua layer (curio.ssl.tunnel) moves the bytes with the methods of whatever lies below.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "lib.h"
#include "tls_bio.h"
#include "tlslib.h"

enum { STEP_OP = 2, STEP_ARG };
enum step { STEP_HANDSHAKE, STEP_READ, STEP_WRITE, STEP_SHUT, STEP_END };

static const char *const steps[] = {"handshake", "read", "write", "shut", "end", NULL};

static int again(lua_State *L) {
    lua_pushliteral(L, "again");
    return 1;
}

static int failed(lua_State *L, int code, const char *op) {
    int n = tlsock_failed(L, 1, code, op);
    lua_pushliteral(L, "failed");
    lua_replace(L, -1 - n);
    return n;
}

static int read_step(lua_State *L, struct tlsock *s, struct kernel *k) {
    lua_Integer max = luaL_checkinteger(L, STEP_ARG);
    ssize_t n = tls_read(&s->tls, k->scratch, max < KERNEL_SCRATCH ? (size_t)max : KERNEL_SCRATCH);
    if (n == -EAGAIN)
        return again(L);
    if (n < 0)
        return failed(L, (int)n, "recv");
    lua_pushliteral(L, "done");
    if (n == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, k->scratch, (size_t)n);
    return 2;
}

static int write_step(lua_State *L, struct tlsock *s) {
    size_t len;
    const char *data = luaL_checklstring(L, STEP_ARG, &len);
    ssize_t n = tls_write(&s->tls, data, len);
    if (n < 0)
        return failed(L, (int)n, "send");
    lua_pushliteral(L, "done");
    lua_pushinteger(L, n);
    return 2;
}

static int plain_step(lua_State *L, struct tlsock *s, int code, const char *op) {
    if (code == TLS_ASK_NAME)
        return tlsock_push_asked(L, s);
    if (code == -EAGAIN)
        return again(L);
    if (code < 0)
        return failed(L, code, op);
    lua_pushliteral(L, "done");
    lua_pushboolean(L, 1);
    return 2;
}

static int run_step(lua_State *L, struct tlsock *s, enum step step, struct kernel *k) {
    tlsock_lend(s, k);
    switch (step) {
    case STEP_HANDSHAKE:
        if (s->tls.connected)
            return plain_step(L, s, 0, "do_handshake");
        return plain_step(L, s, tls_handshake(&s->tls), "do_handshake");
    case STEP_READ:
        return read_step(L, s, k);
    case STEP_WRITE:
        return write_step(L, s);
    case STEP_SHUT:
        return plain_step(L, s, tls_shut(&s->tls), "shutdown");
    default:
        return plain_step(L, s, tls_await_end(&s->tls), "unwrap");
    }
}

/* _step(op, arg): "done" and a value, "again" after more input, "servername" and a name, or
   "failed" and an error */
static int m_step(lua_State *L) {
    struct tlsock *s = tlsock_check(L, 1);
    enum step step = (enum step)luaL_checkoption(L, STEP_OP, NULL, steps);
    lua_settop(L, STEP_ARG);
    if (!s->tls.ssl) {
        error_closed_return(L, steps[step], "TLS socket");
        lua_pushliteral(L, "failed");
        lua_replace(L, -3);
        return 2;
    }
    luaL_argcheck(L, !s->sock, 1, "over a socket");
    if (!kernel_current)
        return luaL_error(L, "no curio kernel is running");
    return run_step(L, s, step, kernel_current);
}

/* _feed(data or nil): what was received; nil: the end */
static int m_feed(lua_State *L) {
    size_t len = 0;
    struct tlsock *s = tlsock_check(L, 1);
    const char *data = luaL_optlstring(L, 2, "", &len);
    if (s->tls.ssl && tls_feed(&s->tls, data, len) < 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

/* _drain(): what is to be sent; nil: nothing */
static int m_drain(lua_State *L) {
    struct tlsock *s = tlsock_check(L, 1);
    const struct tls_bytes *out = &s->tls.out;
    if (out->len == out->at)
        return 0;
    lua_pushlstring(L, out->data + out->at, out->len - out->at);
    tls_bytes_drop(&s->tls.out);
    return 1;
}

/* _break(): a write was given up half-way */
static int m_break(lua_State *L) {
    tls_break(&tlsock_check(L, 1)->tls);
    return 0;
}

static const luaL_Reg methods[] = {
    {"_step", m_step}, {"_feed", m_feed}, {"_drain", m_drain}, {"_break", m_break}, {NULL, NULL}};

void tls_add_steps(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
