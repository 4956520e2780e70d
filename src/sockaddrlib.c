/*
 * sockaddrlib.c - the verbs of a socket that are given an address, bind and connect, and how an
 * address that is a host's name becomes a numeric one.
 *
 * The name is asked for while the verb sleeps; the address found then takes the name's place among
 * the arguments, so that what follows never sees a name.
 */
#include <errno.h>

#include "addrlib.h"
#include "block.h"
#include "clock.h"
#include "lib.h"
#include "net.h"
#include "resolvelib.h"
#include "socketlib.h"

#define RETRY_SECONDS 0.01 /* a Unix socket's full backlog gives no event */

/* The last: the question for the host's address while it is asked, then, of connect, the text of
   the address once connecting has begun. */
enum { TO_ADDRESS = 2, TO_PORT, TO_PROGRESS };

/* For the verbs' attempts, where argument 1 has been checked. */
static struct sock *self(lua_State *L) {
    return lua_touserdata(L, 1);
}

static int push_true(lua_State *L) {
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- addresses ---- */

static struct question *ask_for(lua_State *L, const struct sock *s, int idx) {
    struct addrinfo hints = {.ai_family = s->family, .ai_socktype = s->type};
    addrlib_push_name(L, idx);
    const char *service = lua_tostring(L, -1); /* a number becomes a text */
    struct question *q = question_addrinfo(L, lua_tostring(L, -2), service, &hints);
    lua_replace(L, idx + 2);
    lua_pop(L, 2);
    return q;
}

static const char *asked_host(const struct question *q) {
    return q->r && q->r->node ? q->r->node : "(no host)";
}

/* Asks for the address of a host that was given by name; it then stands in the name's place. */
static int resolve_address(lua_State *L, struct task *t, int idx, struct addr *a) {
    struct question *q = lua_touserdata(L, idx + 2);
    if (!q)
        q = ask_for(L, self(L), idx);
    int result = question_ask(t, q);
    if (result == BLOCK_PARKED)
        return BLOCK_PARKED;
    if (result)
        return error_os_return(L, result, "getaddrinfo", asked_host(q));
    if (q->r->eai)
        return question_failed(L, q, "getaddrinfo", asked_host(q));
    addr_copy(a, q->r->list->ai_addr, q->r->list->ai_addrlen);
    addrlib_push(L, a);
    lua_replace(L, idx);
    for (int i = idx + 1; i <= idx + 2; i++) {
        lua_pushnil(L);
        lua_replace(L, i);
    }
    return 0;
}

int socket_take_address(lua_State *L, struct task *t, int idx, const char *op, struct addr *a) {
    int result = addrlib_check(L, idx, self(L)->family, a);
    if (result == ADDR_NAME)
        return resolve_address(L, t, idx, a);
    return result < 0 ? error_os_return(L, -result, op, "the address given") : 0;
}

/* ---- bind(address) ---- */

static int do_bind(lua_State *L, const struct sock *s, const struct addr *a) {
    char text[ADDR_TEXT_MAX];
    int err = net_bind(s->io.fd, a);
    if (err == 0)
        return push_true(L);
    addr_format(a, text, sizeof text);
    return error_os_return(L, -err, "bind", text);
}

static int bind_attempt(lua_State *L, struct task *t) {
    const struct sock *s = self(L);
    struct addr a;
    if (s->io.fd < 0)
        return error_closed_return(L, "bind", "socket");
    int n = socket_take_address(L, t, TO_ADDRESS, "bind", &a);
    return n ? n : do_bind(L, s, &a);
}

static const struct verb bind_verb = {"socket:bind", bind_attempt, NULL};

/* Blocks for a host name only. */
static int m_bind(lua_State *L) {
    const struct sock *s = socket_open(L, 1, "bind");
    struct addr a;
    if (!s)
        return 2;
    lua_settop(L, TO_PROGRESS);
    if (addrlib_check(L, TO_ADDRESS, s->family, &a) == 0)
        return do_bind(L, s, &a);
    return block_run(L, &bind_verb);
}

/* ---- connect(address) ---- */

/* Nothing has begun, and nothing will tell when it can. */
static int connect_later(struct task *t) {
    int64_t then = clock_after(t->kernel->now, RETRY_SECONDS);
    task_sleep(t, "WRITE_WAIT", task_unlink, NULL, then);
    return BLOCK_PARKED;
}

static int connect_begin(lua_State *L, struct task *t, const struct sock *s, const struct addr *a) {
    char text[ADDR_TEXT_MAX];
    int err = net_connect(s->io.fd, a);
    if (err == 0)
        return push_true(L);
    if (err == -EAGAIN)
        return connect_later(t);
    addr_format(a, text, sizeof text);
    if (err != -EINPROGRESS)
        return error_os_return(L, -err, "connect", text);
    lua_pushstring(L, text);
    lua_replace(L, TO_PROGRESS);
    return block_wait(L, t, &s->io, LOOP_WRITE);
}

static int connect_end(lua_State *L, struct task *t, const struct sock *s) {
    int err = net_connect_result(s->io.fd);
    if (err == -EINPROGRESS)
        return block_again(L, t, &s->io, LOOP_WRITE);
    if (err < 0)
        return error_os_return(L, -err, "connect", lua_tostring(L, TO_PROGRESS));
    return push_true(L);
}

static int connect_attempt(lua_State *L, struct task *t) {
    const struct sock *s = self(L);
    struct addr a;
    if (s->io.fd < 0)
        return error_closed_return(L, "connect", "socket");
    if (lua_type(L, TO_PROGRESS) == LUA_TSTRING)
        return connect_end(L, t, s);
    int n = socket_take_address(L, t, TO_ADDRESS, "connect", &a);
    return n ? n : connect_begin(L, t, s, &a);
}

static const struct verb connect_verb = {"socket:connect", connect_attempt, NULL};

static int m_connect(lua_State *L) {
    socket_check(L, 1);
    lua_settop(L, TO_PROGRESS);
    return block_run(L, &connect_verb);
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {{"bind", m_bind}, {"connect", m_connect}, {NULL, NULL}};

void socket_add_addressed(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
