/*
 * task.h - one task: a coroutine and what the kernel knows of it.
 *
 * The struct is the payload of the Lua object that users hold (metatable "curio.Task"). The
 * kernel's table of tasks keeps the coroutine alive, and the coroutine's bottom frame the object.
 * The object's first user value is the outcome, the second one the task's function, or its name as
 * a string.
 *
 * A task sleeps in one place at a time, so its list node and its timer are in here and sleeping
 * never allocates. Whoever puts it to sleep supplies `undo`, which takes it out of where it waits;
 * so waking it for another reason always succeeds, at once.
 */
#ifndef CURIO_TASK_H
#define CURIO_TASK_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "heap.h"
#include "list.h"
#include "scope.h"

struct kernel;
struct member;

enum {
    T_ASLEEP = 1,        /* undo is set; in no ready queue */
    T_DONE = 2,          /* terminated */
    T_FAILED = 4,        /* ended by an error */
    T_PACKED = 8,        /* the outcome is a table.pack of several results */
    T_DAEMON = 16,       /* .daemon */
    T_CANCELLED = 32,    /* every blocking call raises the pending error */
    T_CANCEL_ASKED = 64, /* .cancelled: was ever asked to end */
    T_STARTED = 128,     /* the body has begun */
    T_CLOSE = 256,       /* to be closed by force at its next blocking call */
    T_ORDERED = 512,     /* ended as it was told to: by a cancellation */
    T_LOCALS = 1024,     /* has task-local values */
    T_LISTED = 4096,     /* its object stands in the kernel's table of tasks */
    T_HOOKED = 8192,     /* was raised in by a hook: it computes, and may never block */
    T_THROW = 2048,      /* to raise the error kept for it once, when it wakes */
};

enum wake_reason { WAKE_OK, WAKE_INTERRUPTED };

/* Outcome slots of the Lua object. */
enum { TASK_UV_OUTCOME = 1, TASK_UV_NAME = 2 };

struct task {
    struct list link; /* in the ready queue, in a wait list, or in its group's list of finished */
    lua_State *L;     /* NULL once terminated */
    struct kernel *kernel;
    const char
        *state; /* what users see: "READ_WAIT"; literal, or kept alive by the sleeper's stack */
    void (*undo)(struct task *);
    void *on;              /* what it waits for; undo's business */
    struct scope *scope;   /* innermost; NULL: none */
    struct member *member; /* of a group; NULL: none */
    struct task *joiner;   /* the first of those that wait for its end, ringed by their links */
    struct timer timer; /* armed only while asleep: end of the sleep, or the deadline if sooner */
    /* Counts of 48 bits: at a million a second they last for nine years. */
    uint64_t id : 48;
    uint64_t flags : 16;
    uint64_t parent : 48;   /* id of the spawner; 0: none */
    uint64_t swallowed : 8; /* times a pcall caught the cancellation in force */
    uint64_t delivered : 8; /* times it was raised, saturating */
    uint64_t cycles : 48;   /* times it was resumed */
    uint64_t counted : 8;   /* `delivered` when a pcall last caught something */
    uint64_t values : 8;    /* handed to the sleeper: they wait on top of L until it runs */
    uint32_t slot;          /* in the kernel's table of tasks */
    uint32_t shields : 31;  /* SCOPE_SHIELDs in the chain */
    uint32_t wake : 1;      /* enum wake_reason of the last time */
};

/* Nested coroutines (colib.c). A coroutine through which a trap has passed to its resumer sleeps
   with TASK_TRAP_MARK on top of its stack, and the resumer with the coroutine and TASK_NEST_MARK.
 */
extern char task_trap_mark, task_nest_mark;
#define TASK_TRAP_MARK ((void *)&task_trap_mark)
#define TASK_NEST_MARK ((void *)&task_nest_mark)

/* A cancellation raised that often is not being heard: the task is closed. */
#define TASK_DELIVER_LIMIT 250

/* Errors and tracebacks of a task that are not the outcome (yet) are kept by the kernel under
   these keys; those of scopes stand under the scopes' addresses. */
static inline const void *task_pending_key(struct task *t) {
    return t;
}
static inline const void *task_throw_key(struct task *t) {
    return (char *)t + 1;
}
static inline const void *task_traceback_key(struct task *t) {
    return (char *)t + 2;
}

extern const char TASK_INITIAL[], TASK_READY[], TASK_RUNNING[], TASK_TERMINATED[], TASK_JOIN[],
    TASK_CANCEL[];

/* Makes a task of the function and nargs arguments on top of L and leaves its object there instead.
   May raise (memory); then nothing has been made. [-(nargs+1), +1, m] */
struct task *task_spawn(lua_State *L, struct kernel *k, int nargs);

/* Tells the Lua layer of the new task, whose object is on top and whose name has been set.
   [-0, +0, -] */
void task_announce(lua_State *L, struct task *t);

/* Pushes the object of a live task. [-0, +1, m] */
void task_push(lua_State *L, struct task *t);

/* Argument check. */
struct task *task_check(lua_State *L, int arg);

/* Everything a blocking call must ask before anything else: that a kernel runs and L is a coroutine
   of its running task and may yield (raises, naming `verb`), and that no cancellation is in force
   (raises it, the second time giving way to others first). [-0, +0, v] */
struct task *task_enter(lua_State *L, const char *verb);

/* The running task, if task_enter would raise a cancellation in it; NULL: it would not. For who has
   something to add to that error. */
struct task *task_pending(const lua_State *L);

/* Puts the running task to sleep; the caller then returns lua_yieldk. wake_at: CLOCK_NEVER for
   none. Cannot fail. */
void task_sleep(struct task *t, const char *state, void (*undo)(struct task *), void *on,
                int64_t wake_at);

/* Counts one operation that did not have to wait: true when the running task has had its share, 64
   operations or a tick of the coarse clock, and should give way first. */
bool task_spent(struct task *t);

/* As task_sleep, but only lets the other ready tasks run first. */
void task_give_way(struct task *t);

/* An undo for tasks that wait linked in a list. */
void task_unlink(struct task *t);

/* Undoes the sleep and makes the task ready. */
void task_wake(struct task *t, enum wake_reason why);

/* In the continuation of a sleep: raises if it was undone by a cancellation. [-0, +0, v] */
struct task *task_woken(lua_State *L);

/* Is a cancellation or an expired deadline in force that a blocking call must raise? */
bool task_interrupted(struct task *t);

/* Pushes the error it must raise. Only when task_interrupted. [-0, +1, m] */
void task_push_interrupt(lua_State *L, struct task *t);

/* Raises it. Never returns. */
int task_raise_interrupt(lua_State *L, struct task *t);

/* From a hook in the running task, which may never block: raises it, and does so again, in a while,
   whenever a pcall has caught it. Never returns. */
int task_raise_in_hook(lua_State *L, struct task *t);

/* From a hook in the running task: does so when it has computed for a while longer without
   blocking. For in the middle of things, what it has just opened or started may not be in its hands
   yet. Raises at once where the program has a hook of its own. [-0, +0, v] */
void task_raise_in_time(lua_State *L, struct task *t);

/* That time goes on in another coroutine of the task, which runs now. */
void task_grace_goes_on(lua_State *L);

/* Wakes a sleeping task with the error object on top of L, which is raised once. [-1, +0, m] */
void task_throw(lua_State *L, struct task *t);

/* Asks t to end with the error object on top of L. [-1, +0, m] */
void task_cancel(lua_State *L, struct task *t);

/* Sets, or with nil clears, the cancellation pending for t. [-1, +0, m] */
void task_set_pending(lua_State *L, struct task *t);

/* For an error just caught by pcall and lying on top of L: raises it again if it is a cancellation
   that has been swallowed too often. [-0, +0, v] */
void task_caught(lua_State *L);

/* The cancellation in force passes through pcall from now on. */
void task_insist(struct task *t);

/* Lifts its shields and withdraws what is pending, so that the next cancellation reaches it. */
void task_expose(lua_State *L, struct task *t);

/* A scope entered in coroutine L by the running task; NULL without memory. */
struct scope *task_enter_scope(struct task *t, lua_State *L, enum scope_kind kind,
                               int64_t deadline);
void task_leave_scope(lua_State *L, struct task *t, struct scope *s);
/* A coroutine L that yields to the program takes the scopes it has entered with it, and brings them
   back when it is resumed: they bound its work, not that of whoever resumes it. NULL: it has none.
 */
struct scope *task_detach_scopes(struct task *t, lua_State *L);
void task_attach_scopes(struct task *t, struct scope *taken);
/* Frees detached scopes. */
void task_drop_scopes(struct scope *taken);
/* The expiry of s has been accepted: its error is forgotten, and how often it was raised. */
void task_calm(lua_State *L, struct task *t, struct scope *s);
/* A group's member failed: its body, in scope s, is to stop. */
void task_expire_scope(struct scope *s);

/* Puts the running task to sleep until t ends. */
void task_sleep_until_end(struct task *self, struct task *t, const char *state, int64_t wake_at);

/* Does somebody wait in join (not in wait) for its end? */
bool task_joined(const struct task *t);

/* The coroutine that a sleeping L has resumed and whose trap it passes on; NULL: L itself sleeps.
 */
lua_State *task_resumed_by(const struct task *t, lua_State *L);

/* The innermost coroutine of a task that is asleep or running. */
lua_State *task_innermost(struct task *t);

/* The kernel's side, called between tasks only. Runs the task until it sleeps or ends. */
void task_run(struct task *t);

/* Closes the coroutines of a sleeping task by force, innermost first, and ends it with the error
   object on top of the kernel's state. [-1, +0, -] */
void task_close(struct task *t);

/* For the tasks of a kernel that is collected with them: what still asks finds them failed. */
void task_abandon(lua_State *L, struct task *t);
/* Before that, if there is memory: gives it an outcome. [-0, +0, m] */
void task_mourn(lua_State *L, struct task *t);

/* Pushes the task's name as a string. [-0, +1, m] */
const char *task_push_name(lua_State *L, struct task *t, int object);

#endif
