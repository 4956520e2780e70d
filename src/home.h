/*
 * home.h - the Lua states of the program, and what each of them stands on: an allocator and the
 * warning system. They come without libraries.
 */
#ifndef CURIO_HOME_H
#define CURIO_HOME_H

#include <lua.h>

/* NULL without memory. With CURIO_TORTURE in the environment its allocator refuses as that says. */
lua_State *home_open(void);
void home_close(lua_State *L);

#endif
