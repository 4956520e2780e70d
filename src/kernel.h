/*
 * kernel.h - the scheduler: resumes a task, lets it sleep, wakes it.
 *
 * One kernel runs in a thread at a time. Tasks are woken only through the ready queue, first in, first
 * out. Descriptors, timers and other threads are looked at when the queue is empty, after 64 tasks
 * have run, or when the coarse clock has ticked.
 */
#ifndef CURIO_KERNEL_H
#define CURIO_KERNEL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "heap.h"
#include "list.h"
#include "loop.h"
#include "task.h"
#include "wake.h"

#define KERNEL_IDLE 2048 /* coroutines kept for new tasks; more are left to the collector */
#define KERNEL_SCRATCH (256 * 1024) /* bytes of the receive buffer all tasks share */

struct kernel {
    lua_State *L;         /* the state that runs the loop; NULL while none does */
    lua_State *top;       /* innermost coroutine of the running task; NULL if it may not block */
    struct task *current; /* running now; NULL inside the kernel */
    struct task *main;    /* whose end ends the run; may be NULL */
    struct task *principal; /* who gets Deadlock and Interrupted: main, or the child run() waits for */
    struct list ready;
    int64_t now;  /* cached clock, ns; renewed each time the loop looks outside */
    int64_t tick; /* coarse clock at that time */
    int io_budget;   /* operations the running task may do before it gives way */
    int run_budget;  /* tasks to run before looking outside again */
    bool parked;     /* the running task has put itself to sleep and is on its way out */
    bool closed;     /* shut down */
    bool dump;       /* SIGQUIT prints the stacks of all tasks */
    bool stopping;   /* shutting down: no new task starts */
    bool signalled;  /* SIGINT has been delivered to the principal */
    bool exit_asked; /* os.exit(code, true): leave the run, shut down, then end the process */
    int exit_code;
    int64_t warn_at; /* when shutdown names those that still run; CLOCK_NEVER: not */
    unsigned live;   /* tasks not terminated */
    unsigned external; /* outside events that may wake somebody: jobs, signal listeners, threads */
    uint64_t last_id;
    uint32_t *idle_slots; /* slots whose coroutine waits for a new task; room for every slot */
    uint32_t idle;
    uint32_t slots;
    uint32_t slot_room;
    struct loop loop;
    struct heap timers;
    struct wake *wake;
    char *scratch; /* KERNEL_SCRATCH bytes; contents never survive a yield */
    pid_t pid;     /* a forked child must not run its parent's kernel */
};

/* The time now, ns. The cached clock may be behind by what the running task has computed. */
int64_t kernel_now(struct kernel *k);

/* The kernel whose loop runs in this thread; NULL: none. */
extern __thread struct kernel *kernel_current __attribute__((tls_model("initial-exec")));

/* Pushes a new kernel object; raises on failure. poller may be NULL. [-0, +1, e] */
struct kernel *kernel_new(lua_State *L, const char *poller);

/* Frees what the C side holds. Tasks must have ended, or their coroutines be garbage. */
void kernel_free(struct kernel *k);

/* Runs until `until` has terminated (NULL: until no task is left), or for one cycle with `once`.
   Raises only misuse. */
void kernel_loop(lua_State *L, struct kernel *k, struct task *until, bool once);

/* Cancels all tasks, newest first, and waits for them. */
void kernel_shutdown(lua_State *L, struct kernel *k);

/* The table of tasks of k: slot -> task, or an idle coroutine; lightuserdata -> pending error.
   [-0, +1, -] */
void kernel_push_tasks(lua_State *L, const struct kernel *k);

/* Makes sure that idle_slots has one, and reserves all that a further task needs. [-0, +0, m] */
void kernel_reserve_slot(lua_State *L, struct kernel *k);

/* Calls the Lua hook of that name (see core.hooks) with the nargs values on top of L; a failing hook
   is reported to stderr and otherwise ignored. [-nargs, +0, -] */
void kernel_hook(lua_State *L, const char *name, int nargs);

/* The table of hooks on top of L; see kernel_hook. [-1, +0, m] */
void kernel_set_hooks(lua_State *L);

#endif
