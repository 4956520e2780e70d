/*
 * procorderlib.c - a child's command and options, from Lua tables into a struct proc_order.
 *
 * What the tables hold has been checked by lua/curio/subprocess/order.lua. The order points into
 * them and into userdata that hold what C wants as arrays: all of it stays on the stack, and so
 * alive, until the child has been started.
 */
#include <sys/resource.h>
#include <unistd.h>

#include "lib.h"
#include "proclib.h"
#include "sigtake.h"

/* The strings of the list on top, which it keeps alive, as a C array; replaces it. NULL for nil.
   [-1, +1, m] */
static char **string_list(lua_State *L) {
    if (lua_isnil(L, -1))
        return NULL;
    lua_Integer n = luaL_len(L, -1);
    char **list = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *list, 1);
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, -2, i + 1);
        list[i] = (char *)(uintptr_t)luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    list[n] = NULL;
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    return list;
}

static bool option(lua_State *L, int options, const char *name) {
    return lua_getfield(L, options, name) != LUA_TNIL;
}

static lua_Integer option_int(lua_State *L, int options, const char *name, lua_Integer def) {
    lua_Integer value = option(L, options, name) ? luaL_checkinteger(L, -1) : def;
    lua_pop(L, 1);
    return value;
}

static bool option_bool(lua_State *L, int options, const char *name) {
    option(L, options, name);
    bool yes = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return yes;
}

/* Each leaves one value on the stack, which keeps what it found alive. */

static void read_pass_fds(lua_State *L, int options, struct proc_order *o) {
    if (!option(L, options, "pass_fds"))
        return;
    size_t n = (size_t)luaL_len(L, -1);
    int *fds = lua_newuserdatauv(L, n * sizeof *fds, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        fds[i] = (int)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    lua_remove(L, -2);
    o->pass_fds = fds;
    o->npass = n;
}

static rlim_t limit_at(lua_State *L, int i) {
    lua_rawgeti(L, -1, i);
    rlim_t value = lua_isinteger(L, -1) ? (rlim_t)lua_tointeger(L, -1) : RLIM_INFINITY;
    lua_pop(L, 1);
    return value;
}

static void read_limits(lua_State *L, int options, struct proc_order *o) {
    if (!option(L, options, "limits"))
        return;
    size_t n = (size_t)luaL_len(L, -1);
    struct proc_limit *limits = lua_newuserdatauv(L, n * sizeof *limits, 0);
    lua_insert(L, -2);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        lua_rawgeti(L, -1, 1);
        limits[i].resource = (int)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
        limits[i].limit.rlim_cur = limit_at(L, 2);
        limits[i].limit.rlim_max = limit_at(L, 3);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    o->limits = limits;
    o->nlimits = n;
}

static void read_groups(lua_State *L, int options, struct proc_order *o) {
    o->ngroups = -1;
    if (!option(L, options, "groups"))
        return;
    o->ngroups = (int)luaL_len(L, -1);
    gid_t *groups = lua_newuserdatauv(L, ((size_t)o->ngroups + 1) * sizeof *groups, 0);
    for (int i = 0; i < o->ngroups; i++) {
        lua_rawgeti(L, -2, i + 1);
        groups[i] = (gid_t)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    lua_remove(L, -2);
    o->groups = groups;
}

void proc_read_order(lua_State *L, int args, int options, struct proc_order *o) {
    luaL_checkstack(L, 16, "start");
    lua_pushvalue(L, args);
    o->argv = string_list(L);
    option(L, options, "env");
    o->envp = string_list(L);
    if (!o->envp)
        o->envp = environ;
    option(L, options, "cwd");
    o->cwd = lua_tostring(L, -1);
    o->umask = (int)option_int(L, options, "umask", -1);
    o->session = option_bool(L, options, "session");
    o->terminal = (int)option_int(L, options, "terminal", -1);
    sigtake_ignored(o->heed);
    o->uid = (uid_t)option_int(L, options, "uid", -1);
    o->gid = (gid_t)option_int(L, options, "gid", -1);
    o->set_uid = o->uid != (uid_t)-1;
    o->set_gid = o->gid != (gid_t)-1;
    read_pass_fds(L, options, o);
    read_limits(L, options, o);
    read_groups(L, options, o);
}
