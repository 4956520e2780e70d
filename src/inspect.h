/*
 * inspect.h - tasks as people want to see them: one line, a place, a stack.
 */
#ifndef CURIO_INSPECT_H
#define CURIO_INSPECT_H

#include <lua.h>
#include <stdbool.h>

#include "task.h"

struct kernel;

/* Pushes "Task(id=3, name=echo.lua:4, state=READ_WAIT) at file:line". [-0, +1, m] */
void inspect_push_line(lua_State *L, struct task *t, int object);

/* Finds where the user's code of a task stands, leaving out curio's own; false: nowhere. */
bool inspect_where(lua_State *L, struct task *t, lua_Debug *ar);

/* Pushes the task's line and its stack, innermost frame first, curio's own frames left out.
   [-0, +1, m] */
void inspect_push_traceback(lua_State *L, struct task *t, int object);

/* Pushes "file:line: " of the innermost function of L that is not curio's own, or "". [-0, +1, m]
 */
void inspect_push_place(lua_State *L);

/* Writes the stacks of all tasks of k to stderr. [-0, +0, m] */
void inspect_dump(lua_State *L, struct kernel *k);

/* Chunk names that begin with the string on top of L are curio's own. [-1, +0, m] */
void inspect_set_own(lua_State *L);

#endif
