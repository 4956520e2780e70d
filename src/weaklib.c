/*
 * weaklib.c - weak tables: what C notes of Lua values without keeping them alive.
 *
 * Each is in the registry under the address of a variable of who uses it, and made when it is
 * first asked for.
 */
#include "lib.h"

void weak_new(lua_State *L, const char *mode) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

void weak_push(lua_State *L, const void *key, const char *mode) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    weak_new(L, mode);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}
