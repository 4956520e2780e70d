/*
 * sharedlib.c - the objects of sharedlib.h.
 *
 * A weak table of the registry has the object of each shared thing by its address, so that in one
 * state the same thing is the same value. A finaliser sees its object gone from there already.
 */
#include "sharedlib.h"

#include "lib.h"

static char objects_key; /* registry: address -> object, weak */

/* Told by its first word, which users cannot write. */
static const char shared_magic;

struct box {
    const char *magic; /* &shared_magic */
    struct shared *shared;
};

static struct box *box_test(lua_State *L, int idx) {
    struct box *box = lua_touserdata(L, idx);
    bool is = box && lua_type(L, idx) == LUA_TUSERDATA && lua_rawlen(L, idx) == sizeof *box &&
              box->magic == &shared_magic;
    return is ? box : NULL;
}

static int mm_gc(lua_State *L) {
    struct box *box = box_test(L, 1);
    if (!box)
        return 0;
    struct shared *s = box->shared;
    box->magic = NULL;
    box->shared = NULL;
    if (s)
        shared_unref(s);
    return 0;
}

void shared_new_metatable(lua_State *L, const char *kind) {
    luaL_newmetatable(L, kind);
    lua_pushcfunction(L, mm_gc);
    lua_setfield(L, -2, "__gc");
}

struct shared *shared_test(lua_State *L, int idx) {
    const struct box *box = box_test(L, idx);
    return box ? box->shared : NULL;
}

struct shared **shared_new(lua_State *L, const char *kind) {
    struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct box){&shared_magic, NULL};
    luaL_setmetatable(L, kind);
    weak_push(L, &objects_key, "v"); /* made now, so that filling needs little */
    lua_pop(L, 1);
    return &box->shared;
}

void shared_fill(lua_State *L, struct shared **box, struct shared *s) {
    *box = s;
    weak_push(L, &objects_key, "v");
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, s);
    lua_pop(L, 1);
}

void shared_push(lua_State *L, struct shared *s) {
    luaL_checkstack(L, 6, "shared object");
    weak_push(L, &objects_key, "v");
    if (lua_rawgetp(L, -1, s) == LUA_TNIL) {
        lua_pop(L, 1);
        struct shared **box = shared_new(L, s->kind);
        shared_ref(s);
        shared_fill(L, box, s);
    }
    lua_remove(L, -2);
}

void *shared_check(lua_State *L, int arg, const char *kind) {
    struct shared *s = shared_test(L, arg);
    if (!s || s->kind != kind)
        luaL_typeerror(L, arg, kind);
    return s;
}
