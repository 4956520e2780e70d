/*
 * namelib.h - what another Lua state can find by name: loaded modules, and functions and classes in
 * them.
 *
 * A name is a module, or module, field, and perhaps a field of that, with NUL bytes between. Names
 * are looked up in a table made from package.loaded, which is made anew when modules have been
 * loaded since; what it says is checked each time. Globals that the script has made have no name:
 * the other state does not have them.
 */
#ifndef CURIO_NAMELIB_H
#define CURIO_NAMELIB_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* The names are to be looked at for modules loaded since. Once before a series of look-ups, cheap
   after the first. [-0, +0, m] */
void name_refresh(lua_State *L);

/* Pushes the name of the function, or module, at idx. False, nothing pushed: it has none.
   [-0, +0|1, m] */
bool name_push(lua_State *L, int idx);

/* The same of a table that is a field of a module: a class, a metatable. */
bool name_push_table(lua_State *L, int idx);

/* Pushes the value of that name, requiring its module if it must; raises where there is none.
   [-0, +1, v] */
void name_find(lua_State *L, const char *name, size_t size);

#endif
