/*
 * tlscertlib.c - certificates as Lua sees them: a table in the shape of Python's getpeercert, DER,
 * or PEM.
 *
 * What OpenSSL allocates stands in a box with a finaliser before Lua can raise.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib.h"
#include "ossl.h"
#include "tlslib.h"

#define CERTIFICATE "curio.certificate"
#define OPENSSL_MEMORY "curio.certificate.memory"
#define PEM_LINE 48 /* bytes, 64 characters */

/* ---- boxes ---- */

static int certificate_gc(lua_State *L) {
    X509 **box = lua_touserdata(L, 1);
    if (*box)
        X509_free(*box);
    *box = NULL;
    return 0;
}

/* What is freed how. */
struct memory {
    void *data;
    void (*free)(void *);
};

static int memory_gc(lua_State *L) {
    struct memory *m = lua_touserdata(L, 1);
    if (m->data)
        m->free(m->data);
    m->data = NULL;
    return 0;
}

static void set_gc(lua_State *L, const char *name, lua_CFunction gc) {
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
}

X509 **tls_new_certificate(lua_State *L) {
    X509 **box = lua_newuserdatauv(L, sizeof(X509 *), 0);
    *box = NULL;
    set_gc(L, CERTIFICATE, certificate_gc);
    return box;
}

static struct memory *new_memory(lua_State *L, void (*free)(void *)) {
    struct memory *m = lua_newuserdatauv(L, sizeof *m, 0);
    *m = (struct memory){NULL, free};
    set_gc(L, OPENSSL_MEMORY, memory_gc);
    return m;
}

static void free_bytes(void *data) {
    OPENSSL_free(data);
}

static void free_names(void *data) {
    GENERAL_NAMES_free(data);
}

static void free_number(void *data) {
    BN_free(data);
}

/* ---- forms ---- */

void tls_push_der(lua_State *L, X509 *cert) {
    struct memory *m = new_memory(L, free_bytes);
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    m->data = der;
    lua_pushlstring(L, (const char *)der, len > 0 ? (size_t)len : 0);
    lua_remove(L, -2);
}

/* [-0, +1, m] */
static void push_pem(lua_State *L, const unsigned char *der, size_t len) {
    unsigned char line[PEM_LINE / 3 * 4 + 1];
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "-----BEGIN CERTIFICATE-----\n");
    for (size_t at = 0; at < len; at += PEM_LINE) {
        size_t part = len - at < PEM_LINE ? len - at : PEM_LINE;
        int n = EVP_EncodeBlock(line, der + at, (int)part);
        luaL_addlstring(&b, (const char *)line, (size_t)n);
        luaL_addchar(&b, '\n');
    }
    luaL_addstring(&b, "-----END CERTIFICATE-----\n");
    luaL_pushresult(&b);
}

void tls_push_pem(lua_State *L, X509 *cert) {
    size_t len;
    tls_push_der(L, cert);
    const char *der = lua_tolstring(L, -1, &len);
    push_pem(L, (const unsigned char *)der, len);
    lua_remove(L, -2);
}

/* ---- the table ---- */

/* Pushes the kind of an attribute: its long name, or its number. */
static void push_kind(lua_State *L, const ASN1_OBJECT *object) {
    char text[80];
    int nid = OBJ_obj2nid(object);
    if (nid != NID_undef) {
        lua_pushstring(L, OBJ_nid2ln(nid));
        return;
    }
    OBJ_obj2txt(text, sizeof text, object, 1);
    lua_pushstring(L, text);
}

static void push_utf8(lua_State *L, const ASN1_STRING *value) {
    struct memory *m = new_memory(L, free_bytes);
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, value);
    m->data = text;
    lua_pushlstring(L, (const char *)text, len > 0 ? (size_t)len : 0);
    lua_remove(L, -2);
}

/* {{"commonName", "x"}, ...}, with the first of each kind under its name too */
static void push_name(lua_State *L, const X509_NAME *name) {
    lua_newtable(L);
    int n = X509_NAME_entry_count(name);
    for (int i = 0; i < n; i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        lua_createtable(L, 2, 0);
        push_kind(L, X509_NAME_ENTRY_get_object(entry));
        push_utf8(L, X509_NAME_ENTRY_get_data(entry));
        lua_pushvalue(L, -2);
        if (lua_rawget(L, -5) == LUA_TNIL) {
            lua_pushvalue(L, -3);
            lua_pushvalue(L, -3);
            lua_rawset(L, -7);
        }
        lua_pop(L, 1);
        lua_rawseti(L, -3, 2);
        lua_rawseti(L, -2, 1);
        lua_rawseti(L, -2, i + 1);
    }
}

/* As Python writes it, whatever the locale. */
static void push_time(lua_State *L, const ASN1_TIME *time) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[64];
    struct tm tm;
    if (!ASN1_TIME_to_tm(time, &tm)) {
        lua_pushnil(L);
        return;
    }
    snprintf(text, sizeof text, "%.3s %2d %02d:%02d:%02d %d GMT", months + 3 * tm.tm_mon,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
    lua_pushstring(L, text);
}

static void push_serial(lua_State *L, const X509 *cert) {
    struct memory *number = new_memory(L, free_number), *text = new_memory(L, free_bytes);
    number->data = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    text->data = number->data ? BN_bn2hex(number->data) : NULL;
    lua_pushstring(L, text->data);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void push_ip(lua_State *L, const ASN1_STRING *address) {
    char text[INET6_ADDRSTRLEN] = "?";
    int len = ASN1_STRING_length(address);
    const unsigned char *bytes = ASN1_STRING_get0_data(address);
    if (len == 4 || len == 16)
        inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
    lua_pushstring(L, text);
}

static void push_bytes(lua_State *L, const ASN1_STRING *text) {
    lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

/* Pushes the kind and the value; nothing for kinds that nobody asks for. */
static bool push_general_name(lua_State *L, const GENERAL_NAME *name) {
    static const char *const kinds[] = {[GEN_EMAIL] = "email",
                                        [GEN_DNS] = "DNS",
                                        [GEN_URI] = "URI",
                                        [GEN_IPADD] = "IP Address",
                                        [GEN_DIRNAME] = "DirName"};
    if (name->type < 0 || name->type > GEN_IPADD || !kinds[name->type])
        return false;
    lua_pushstring(L, kinds[name->type]);
    if (name->type == GEN_IPADD)
        push_ip(L, name->d.iPAddress);
    else if (name->type == GEN_DIRNAME)
        push_name(L, name->d.directoryName);
    else
        push_bytes(L, name->d.ia5);
    return true;
}

/* {{"DNS", "x"}, {"IP Address", "127.0.0.1"}, ...}, or nil */
static void push_alternatives(lua_State *L, const X509 *cert) {
    struct memory *m = new_memory(L, free_names);
    const GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    m->data = (void *)names;
    if (!names) {
        lua_pop(L, 1);
        lua_pushnil(L);
        return;
    }
    lua_newtable(L);
    lua_Integer n = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        lua_createtable(L, 2, 0);
        if (!push_general_name(L, sk_GENERAL_NAME_value(names, i))) {
            lua_pop(L, 1);
            continue;
        }
        lua_rawseti(L, -3, 2);
        lua_rawseti(L, -2, 1);
        lua_rawseti(L, -2, ++n);
    }
    lua_remove(L, -2);
}

void tls_push_certificate(lua_State *L, X509 *cert) {
    luaL_checkstack(L, 20, "certificate");
    lua_createtable(L, 0, 8);
    push_name(L, X509_get_subject_name(cert));
    lua_setfield(L, -2, "subject");
    push_name(L, X509_get_issuer_name(cert));
    lua_setfield(L, -2, "issuer");
    push_alternatives(L, cert);
    lua_setfield(L, -2, "subjectAltName");
    push_time(L, X509_get0_notBefore(cert));
    lua_setfield(L, -2, "notBefore");
    push_time(L, X509_get0_notAfter(cert));
    lua_setfield(L, -2, "notAfter");
    push_serial(L, cert);
    lua_setfield(L, -2, "serialNumber");
    lua_pushinteger(L, X509_get_version(cert) + 1);
    lua_setfield(L, -2, "version");
    lua_pushinteger(L, EVP_PKEY_get_bits(X509_get0_pubkey(cert)));
    lua_setfield(L, -2, "keyBits");
    ERR_clear_error(); /* odd extensions leave errors behind */
}

/* ---- for those that are in no connection ---- */

static X509 *parse(const char *data, size_t len) {
    const unsigned char *p = (const unsigned char *)data;
    if (len > 0 && *p == 0x30)
        return d2i_X509(NULL, &p, (long)len);
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return cert;
}

/* certificate(text, form): of PEM or DER */
static int f_certificate(lua_State *L) {
    static const char *const forms[] = {"table", "der", "pem", NULL};
    static void (*const pushers[])(lua_State *, X509 *) = {tls_push_certificate, tls_push_der,
                                                           tls_push_pem};
    struct tls_error e = {.trouble = TLS_NO_LIBRARY};
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    int form = luaL_checkoption(L, 2, "table", forms);
    luaL_argcheck(L, len < 1 << 24, 1, "too long for a certificate");
    if (!ossl_load())
        return tls_failed(L, &e, TLS_FAILED, "certificate", NULL);
    X509 **box = tls_new_certificate(L);
    ERR_clear_error();
    *box = parse(data, len);
    if (!*box) {
        e = tls_error_take();
        return tls_failed(L, &e, TLS_FAILED, "certificate", NULL);
    }
    pushers[form](L, *box);
    return 1;
}

static int f_library(lua_State *L) {
    if (ossl_load())
        lua_pushstring(L, OpenSSL_version(OPENSSL_VERSION));
    else
        lua_pushnil(L);
    return 1;
}

/* environment(name): nil too in a program with more rights than its user, who sets it */
static int f_environment(lua_State *L) {
    lua_pushstring(L, secure_getenv(luaL_checkstring(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {{"certificate", f_certificate},
                                     {"library", f_library},
                                     {"environment", f_environment},
                                     {NULL, NULL}};

void tls_add_certificates(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
