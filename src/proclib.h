/*
 * proclib.h - what the files that make "curio.process" share.
 */
#ifndef CURIO_PROCLIB_H
#define CURIO_PROCLIB_H

#include <lua.h>

#include "proc.h"

/* Fills all of the order but .files and .stdio from the list of strings at `args` and the table at
   `options`. Leaves values on the stack that keep alive what it points to. */
void proc_read_order(lua_State *L, int args, int options,
                     struct proc_order *o); /* procorderlib.c */

#endif
