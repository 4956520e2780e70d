/*
 * classlib.h - error classes that cross Lua states.
 *
 * A class that no module has by name gets a key when it is first sent, unlike any other's of any
 * process. Who receives it makes a class of the same name and parent, once for each key; sent back,
 * it is the class that it was.
 */
#ifndef CURIO_CLASSLIB_H
#define CURIO_CLASSLIB_H

#include <lua.h>
#include <stddef.h>

/* Pushes the key of the class at idx. [-0, +1, m] */
const char *class_push_key(lua_State *L, int idx, size_t *size);

/* With a key, a name, a parent or nil, and a table of further fields from idx to the top: leaves
   the class at idx instead. [-4, +1, v] */
void class_make(lua_State *L, int idx);

#endif
