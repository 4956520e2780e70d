/*
 * joblib.h - a call of a Lua function in a thread of the crew, in the thread's own Lua state.
 *
 * The function and its arguments go there as a message, the results or the error come back as one;
 * nothing else is shared between the two states. While the function runs the thread may ask the one
 * who waits for it (AWAIT): a request goes one way, the thread parks, an answer comes back. The
 * fields of the talk are guarded by thread_lock.
 */
#ifndef CURIO_JOBLIB_H
#define CURIO_JOBLIB_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "copylib.h"
#include "message.h"
#include "state.h"
#include "thread.h"

enum talk {
    TALK_QUIET,
    TALK_ASKED,    /* request is filled, the thread is parked */
    TALK_SERVED,   /* request has been taken */
    TALK_ANSWERED, /* answer is filled */
};

struct luajob {
    struct thread_job job; /* first */
    struct state_paths *paths;
    struct message in;  /* function, arguments, task-locals or nil */
    struct message out; /* true, results; or false, error, traceback or nil */
    char failure[160];  /* why there is no `out`; empty: there is */
    uint64_t serial;    /* its own */
    bool async;         /* the function may use AWAIT; kernel objects have stand-ins */
    bool deserted;      /* nobody listens any more */
    bool left;          /* who listens shall not wait for its end */
    enum talk talk;
    struct message request, answer;
    struct thread *asker; /* while it is parked in AWAIT */
};

/* Once, before the first job. Any thread. */
void luajob_prepare(void);

/* NULL without memory. The paths are referred to. */
struct luajob *luajob_new(struct state_paths *paths);

/* For one that was not started. */
void luajob_free(struct luajob *j);

/* Nobody asks for its outcome any more: interrupts it and gives up the caller's reference. */
void luajob_desert(struct luajob *j);

/* The job that runs in this thread; NULL: none. */
struct luajob *luajob_current(void);

#endif
