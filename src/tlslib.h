/*
 * tlslib.h - the Lua objects of TLS, shared by the files that give them methods.
 *
 * A TLS socket is a box with the engine in it; the plain socket that was moved into it is its first
 * user value, so the methods that have nothing to do with TLS are that one's. Over something that
 * is no socket there is none, and the Lua layer moves the bytes.
 */
#ifndef CURIO_TLSLIB_H
#define CURIO_TLSLIB_H

#include <lua.h>

#include "kernel.h"
#include "socketlib.h"
#include "tls.h"

/* User values of a TLS socket. */
enum {
    TLS_UV_SOCKET = 1, /* the plain one; nil: over something else */
    TLS_UV_CONTEXT,    /* the context that it was opened with */
    TLS_UV_CHOSEN,     /* the context that the server name has led to; nil: none */
    TLS_UV_NAME,       /* the server's name, a string; nil: none */
    TLS_UV_COUNT = TLS_UV_NAME
};

struct tlsock {
    struct tls tls;
    struct sock *sock;    /* in the first user value; NULL: over something else */
    const void *tag;      /* as of struct sock */
    const void *taken_of; /* whose bytes tls.taken counts: the data of a send; NULL: a stream's */
};

struct tlsock *tlsock_check(lua_State *L, int arg);
/* An open one; or NULL after pushing nil and a ClosedError. */
struct tlsock *tlsock_open(lua_State *L, int arg, const char *op);

/* Gives an attempt what it needs of the kernel. */
void tlsock_lend(struct tlsock *s, struct kernel *k);

/* Idempotent; tells the peer if that can be done at once, wakes who waits. */
void tlsock_close(struct tlsock *s);

/* Pushes nil and the error for a negative code about the TLS socket at idx; returns 2.
   [-0, +2, m] */
int tlsock_failed(lua_State *L, int idx, int code, const char *op);
/* Pushes what asks the Lua layer for the context of the name that the client wants: "servername"
   and the name or nil; returns 2. [-0, +2, m] */
int tlsock_push_asked(lua_State *L, struct tlsock *s);

/* As tlsock_failed, about something else. */
int tls_failed(lua_State *L, const struct tls_error *e, int code, const char *op,
               const char *subject);

struct tls_context *tls_context_check(lua_State *L, int arg);

struct x509_st;
/* Pushes an empty box, which frees what is put in. [-0, +1, m] */
struct x509_st **tls_new_certificate(lua_State *L);
/* Pushes the certificate as a table, as DER, as PEM. [-0, +1, m] */
void tls_push_certificate(lua_State *L, struct x509_st *cert);
void tls_push_der(lua_State *L, struct x509_st *cert);
void tls_push_pem(lua_State *L, struct x509_st *cert);

/* The other files' shares: what they add to the table on top. [-0, +0, m] */
void tls_add_verbs(lua_State *L);        /* tlsiolib.c, methods */
void tls_add_transport(lua_State *L);    /* tlsiolib.c, metatable */
void tls_add_facts(lua_State *L);        /* tlsinfolib.c, methods */
void tls_add_steps(lua_State *L);        /* tlsmemlib.c, methods */
void tls_add_contexts(lua_State *L);     /* tlscontextlib.c, functions */
void tls_add_certificates(lua_State *L); /* tlscertlib.c, functions */
void tls_add_files(lua_State *L);        /* tlsfilelib.c, functions */

#endif
