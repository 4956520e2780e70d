/*
 * standinlib.h - what crosses between threads though it cannot be copied: it stays where it is, and
 * a number takes its place in the message.
 *
 * A task-local variable (curio.Local) is known by its number in every state of the process. A
 * kernel object that goes to an AsyncThread is kept in a table of its kernel's state, and the
 * thread gets a proxy; sent back, that is the object again.
 */
#ifndef CURIO_STANDINLIB_H
#define CURIO_STANDINLIB_H

#include "copylib.h"

struct luajob;

/* How values of this job are copied at the thread's end, and at the other one. `first` and
   `root` as in copy_how. The result is good until the next call in this thread. */
const struct copy_how *standin_threads_how(struct luajob *j, const char *first, const char *root);
const struct copy_how *standin_owners_how(struct luajob *j, const char *first, const char *root);

/* At the owner's end: forget the objects that the job was given. [-0, +0, m] */
void standin_forget(lua_State *L, struct luajob *j);

#endif
