/*
 * kernel.h - the scheduler: resumes a task, lets it sleep, wakes it.
 *
 * One kernel runs in a thread at a time. Tasks are woken only through the ready queue, first in,
 * first out. Descriptors, timers and other threads are looked at when the queue is empty, after 64
 * tasks have run, or when the coarse clock has ticked.
 */
#ifndef CURIO_KERNEL_H
#define CURIO_KERNEL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "heap.h"
#include "list.h"
#include "loop.h"
#include "task.h"
#include "wake.h"

#define KERNEL_IDLE 2048 /* coroutines kept for new tasks; more are left to the collector */
#define KERNEL_SCRATCH (256 * 1024) /* bytes of the receive buffer all tasks share */

/* A place for a task; its coroutine, kept alive by the table of tasks, serves one after the other.
   While a task has it the struct task points to it. */
struct slot {
    uintptr_t tagged; /* the task; or the idle coroutine (0: none, to be made) + SLOT_IDLE */
};

#define SLOT_IDLE ((uintptr_t)1)

static inline struct task *slot_task(struct slot s) {
    return s.tagged & SLOT_IDLE ? NULL : (struct task *)s.tagged;
}

static inline lua_State *slot_coroutine(struct slot s) {
    return (lua_State *)(s.tagged & ~SLOT_IDLE);
}

enum {
    OBSERVED_BY_LUA = 1,  /* the hooks created, running, suspended and terminated are called */
    OBSERVED_BY_TRACE = 2 /* there is a trace, and the kernel runs */
};

struct monitor;
struct trace;

/* A foreign event loop that a sleeping task waits for, and that changes without any descriptor or
   timer telling. Before the kernel looks outside, or says that nothing can happen any more, it is
   asked whether there is something to do, in which case it wakes its task; and it is told when the
   kernel has looked. Neither may run Lua. */
struct guest {
    struct list link;
    void (*ask)(struct guest *g);
    void (*tell)(struct guest *g);
};

struct kernel {
    /* What each switch and each call that may block looks at, first: few cache lines. */
    lua_State *L;         /* the state that runs the loop; NULL while none does */
    lua_State *inner;     /* innermost coroutine of the running task; NULL inside the kernel */
    lua_State *top;       /* the same; NULL if it may not block */
    struct task *current; /* running now; NULL inside the kernel */
    struct list ready;
    int64_t tick;     /* coarse clock when the loop last looked outside */
    int io_budget;    /* operations the running task may do before it gives way */
    int run_budget;   /* tasks to run before looking outside again */
    int64_t now;      /* cached clock, ns; renewed each time the loop looks outside */
    uint64_t shuffle; /* state of the generator that picks the next ready task; 0: the first */
    bool parked;      /* the running task has put itself to sleep and is on its way out */
    bool exit_asked;  /* os.exit(code, true): leave the run, shut down, then end the process */
    bool stopping;    /* shutting down: no new task starts */
    bool jumping;     /* the clock is virtual: it stands, and jumps when no task is ready */
    uint8_t observed; /* OBSERVED_: who is told what becomes of tasks */
    bool closed;      /* shut down */
    bool dump;        /* of the curio program: SIGQUIT prints the stacks of all tasks */
    bool signalled;   /* SIGINT has been delivered to the principal */
    char *scratch;    /* KERNEL_SCRATCH bytes; contents never survive a yield */
    struct loop loop;
    struct heap timers;

    struct task *main; /* whose end ends the run; may be NULL */
    struct task
        *principal;     /* who gets Deadlock and Interrupted: main, or the child run() waits for */
    struct task *chunk; /* counts as the program's main chunk, alive; NULL: main does */
    struct list cycle_end; /* stands in the ready queue during a single cycle */
    struct list guests;    /* loops that a task waits for */
    unsigned grace;        /* instructions until SIGINT is raised in a task that computes, or 0 */
    bool holds_threads;    /* idle threads are kept until it ends */
    int exit_code;
    int64_t warn_at;   /* when shutdown names those that still run; CLOCK_NEVER: not */
    unsigned live;     /* tasks not terminated */
    unsigned external; /* outside events that may wake somebody: jobs, signal listeners, threads */
    uint64_t last_id;
    struct slot *slots;   /* from 1 to nslots */
    uint32_t *idle_slots; /* those whose coroutine waits for a new task; room for all */
    uint32_t idle;
    uint32_t nslots;
    uint32_t slot_room;
    int meta_ref;          /* registry: the metatable of tasks */
    const void *task_meta; /* the same, to compare */
    struct wake *wake;
    struct list sig_waiters;   /* see sig.h */
    struct sigtake_poke *poke; /* how handlers find it; NULL: no task has waited for a signal */
    struct monitor *volatile monitor; /* NULL: none */
    struct trace *trace;              /* NULL: none */
    uint32_t trace_pid;               /* its number in there */
    char *work; /* malloc'd when first needed: beside that, TLS works in it while a stream reads */
    pid_t pid;  /* a forked child must not run its parent's kernel */
    uint32_t serial; /* unique in the process, unlike its address, which comes again */
};

/* The time now, ns. The cached clock may be behind by what the running task has computed. */
int64_t kernel_now(struct kernel *k);

/* Pushes the object of the kernel that runs in this thread; nil: none does. [-0, +1, -] */
void kernel_push_running(lua_State *L);
/* The object on top runs from now on; with nil none does. [-1, +0, m] */
void kernel_set_running(lua_State *L);

/* The kernel whose loop runs in this thread; NULL: none. */
extern __thread struct kernel *kernel_current __attribute__((tls_model("initial-exec")));

/* May a cancellation or a deadline concern t? */
static inline bool task_bounded(const struct task *t) {
    return t->scope || t->flags & T_CANCELLED;
}

/* Counts one operation of the running task; false, and not counted, when task_spent must look
   closer. */
static inline bool task_afford(struct kernel *k) {
    int left = k->io_budget - 1;
    if (left <= 0 || left % 8u == 0)
        return false;
    k->io_budget = left;
    return true;
}

/* Pushes a new kernel object; raises on failure. poller may be NULL. [-0, +1, e] */
struct kernel *kernel_new(lua_State *L, const char *poller);

/* Takes the kernel's tables out of the registry, and frees what the C side holds. [-0, +0, -] */
void kernel_discard(lua_State *L, struct kernel *k);
/* Frees what the C side holds. Tasks must have ended, or their coroutines be garbage. */
void kernel_free(struct kernel *k);

/* Runs until `until` has terminated (NULL: until no task is left), or for one cycle with `once`.
   Raises only misuse. */
void kernel_loop(lua_State *L, struct kernel *k, struct task *until, bool once);

/* Asks the tasks younger than the one of that id to end, newest first; does not wait. */
void kernel_cancel_since(struct kernel *k, uint64_t id);

/* Cancels all tasks, newest first, and waits for them. */
void kernel_shutdown(lua_State *L, struct kernel *k);

/* The tables of k. They are three, since where keys come and go Lua counts all there are again and
   again, and there may be 100,000 tasks. */
enum kernel_table {
    KERNEL_COROUTINES, /* by slot; false where there is none */
    KERNEL_TASKS,      /* by slot, those that anybody has asked for */
    KERNEL_KEPT,       /* by lightuserdata: errors that are pending */
};
/* [-0, +1, -] */
void kernel_push_table(lua_State *L, const struct kernel *k, enum kernel_table which);

/* Values in the last of them. [-1, +0, m] [-0, +1, -] [-0, +0, -] */
void kernel_keep(lua_State *L, struct kernel *k, const void *key);
int kernel_kept(lua_State *L, struct kernel *k, const void *key); /* the Lua type */
void kernel_forget(lua_State *L, struct kernel *k, const void *key);

/* The coroutine that the next task will have; what a further task needs is reserved. [-0, +0, m] */
lua_State *kernel_idle_coroutine(lua_State *L, struct kernel *k);
/* The task in the slot has ended; without `reuse` its coroutine has had its day. Allocates nothing.
 */
void kernel_give_back(struct kernel *k, uint32_t slot, lua_State *co, bool reuse);

/* While the kernel runs: the trace is told from now on, or no longer. Without a trace nothing. */
void kernel_trace_begin(struct kernel *k);
void kernel_trace_end(struct kernel *k);

/* Without a monitor nothing. */
void kernel_close_monitor(struct kernel *k);

/* Answers a monitor's command, if one waits. L: the kernel's state, or the coroutine that runs.
   [-0, +0, -] */
void kernel_attend(lua_State *L, struct kernel *k);

/* Calls the Lua hook of that name (see core.hooks) with the nargs values on top of L; a failing
   hook is reported to stderr and otherwise ignored. [-nargs, +0, -] */
void kernel_hook(lua_State *L, const char *name, int nargs);

/* The table of hooks on top of L; see kernel_hook. [-1, +0, m] */
void kernel_set_hooks(lua_State *L);

#endif
