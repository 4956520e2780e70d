/*
 * outcome.h - how a task's body is run, and what it left: results or a failure.
 */
#ifndef CURIO_OUTCOME_H
#define CURIO_OUTCOME_H

#include <lua.h>
#include <stdbool.h>

#include "task.h"

/* Slots of the base function's frame, which is the bottom one of every task's coroutine. */
enum { BASE_TASK = 1, BASE_SITE, BASE_LINE, BASE_HANDLER };

/* Called with [task, site, line, handler, function, arguments...]; returns the outcome and the
 * task. */
int outcome_base(lua_State *L);
/* The message handler to go with it. */
int outcome_handler(lua_State *L);

/* Is the value a failure record? [-0, +0, -] */
bool outcome_is_failure(lua_State *L, int idx);

/* Pushes the error of a failed task, and after it the traceback or nil. [-0, +2, m] */
void outcome_push_error(lua_State *L, struct task *t, int object);
/* Pushes where a failed task was spawned, "file:line", or nil. [-0, +1, m] */
void outcome_push_site(lua_State *L, struct task *t, int object);
/* Pushes the results of a task that ended well; returns how many. [-0, +n, m] */
int outcome_push_results(lua_State *L, struct task *t, int object);

#endif
