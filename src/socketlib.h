/*
 * socketlib.h - the Lua object "curio.socket", shared by the files that give it methods.
 *
 * A socket is a box that holds a descriptor or none: the box is made closed, the descriptor comes
 * second, and closing empties the box first. Sockets of one family, type and protocol share a
 * metatable, made when the first of them is; so .family, .type and .proto are plain fields beside
 * the methods, and looking up a method never runs a function.
 */
#ifndef CURIO_SOCKETLIB_H
#define CURIO_SOCKETLIB_H

#include <lua.h>

#include "addr.h"
#include "kernel.h"
#include "loop.h"
#include "task.h"

struct transport;

struct sock {
    struct io io; /* first: fd is -1 when closed or detached */
    int family;
    int type;
    int proto;
    const void *tag; /* socket_tag, as long as it is one: tells it from other userdata, quickly */
};

/* NULL: it is something else. */
struct sock *socket_test(lua_State *L, int idx);

/* Argument check: any socket, and one that is open or else NULL after pushing nil and a
 * ClosedError. */
struct sock *socket_check(lua_State *L, int arg);
struct sock *socket_open(lua_State *L, int arg, const char *op);

/* Pushes a closed one. [-0, +1, m] */
struct sock *socket_new(lua_State *L, int family, int type, int proto);

/* Pushes a closed one of the kind of the socket at idx. [-0, +1, m] */
struct sock *socket_like(lua_State *L, int idx);

/* Puts a new descriptor into a closed one. */
void socket_fill(struct sock *s, int fd);

/* Argument check of shutdown: "rd", "wr", "rdwr" or SHUT_*. */
int socket_check_how(lua_State *L, int arg);

/* Idempotent; wakes who waits. */
void socket_close(struct sock *s);

/* Pushes nil and an OSError about the socket; returns 2. */
int socket_failed(lua_State *L, const struct sock *s, int err, const char *op);

/* Does receiving nothing mean that there is no more, or is that an empty datagram? */
static inline bool socket_ends(const struct sock *s) {
    return s->type == SOCK_STREAM || s->type == SOCK_SEQPACKET;
}

/* In an attempt: where to receive up to max bytes, *room of them: the kernel's scratch buffer, or,
   rarely, a userdata pushed for a datagram that would be cut off there. [-0, +(0|1), m] */
char *socket_room(lua_State *L, struct kernel *k, const struct sock *s, lua_Integer max,
                  size_t *room);

/* Argument checks: bytes to receive (65,536 by default), flags (0), those for receiving. */
lua_Integer socket_check_size(lua_State *L, int arg, lua_Integer least);
int socket_check_flags(lua_State *L, int arg);
int socket_check_recv_flags(lua_State *L, int arg);

/* In an attempt, of the address at idx and perhaps idx + 1 (as addrlib_check); idx + 2 is its own,
   nil at first. 0: *a is the address. BLOCK_PARKED: asleep until its host's name is resolved. Else:
   that many results, nil and an error. */
int socket_take_address(lua_State *L, struct task *t, int idx, const char *op, struct addr *a);

/* The socket that a transport of that kind works on; NULL: it is of another kind. */
struct sock *socket_of_transport(const struct transport *via, void *self);

/* The other files' shares: what they add to the table on top. [-0, +0, m] */
void socket_add_verbs(lua_State *L);     /* sockiolib.c, methods */
void socket_add_addressed(lua_State *L); /* sockaddrlib.c, methods */
void socket_add_receiving(lua_State *L); /* recvmsglib.c, methods */
void socket_add_sending(lua_State *L);   /* sendmsglib.c, methods */
void socket_add_sendfile(lua_State *L);  /* sendfilelib.c, methods */
void socket_add_message_functions(lua_State *L);
void socket_add_options(lua_State *L);   /* sockoptlib.c, methods */
void socket_add_transport(lua_State *L); /* sockstreamlib.c, to a metatable */
void socket_add_constants(lua_State *L); /* sockconstlib.c */

#endif
