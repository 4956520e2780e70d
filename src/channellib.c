/*
 * channellib.c - what lua/curio/channel.lua needs of the C side: keyed digests, random bytes, and
 * two errors of the system that a broken message stands for. The cryptography is OpenSSL's.
 */
#include <errno.h>

#include "lib.h"
#include "ossl.h"

static void need_library(lua_State *L) {
    if (!ossl_load())
        luaL_error(L, "channels with a key: %s", ossl_missing());
}

/* hmac(name, key, data): the keyed digest (RFC 2104), or nil where OpenSSL has none of that name */
static int f_hmac(lua_State *L) {
    size_t key_len, len, out_len;
    unsigned char out[EVP_MAX_MD_SIZE];
    const char *name = luaL_checkstring(L, 1);
    const char *key = luaL_checklstring(L, 2, &key_len);
    const char *data = luaL_checklstring(L, 3, &len);
    need_library(L);
    ERR_clear_error();
    if (!EVP_Q_mac(NULL, "HMAC", NULL, name, NULL, key, key_len, (const unsigned char *)data, len,
                   out, sizeof out, &out_len)) {
        ERR_clear_error();
        return 0;
    }
    lua_pushlstring(L, (const char *)out, out_len);
    return 1;
}

/* random(n): n bytes that nobody can guess */
static int f_random(lua_State *L) {
    unsigned char bytes[64];
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= (lua_Integer)sizeof bytes, 1, "too many");
    need_library(L);
    if (RAND_bytes(bytes, (int)n) != 1)
        return luaL_error(L, "there are no random bytes to be had");
    lua_pushlstring(L, (const char *)bytes, (size_t)n);
    return 1;
}

/* equal(a, b): in a time that does not tell where they differ */
static int f_equal(lua_State *L) {
    size_t n, m;
    const char *a = luaL_checklstring(L, 1, &n);
    const char *b = luaL_checklstring(L, 2, &m);
    need_library(L);
    lua_pushboolean(L, n == m && CRYPTO_memcmp(a, b, n) == 0);
    return 1;
}

/* too_long(op, subject), corrupt(op, subject): OSErrors EMSGSIZE and EBADMSG */
static int f_too_long(lua_State *L) {
    error_os(L, EMSGSIZE, luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    return 1;
}

static int f_corrupt(lua_State *L) {
    error_os(L, EBADMSG, luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    return 1;
}

static const luaL_Reg functions[] = {
    {"hmac", f_hmac},         {"random", f_random},   {"equal", f_equal},
    {"too_long", f_too_long}, {"corrupt", f_corrupt}, {NULL, NULL},
};

int open_channellib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
