/*
 * idlib.c - users, groups and kinds of resource limits, by name.
 *
 * The system's own lists are asked, as getpwnam(3) does it: in this thread, for at most a moment
 * where they are files.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib.h"

#define ENTRY_ROOM 16384 /* bytes for one entry of these lists */
#define GROUPS_MAX 1024

static int unknown(lua_State *L, const char *what, int err) {
    return error_os_return(L, err ? err : ENOENT, what, luaL_tolstring(L, 1, NULL));
}

static void push_groups(lua_State *L, const char *name, gid_t gid) {
    int n = GROUPS_MAX;
    gid_t *groups = lua_newuserdatauv(L, GROUPS_MAX * sizeof *groups, 0);
    if (getgrouplist(name, gid, groups, &n) < 0)
        n = GROUPS_MAX;
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushinteger(L, (lua_Integer)groups[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_remove(L, -2);
}

/* user(name or id): its id, its group's, the list of all its groups; of an unknown id only that */
static int f_user(lua_State *L) {
    struct passwd entry, *found = NULL;
    bool by_id = lua_isinteger(L, 1);
    char *buf = lua_newuserdatauv(L, ENTRY_ROOM, 0);
    int err = by_id ? getpwuid_r((uid_t)lua_tointeger(L, 1), &entry, buf, ENTRY_ROOM, &found)
                    : getpwnam_r(luaL_checkstring(L, 1), &entry, buf, ENTRY_ROOM, &found);
    if (!found && by_id) {
        lua_pushvalue(L, 1);
        return 1;
    }
    if (!found)
        return unknown(L, "user", err);
    lua_pushinteger(L, (lua_Integer)entry.pw_uid);
    lua_pushinteger(L, (lua_Integer)entry.pw_gid);
    push_groups(L, entry.pw_name, entry.pw_gid);
    return 3;
}

/* group(name or id): its id */
static int f_group(lua_State *L) {
    struct group entry, *found = NULL;
    if (lua_isinteger(L, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    char *buf = lua_newuserdatauv(L, ENTRY_ROOM, 0);
    int err = getgrnam_r(luaL_checkstring(L, 1), &entry, buf, ENTRY_ROOM, &found);
    if (!found)
        return unknown(L, "group", err);
    lua_pushinteger(L, (lua_Integer)entry.gr_gid);
    return 1;
}

/* privileged(): may this process become any user? */
static int f_privileged(lua_State *L) {
    lua_pushboolean(L, geteuid() == 0);
    return 1;
}

static const struct {
    const char *name;
    int resource;
} limits[] = {
    {"core", RLIMIT_CORE},   {"cpu", RLIMIT_CPU},         {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE}, {"nofile", RLIMIT_NOFILE},   {"stack", RLIMIT_STACK},
    {"as", RLIMIT_AS},
#ifdef RLIMIT_NPROC
    {"nproc", RLIMIT_NPROC}, {"memlock", RLIMIT_MEMLOCK}, {"rss", RLIMIT_RSS},
#endif
#ifdef RLIMIT_NICE
    {"nice", RLIMIT_NICE},   {"rtprio", RLIMIT_RTPRIO},
#endif
};

static const luaL_Reg functions[] = {
    {"user", f_user}, {"group", f_group}, {"privileged", f_privileged}, {NULL, NULL}};

/* Leaves functions; in .limits the numbers of resources by name. */
int open_idlib(lua_State *L) {
    luaL_newlib(L, functions);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        lua_pushinteger(L, limits[i].resource);
        lua_setfield(L, -2, limits[i].name);
    }
    lua_setfield(L, -2, "limits");
    return 1;
}
