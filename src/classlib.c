/*
 * classlib.c - the keys of classlib.h, in two weak tables of the registry: class -> key and key ->
 * class.
 */
#include "classlib.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "lib.h"

static char keys_key, classes_key;

/* With a class and its key on top. [-0, +0, m] */
static void enlist(lua_State *L) {
    int key = lua_gettop(L);
    weak_push(L, &keys_key, "k");
    lua_pushvalue(L, key - 1);
    lua_pushvalue(L, key);
    lua_rawset(L, -3);
    weak_push(L, &classes_key, "v");
    lua_pushvalue(L, key);
    lua_pushvalue(L, key - 1);
    lua_rawset(L, -3);
    lua_settop(L, key);
}

static void push_new_key(lua_State *L) {
    static atomic_uint_fast64_t made;
    char key[80];
    snprintf(key, sizeof key, "%ld-%" PRIx64 "-%" PRIuFAST64, (long)getpid(), clock_now(),
             atomic_fetch_add(&made, 1));
    lua_pushstring(L, key);
}

const char *class_push_key(lua_State *L, int idx, size_t *size) {
    luaL_checkstack(L, 8, "class");
    idx = lua_absindex(L, idx);
    weak_push(L, &keys_key, "k");
    lua_pushvalue(L, idx);
    if (lua_rawget(L, -2) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushvalue(L, idx);
        push_new_key(L);
        enlist(L);
        lua_remove(L, -2);
    }
    lua_remove(L, -2);
    return lua_tolstring(L, -1, size);
}

/* Pushes a new class of the name and parent that follow the key at idx. [-0, +1, v] */
static void push_new(lua_State *L, int idx) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "curio.errors");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "class");
    lua_remove(L, -2);
    lua_pushvalue(L, idx + 1);
    lua_pushvalue(L, idx + 2);
    lua_call(L, 2, 1);
}

/* The class is on top, the fields are at idx + 3. */
static void set_fields(lua_State *L, int idx) {
    int class = lua_gettop(L);
    luaL_checktype(L, idx + 3, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, idx + 3)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, class);
    }
}

void class_make(lua_State *L, int idx) {
    luaL_checkstack(L, 10, "class");
    weak_push(L, &classes_key, "v");
    lua_pushvalue(L, idx);
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        push_new(L, idx);
        set_fields(L, idx);
        lua_pushvalue(L, idx);
        enlist(L);
        lua_pop(L, 1);
    }
    lua_replace(L, idx);
    lua_settop(L, idx);
}
