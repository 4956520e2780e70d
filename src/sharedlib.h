/*
 * sharedlib.h - the Lua objects by which states hold what they share (struct shared).
 *
 * A state has one object for each, made when it first gets it; the object holds one reference, and
 * gives it back when it is collected.
 */
#ifndef CURIO_SHAREDLIB_H
#define CURIO_SHAREDLIB_H

#include <lua.h>

#include "message.h"

/* Makes the metatable of that kind and pushes it. [-0, +1, m] */
void shared_new_metatable(lua_State *L, const char *kind);

/* What the value at idx is an object of; NULL: it is something else. [-0, +0, -] */
struct shared *shared_test(lua_State *L, int idx);

/* Pushes this state's object of s, which keeps a reference of its own. [-0, +1, m] */
void shared_push(lua_State *L, struct shared *s);

/* An empty object, to be filled with shared_fill: the box comes first. [-0, +1, m] */
struct shared **shared_new(lua_State *L, const char *kind);

/* With the empty object on top: it takes over the reference. [-0, +0, m] */
void shared_fill(lua_State *L, struct shared **box, struct shared *s);

/* Argument check. */
void *shared_check(lua_State *L, int arg, const char *kind);

#endif
