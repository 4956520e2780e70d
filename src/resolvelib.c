/*
 * resolvelib.c - getaddrinfo and getnameinfo off the kernel's thread.
 *
 * A thread of the pool works on a struct resolve of its own and posts it to the kernel's wake
 * queue; the kernel finds the question, and in it the task. From asking until then the question
 * counts as an outside event (no deadlock while it is under way) and holds the wake queue. The undo
 * of the sleep ends that, whether the answer came or the task was interrupted.
 */
#include "resolvelib.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "addrlib.h"
#include "block.h"
#include "clock.h"
#include "errcode.h"
#include "lib.h"

#define QUESTION "curio.question"

/* ---- the pool's side: in its thread, under its lock ---- */

static void hand_back(struct job *job) {
    struct wake *wake = job->owner;
    wake_ref(wake); /* the kernel may drop the asker's reference while we still write to it */
    wake_post(wake, &job->node); /* refused by a kernel that ended only: nobody asks any more */
    wake_unref(wake);
}

/* ---- the kernel's side ---- */

static void deliver(struct wake_node *node) {
    struct job *job = container_of(node, struct job, node);
    if (!pool_collect(job))
        return;
    struct question *q = job->waiter;
    q->answered = true;
    task_wake(q->asker, WAKE_OK);
}

/* Whoever owns the resolve then, it is not touched any more unless it was answered. */
static void stop_asking(struct question *q) {
    if (!q->answered) {
        resolve_abandon(q->r);
        q->r = NULL;
    }
    wake_unref(q->wake);
    q->wake = NULL;
    q->asker = NULL;
    pool_unref();
}

static void undo(struct task *t) {
    t->kernel->external--;
    stop_asking(t->on);
}

static int start_asking(struct task *t, struct question *q) {
    struct job *job = &q->r->job;
    job->owner = t->kernel->wake;
    job->waiter = q;
    job->node.run = deliver;
    pool_ref();
    int err = resolve_submit(q->r);
    if (err < 0) {
        pool_unref();
        return err;
    }
    wake_ref(t->kernel->wake);
    q->wake = t->kernel->wake;
    q->asker = t;
    return 0;
}

int question_ask(struct task *t, struct question *q) {
    if (q->answered || resolve_numeric(q->r)) {
        q->answered = true;
        return 0;
    }
    int err = start_asking(t, q);
    if (err < 0)
        return -err;
    t->kernel->external++;
    task_sleep(t, "FUTURE_WAIT", undo, q, CLOCK_NEVER);
    return BLOCK_PARKED;
}

/* The coroutine it stood on is garbage, perhaps together with its kernel. */
static int mm_gc(lua_State *L) {
    struct question *q = lua_touserdata(L, 1);
    if (q->wake)
        stop_asking(q);
    resolve_free(q->r);
    q->r = NULL;
    return 0;
}

/* ---- making one ---- */

static struct question *question_new(lua_State *L) {
    struct question *q = lua_newuserdatauv(L, sizeof *q, 0);
    memset(q, 0, sizeof *q);
    if (luaL_newmetatable(L, QUESTION)) {
        lua_pushcfunction(L, mm_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return q;
}

static struct question *fill(lua_State *L, struct question *q, struct resolve *r) {
    q->r = r;
    if (!r)
        luaL_error(L, "not enough memory");
    return q;
}

struct question *question_addrinfo(lua_State *L, const char *host, const char *service,
                                   const struct addrinfo *hints) {
    struct question *q = question_new(L);
    return fill(L, q, resolve_addrinfo(host, service, hints, hand_back));
}

static struct question *question_nameinfo(lua_State *L, const struct addr *a, int flags) {
    struct question *q = question_new(L);
    return fill(L, q, resolve_nameinfo(a, flags, hand_back));
}

/* ---- errors ---- */

static void set_string(lua_State *L, const char *field, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

static int resolve_error(lua_State *L, int eai, int err, const char *op, const char *subject) {
    char text[128];
    if (eai == EAI_SYSTEM)
        errcode_message(err, text, sizeof text);
    else
        snprintf(text, sizeof text, "%s", gai_strerror(eai));
    lua_pushnil(L);
    error_new(L, "ResolveError", "%s %s: %s (%s)", op, subject, text, errcode_eai_name(eai));
    if (lua_type(L, -1) != LUA_TTABLE)
        return 2;
    set_string(L, "code", errcode_eai_name(eai));
    set_string(L, "op", op);
    set_string(L, "subject", subject);
    lua_pushinteger(L, eai == EAI_SYSTEM ? err : eai);
    lua_setfield(L, -2, "errno");
    return 2;
}

int question_failed(lua_State *L, const struct question *q, const char *op, const char *subject) {
    return resolve_error(L, q->r->eai, q->r->err, op, subject);
}

/* ---- getaddrinfo(host, port, options) ---- */

enum { ARG_HOST = 1, ARG_PORT, ARG_OPTIONS, ARG_QUESTION };

static const char *const known_options[] = {"family", "type", "proto", "flags", NULL};

static void set_integer(lua_State *L, const char *field, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

static void push_entry(lua_State *L, const struct addrinfo *ai) {
    struct addr a;
    lua_createtable(L, 0, 5);
    set_integer(L, "family", ai->ai_family);
    set_integer(L, "type", ai->ai_socktype);
    set_integer(L, "proto", ai->ai_protocol);
    if (ai->ai_canonname)
        set_string(L, "canonname", ai->ai_canonname);
    addr_copy(&a, ai->ai_addr, ai->ai_addrlen);
    addrlib_push(L, &a);
    lua_setfield(L, -2, "addr");
}

static int push_list(lua_State *L, const struct addrinfo *list) {
    int n = 0;
    lua_newtable(L);
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        push_entry(L, ai);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static const char *host_name(lua_State *L) {
    return lua_isnil(L, ARG_HOST) ? "(no host)" : lua_tostring(L, ARG_HOST);
}

static int addrinfo_attempt(lua_State *L, struct task *t) {
    struct question *q = lua_touserdata(L, ARG_QUESTION);
    int result = question_ask(t, q);
    if (result == BLOCK_PARKED)
        return BLOCK_PARKED;
    if (result)
        return error_os_return(L, result, "getaddrinfo", host_name(L));
    if (q->r->eai)
        return question_failed(L, q, "getaddrinfo", host_name(L));
    return push_list(L, q->r->list);
}

static const struct verb addrinfo_verb = {"getaddrinfo", addrinfo_attempt, NULL};

static bool has_nul(lua_State *L, int arg) {
    size_t len;
    const char *text = lua_tolstring(L, arg, &len);
    return text && memchr(text, '\0', len);
}

/* A service is asked for as a text; NULL: none. */
static const char *check_service(lua_State *L, char buf[16]) {
    if (!lua_isinteger(L, ARG_PORT))
        return luaL_optstring(L, ARG_PORT, NULL);
    lua_Integer port = lua_tointeger(L, ARG_PORT);
    if (port < 0 || port > 65535)
        luaL_argerror(L, ARG_PORT, lua_pushfstring(L, "the port must be 0 to 65535, not %I", port));
    snprintf(buf, 16, "%d", (int)port);
    return buf;
}

static int option(lua_State *L, const char *name) {
    return (int)args_int(L, ARG_OPTIONS, "getaddrinfo", name, 0);
}

static int f_getaddrinfo(lua_State *L) {
    char buf[16];
    lua_settop(L, ARG_OPTIONS);
    args_options(L, ARG_OPTIONS, "getaddrinfo", known_options);
    const char *host = luaL_optstring(L, ARG_HOST, NULL);
    const char *service = check_service(L, buf);
    struct addrinfo hints = {
        .ai_family = option(L, "family"),
        .ai_socktype = option(L, "type"),
        .ai_protocol = option(L, "proto"),
        .ai_flags = option(L, "flags"),
    };
    if (has_nul(L, ARG_HOST) || has_nul(L, ARG_PORT))
        return resolve_error(L, EAI_NONAME, 0, "getaddrinfo", host_name(L));
    question_addrinfo(L, host, service, &hints);
    return block_run(L, &addrinfo_verb);
}

/* ---- getnameinfo(address, flags), getnameinfo(host, port, flags) ---- */

static const char *address_text(lua_State *L, char *buf, size_t size) {
    struct addr a;
    if (addrlib_check(L, 1, AF_UNSPEC, &a) == 0)
        addr_format(&a, buf, size);
    else
        snprintf(buf, size, "(address)");
    return buf;
}

static int nameinfo_attempt(lua_State *L, struct task *t) {
    char text[ADDR_TEXT_MAX];
    struct question *q = lua_touserdata(L, 3);
    int result = question_ask(t, q);
    if (result == BLOCK_PARKED)
        return BLOCK_PARKED;
    if (result)
        return error_os_return(L, result, "getnameinfo", address_text(L, text, sizeof text));
    if (q->r->eai)
        return question_failed(L, q, "getnameinfo", address_text(L, text, sizeof text));
    lua_pushstring(L, q->r->host);
    lua_pushstring(L, q->r->serv);
    return 2;
}

static const struct verb nameinfo_verb = {"getnameinfo", nameinfo_attempt, NULL};

/* "host", port, ... -> {"host", port}, ... */
static void join_address(lua_State *L) {
    luaL_checkinteger(L, 2);
    lua_createtable(L, 2, 0);
    for (int i = 1; i <= 2; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i);
    }
    lua_replace(L, 1);
    lua_remove(L, 2);
}

static int f_getnameinfo(lua_State *L) {
    struct addr a;
    if (lua_type(L, 1) == LUA_TSTRING)
        join_address(L);
    int flags = (int)luaL_optinteger(L, 2, 0);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (addrlib_check(L, 1, AF_UNSPEC, &a) != 0) { /* the host is a name already, or nonsense */
        lua_rawgeti(L, 1, 1);
        return resolve_error(L, EAI_NONAME, 0, "getnameinfo", lua_tostring(L, -1));
    }
    question_nameinfo(L, &a, flags);
    return block_run(L, &nameinfo_verb);
}

static int f_gethostname(lua_State *L) {
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0)
        return error_os_return(L, errno, "gethostname", NULL);
    lua_pushstring(L, name);
    return 1;
}

static const luaL_Reg functions[] = {{"getaddrinfo", f_getaddrinfo},
                                     {"getnameinfo", f_getnameinfo},
                                     {"gethostname", f_gethostname},
                                     {NULL, NULL}};

int open_resolvelib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
