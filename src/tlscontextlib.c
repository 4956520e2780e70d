/*
 * tlscontextlib.c - TLS contexts and stores of trust, as curio.ssl's Lua code sees them.
 *
 * Setters return true, or nil and an error; nothing here blocks, reads a file or calls Lua. The
 * names and options that users know are the Lua layer's.
 */
#include <string.h>

#include "lib.h"
#include "ossl.h"
#include "tls_store.h"
#include "tlslib.h"

#define CONTEXT "curio.tls.context"
#define STORE "curio.tls.store"

/* ---- contexts ---- */

struct tls_context *tls_context_check(lua_State *L, int arg) {
    return luaL_checkudata(L, arg, CONTEXT);
}

static int result(lua_State *L, const struct tls_context *c, int code, const char *op,
                  const char *subject) {
    if (code < 0)
        return tls_failed(L, &c->error, code, op, subject);
    lua_pushboolean(L, 1);
    return 1;
}

/* context(server, owner): owner is the Lua layer's object */
static int f_context(lua_State *L) {
    bool server = lua_toboolean(L, 1);
    lua_settop(L, 2);
    struct tls_context *c = lua_newuserdatauv(L, sizeof *c, 1);
    memset(c, 0, sizeof *c);
    luaL_setmetatable(L, CONTEXT);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
    int code = tls_context_open(c, server);
    return code < 0 ? tls_failed(L, &c->error, code, "SSLContext", NULL) : 1;
}

static int context_gc(lua_State *L) {
    tls_context_free(tls_context_check(L, 1));
    return 0;
}

/* set_chain(chain, key, password or nil, subject); false: it takes a password */
static int m_set_chain(lua_State *L) {
    size_t chain_len, key_len;
    struct tls_password password = {0};
    struct tls_context *c = tls_context_check(L, 1);
    const char *chain = luaL_checklstring(L, 2, &chain_len);
    const char *key = luaL_checklstring(L, 3, &key_len);
    password.text = luaL_optlstring(L, 4, NULL, &password.len);
    int code = tls_context_set_chain(c, chain, chain_len, key, key_len, &password);
    if (code < 0 && password.asked && !password.text) {
        lua_pushboolean(L, 0);
        return 1;
    }
    return result(L, c, code, "load_cert_chain", luaL_optstring(L, 5, NULL));
}

/* add_client_names(pem) */
static int m_add_client_names(lua_State *L) {
    size_t len;
    struct tls_context *c = tls_context_check(L, 1);
    const char *pem = luaL_checklstring(L, 2, &len);
    return result(L, c, tls_context_add_client_names(c, pem, len), "load_verify_locations", NULL);
}

static const char *const modes[] = {"none", "optional", "required", NULL};

/* verify(mode or nil): the mode */
static int m_verify(lua_State *L) {
    struct tls_context *c = tls_context_check(L, 1);
    if (!lua_isnoneornil(L, 2))
        tls_context_set_verify(c, (enum tls_verify)luaL_checkoption(L, 2, NULL, modes));
    lua_pushstring(L, modes[tls_context_verify(c)]);
    return 1;
}

static int m_renew(lua_State *L) {
    tls_context_renew(tls_context_check(L, 1));
    return 0;
}

static const struct {
    const char *name;
    unsigned long flag;
} flags[] = {
    {"crl_check_leaf", X509_V_FLAG_CRL_CHECK},
    {"crl_check_chain", X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL},
    {"x509_strict", X509_V_FLAG_X509_STRICT},
    {"partial_chain", X509_V_FLAG_PARTIAL_CHAIN},
};
#define FLAGS (sizeof flags / sizeof flags[0])

/* Of the name on top. */
static unsigned long check_flag(lua_State *L) {
    const char *name = lua_tostring(L, -1);
    for (size_t k = 0; name && k < FLAGS; k++)
        if (!strcmp(flags[k].name, name))
            return flags[k].flag;
    return (unsigned long)luaL_error(L,
                                     "verify_flags: '%s' is none of crl_check_leaf, "
                                     "crl_check_chain, x509_strict, partial_chain",
                                     luaL_tolstring(L, -1, NULL));
}

/* Of the table at idx: a list of names. */
static unsigned long check_flags(lua_State *L, int idx) {
    unsigned long all = X509_V_FLAG_TRUSTED_FIRST;
    lua_Integer n = luaL_len(L, idx);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, idx, i);
        all |= check_flag(L);
        lua_pop(L, 1);
    }
    return all;
}

/* flags(list or nil): the list */
static int m_flags(lua_State *L) {
    struct tls_context *c = tls_context_check(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        int code = tls_context_set_flags(c, check_flags(L, 2));
        if (code < 0)
            return result(L, c, code, "verify_flags", NULL);
    }
    unsigned long set = tls_context_flags(c);
    lua_Integer n = 0;
    lua_newtable(L);
    for (size_t k = 0; k < FLAGS; k++)
        if ((set & flags[k].flag) == flags[k].flag) {
            lua_pushstring(L, flags[k].name);
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

static const char *const versions[] = {"TLSv1.2", "TLSv1.3", NULL};

static int check_version(lua_State *L, int arg) {
    if (lua_isnoneornil(L, arg))
        return 0;
    return TLS1_2_VERSION + luaL_checkoption(L, arg, NULL, versions);
}

static void push_version(lua_State *L, int version) {
    int i = version - TLS1_2_VERSION;
    lua_pushstring(L, i >= 0 && i < 2 ? versions[i] : NULL);
}

/* set_versions(least, most); nil: no bound */
static int m_set_versions(lua_State *L) {
    struct tls_context *c = tls_context_check(L, 1);
    int min = check_version(L, 2), max = check_version(L, 3);
    if (!min)
        min = TLS1_2_VERSION;
    return result(L, c, tls_context_set_versions(c, min, max), "SSLContext", NULL);
}

/* versions(): least, most */
static int m_versions(lua_State *L) {
    int min, max;
    tls_context_versions(tls_context_check(L, 1), &min, &max);
    push_version(L, min);
    push_version(L, max);
    return 2;
}

/* set_ciphers(list or nil, suites or nil) */
static int m_set_ciphers(lua_State *L) {
    struct tls_context *c = tls_context_check(L, 1);
    const char *list = luaL_optstring(L, 2, NULL), *suites = luaL_optstring(L, 3, NULL);
    return result(L, c, tls_context_set_ciphers(c, list, suites), "set_ciphers",
                  list ? list : suites);
}

/* set_alpn(wire) */
static int m_set_alpn(lua_State *L) {
    size_t len;
    struct tls_context *c = tls_context_check(L, 1);
    const char *wire = luaL_checklstring(L, 2, &len);
    return result(L, c, tls_context_set_alpn(c, wire, len), "set_alpn_protocols", NULL);
}

/* set_keylog(path or nil) */
static int m_set_keylog(lua_State *L) {
    struct tls_context *c = tls_context_check(L, 1);
    const char *path = luaL_optstring(L, 2, NULL);
    return result(L, c, tls_context_set_keylog(c, path), "open", path);
}

/* ask(on): connections ask which context to go on with */
static int m_ask(lua_State *L) {
    tls_context_ask(tls_context_check(L, 1), lua_toboolean(L, 2));
    return 0;
}

/* tickets(bytes or nil): true, or the bytes */
static int m_tickets(lua_State *L) {
    char buf[TLS_TICKETS];
    size_t len;
    struct tls_context *c = tls_context_check(L, 1);
    const char *bytes = luaL_optlstring(L, 2, NULL, &len);
    luaL_argcheck(L, !bytes || len == TLS_TICKETS, 2, "not what tickets are made with");
    int code = bytes ? tls_context_set_tickets(c, bytes) : tls_context_get_tickets(c, buf);
    if (code < 0 || bytes)
        return result(L, c, code, "SSLContext", NULL);
    lua_pushlstring(L, buf, sizeof buf);
    return 1;
}

/* ---- stores ---- */

static int f_store(lua_State *L) {
    struct tls_error e = {.trouble = TLS_NO_LIBRARY};
    bool system = lua_toboolean(L, 1), own = lua_toboolean(L, 2);
    X509_STORE **box = lua_newuserdatauv(L, sizeof(X509_STORE *), 0);
    *box = NULL;
    luaL_setmetatable(L, STORE);
    if (ossl_load())
        *box = system ? tls_store_system(own, &e) : tls_store_empty(&e);
    return *box ? 1 : tls_failed(L, &e, TLS_FAILED, "load_verify_locations", NULL);
}

static int store_gc(lua_State *L) {
    X509_STORE **box = luaL_checkudata(L, 1, STORE);
    tls_store_free(*box);
    *box = NULL;
    return 0;
}

/* add(data, subject): true and how many lists of revocations were in it */
static int store_add(lua_State *L) {
    size_t len;
    int crls = 0;
    struct tls_error e = {0};
    X509_STORE **box = luaL_checkudata(L, 1, STORE);
    const char *data = luaL_checklstring(L, 2, &len);
    int code = tls_store_add(*box, data, len, &crls, &e);
    if (code < 0)
        return tls_failed(L, &e, code, "load_verify_locations", luaL_optstring(L, 3, NULL));
    lua_pushboolean(L, 1);
    lua_pushinteger(L, crls);
    return 2;
}

/* add_path(path) */
static int store_add_path(lua_State *L) {
    struct tls_error e = {0};
    X509_STORE **box = luaL_checkudata(L, 1, STORE);
    const char *path = luaL_checkstring(L, 2);
    int code = tls_store_add_path(*box, path, &e);
    if (code < 0)
        return tls_failed(L, &e, code, "load_verify_locations", path);
    lua_pushboolean(L, 1);
    return 1;
}

/* set_trust(store) */
static int m_set_trust(lua_State *L) {
    struct tls_context *c = tls_context_check(L, 1);
    X509_STORE **box = luaL_checkudata(L, 2, STORE);
    tls_context_set_trust(c, *box);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- opening ---- */

static const luaL_Reg context_methods[] = {
    {"set_chain", m_set_chain},
    {"add_client_names", m_add_client_names},
    {"set_trust", m_set_trust},
    {"verify", m_verify},
    {"renew", m_renew},
    {"flags", m_flags},
    {"set_versions", m_set_versions},
    {"versions", m_versions},
    {"set_ciphers", m_set_ciphers},
    {"set_alpn", m_set_alpn},
    {"set_keylog", m_set_keylog},
    {"ask", m_ask},
    {"tickets", m_tickets},
    {NULL, NULL},
};

static const luaL_Reg store_methods[] = {
    {"add", store_add}, {"add_path", store_add_path}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"context", f_context}, {"store", f_store}, {NULL, NULL}};

static void make_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc) {
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void tls_add_contexts(lua_State *L) {
    make_class(L, CONTEXT, context_methods, context_gc);
    make_class(L, STORE, store_methods, store_gc);
    luaL_setfuncs(L, functions, 0);
}
