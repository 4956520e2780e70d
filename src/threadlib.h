/*
 * threadlib.h - job objects: what a Lua state has of a job that it gave to a thread.
 *
 * An object (curio.job) holds a reference to its luajob and, while somebody sleeps on it, a ticket:
 * the thread posts it to the kernel's wake queue when something has happened. Until then the
 * sleeper counts as waiting for an outside event.
 */
#ifndef CURIO_THREADLIB_H
#define CURIO_THREADLIB_H

#include <lua.h>
#include <stdbool.h>

#include "joblib.h"
#include "task.h"

struct ticket;

struct jobbox {
    struct luajob *j; /* NULL: none (any more) */
    struct ticket *ticket;
    bool sole; /* who sleeps on it is the only one who wants it: deserted when he gives up */
};

/* Argument 1; raises if the job has been given up. */
struct jobbox *jobbox_check(lua_State *L);
/* May have been given up. */
struct jobbox *jobbox_any(lua_State *L);

/* Has that happened? Under thread_lock. */
typedef bool happened_fn(const struct luajob *j);

/* Puts the task to sleep until something happens to the job; false: it has happened. */
bool jobbox_sleep(lua_State *L, struct task *t, struct jobbox *b, happened_fn *happened,
                  const char *state);

/* The methods of job objects that serve AWAIT, into the table on top; and core.thread's functions
   for the thread's end. [-0, +0, m] */
void awaitlib_methods(lua_State *L);
void awaitlib_functions(lua_State *L);

#endif
