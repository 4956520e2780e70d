/*
 * interrupt.h - Lua code that runs is made to look up: a job in a thread of the crew is told to
 * end, a task that never gives way lets the kernel answer its monitor.
 *
 * The error is raised once, in the thread, at the place where it is, so that __close handlers run:
 * in plain Lua code by a debug hook, which the signal's handler sets on the innermost running
 * coroutine; where the thread is parked, by who parked it. If it runs a kernel, the kernel's main
 * task is cancelled instead, as by task:cancel.
 */
#ifndef CURIO_INTERRUPT_H
#define CURIO_INTERRUPT_H

#include <lua.h>

struct kernel;

/* The innermost coroutine of this thread, where no kernel runs. NULL: it may not be hooked. */
extern __thread lua_State *volatile interrupt_running __attribute__((tls_model("initial-exec")));

/* Once, before the first job. */
void interrupt_prepare(void);

/* Lua code runs in L from now on, NULL: no more. */
void interrupt_arm(lua_State *L);

/* After thread_park has returned -EINTR: raises, or returns if the interruption is not for this
   code. [-0, +0, v] */
void interrupt_raise(lua_State *L);

/* A kernel has ended: what it has not acted on goes to the code that ran it. */
void interrupt_resume(void);

/* Kernel's thread, between tasks: acts on what has come. */
void interrupt_check(struct kernel *k);

#endif
