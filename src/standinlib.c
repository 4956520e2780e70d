/*
 * standinlib.c - numbers for what stays where it is; see standinlib.h. A positive number is an
 * object of the job's owner, a negative one a task-local variable.
 */
#include "standinlib.h"

#include <stdatomic.h>
#include <string.h>

#include "joblib.h"
#include "lib.h"

#define PROXY "curio.Proxy"
#define LOCAL "curio.Local"

struct proxy {
    uint64_t serial; /* of the job it was given to */
    lua_Integer number;
};

static char locals_key;  /* registry: weak table, number -> Local and Local -> number */
static char maker_key;   /* registry: function (number) that makes the Local of that number */
static char proxies_key; /* registry: weak table, number -> proxy */

static __thread struct copy_how how;

/* ---- task-local variables ---- */

static bool is_named(lua_State *L, int idx, const char *prefix) {
    bool yes = false;
    if (luaL_getmetafield(L, idx, "__name") != LUA_TNIL) {
        const char *name = lua_tostring(L, -1);
        yes = name && strncmp(name, prefix, strlen(prefix)) == 0;
        lua_pop(L, 1);
    }
    return yes;
}

static lua_Integer local_out(lua_State *L, int idx) {
    weak_push(L, &locals_key, "kv");
    lua_pushvalue(L, idx);
    lua_rawget(L, -2);
    lua_Integer number = lua_tointeger(L, -1);
    lua_pop(L, 2);
    return -number;
}

static void local_in(lua_State *L, lua_Integer number) {
    weak_push(L, &locals_key, "kv");
    if (lua_rawgeti(L, -1, number) == LUA_TNIL) {
        lua_settop(L, -3);
        state_require(L, "curio.task");
        lua_rawgetp(L, LUA_REGISTRYINDEX, &maker_key);
        lua_pushinteger(L, number);
        lua_call(L, 1, 1);
        return;
    }
    lua_remove(L, -2);
}

/* locals(maker) */
static int f_locals(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &maker_key);
    return 0;
}

/* number(Local [, number]): it is known by that number from now on, by a new one without */
static int f_number(lua_State *L) {
    static atomic_llong last;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer number = luaL_opt(L, luaL_checkinteger, 2, atomic_fetch_add(&last, 1) + 1);
    weak_push(L, &locals_key, "kv");
    lua_pushvalue(L, 1);
    lua_pushinteger(L, number);
    lua_rawset(L, -3);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, number);
    return 0;
}

/* copyable(value): can it go to a thread? */
static int try_copy(lua_State *L) {
    struct copy_how plain = *standin_threads_how(NULL, NULL, "value");
    plain.flags = COPY_ONE | COPY_STAY;
    copy_out(L, 1, 1, &plain, lua_touserdata(L, 2));
    return 0;
}

static int f_copyable(lua_State *L) {
    struct message m;
    luaL_checkany(L, 1);
    message_init(&m);
    lua_pushcfunction(L, try_copy);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, &m);
    lua_pushboolean(L, lua_pcall(L, 2, 0, 0) == LUA_OK);
    message_drop(&m);
    return 1;
}

/* ---- at the thread's end ---- */

static lua_Integer threads_out(lua_State *L, int idx, void *ctx) {
    struct luajob *j = ctx;
    if (is_named(L, idx, LOCAL))
        return local_out(L, idx);
    struct proxy *p = j ? luaL_testudata(L, idx, PROXY) : NULL;
    return p && p->serial == j->serial ? p->number : 0;
}

static struct proxy *known_proxy(lua_State *L, struct luajob *j, lua_Integer number) {
    weak_push(L, &proxies_key, "v");
    lua_rawgeti(L, -1, number);
    lua_remove(L, -2);
    struct proxy *p = lua_touserdata(L, -1);
    return p && p->serial == j->serial ? p : NULL;
}

static void threads_in(lua_State *L, lua_Integer number, void *ctx) {
    struct luajob *j = ctx;
    luaL_checkstack(L, LUA_MINSTACK, "proxy");
    if (number < 0) {
        local_in(L, -number);
        return;
    }
    if (known_proxy(L, j, number))
        return;
    lua_pop(L, 1);
    struct proxy *p = lua_newuserdatauv(L, sizeof *p, 0);
    p->serial = j->serial;
    p->number = number;
    luaL_setmetatable(L, PROXY);
    weak_push(L, &proxies_key, "v");
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, number);
    lua_pop(L, 1);
}

const struct copy_how *standin_threads_how(struct luajob *j, const char *first, const char *root) {
    bool async = j && j->async;
    how = (struct copy_how){root, first, 0, threads_out, threads_in, async ? j : NULL};
    return &how;
}

/* ---- at the owner's end ---- */

/* Pushes the table of the objects: number -> object and object -> number. [-0, +1, m] */
static void push_objects(lua_State *L, struct luajob *j) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, j) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, j);
}

void standin_forget(lua_State *L, struct luajob *j) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, j);
}

static lua_Integer owners_out(lua_State *L, int idx, void *ctx) {
    if (is_named(L, idx, LOCAL))
        return local_out(L, idx);
    if (!ctx || !is_named(L, idx, "curio."))
        return 0;
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 4, "proxy");
    push_objects(L, ctx);
    lua_pushvalue(L, idx);
    lua_rawget(L, -2);
    lua_Integer number = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (number == 0) {
        number = (lua_Integer)lua_rawlen(L, -1) + 1;
        lua_pushvalue(L, idx);
        lua_rawseti(L, -2, number);
        lua_pushvalue(L, idx);
        lua_pushinteger(L, number);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
    return number;
}

static void owners_in(lua_State *L, lua_Integer number, void *ctx) {
    luaL_checkstack(L, LUA_MINSTACK, "proxy");
    if (number < 0) {
        local_in(L, -number);
        return;
    }
    if (!ctx)
        luaL_error(L, "a proxy has come back that nobody was given");
    push_objects(L, ctx);
    if (lua_rawgeti(L, -1, number) == LUA_TNIL)
        luaL_error(L, "a proxy has come back whose object is gone");
    lua_remove(L, -2);
}

const struct copy_how *standin_owners_how(struct luajob *j, const char *first, const char *root) {
    how = (struct copy_how){root, first, 0, owners_out, owners_in, j && j->async ? j : NULL};
    return &how;
}

/* ---- core.standin ---- */

static const luaL_Reg functions[] = {
    {"locals", f_locals}, {"number", f_number}, {"copyable", f_copyable}, {NULL, NULL}};

/* Its field `proxy` is the metatable of proxies, which thread.lua fills. */
int open_standinlib(lua_State *L) {
    luaL_newlib(L, functions);
    luaL_newmetatable(L, PROXY);
    lua_setfield(L, -2, "proxy");
    return 1;
}
