/*
 * thread.h - threads that keep something (a Lua state) from job to job; parking, interrupting.
 *
 * The crew is one set of threads per process. A job gets an idle thread or a new one; how many jobs
 * run at once is limited by their gate, if they have one, and those above it wait in its queue. A
 * running job can be told to stop: a flag is set, its thread gets a signal and is woken if it is
 * parked, and its place at the gate goes to the next, however long it takes to end.
 *
 * A job is counted: the crew holds a reference from thread_start to its end, whoever waits for it
 * another. So nobody has to stay until it has ended, and at the end of the process a thread that
 * never returns is simply left behind. All signals but the interrupting one are blocked in threads
 * of the crew.
 *
 * Idle threads are kept while somebody holds the crew (thread_hold); the last one to let go sends
 * them home and waits for that.
 */
#ifndef CURIO_THREAD_H
#define CURIO_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "list.h"

struct thread;
struct thread_job;

/* ---- jobs ---- */

enum job_state {
    THREAD_JOB_NEW,
    THREAD_JOB_QUEUED,
    THREAD_JOB_RUNNING, /* or about to: a thread is coming */
    THREAD_JOB_ENDED,   /* also when it never ran; then `refused` says why */
};

struct thread_job {
    void (*work)(struct thread_job *, struct thread *); /* in a thread of the crew; may block */
    void (*drop)(struct thread_job *); /* frees it: nobody refers to it; any thread, no lock held */
    /* All below is thread.c's, guarded by its lock; 0 before thread_start. */
    struct list link;      /* in its gate's queue */
    struct list listeners; /* who wants to know when it ends; see thread_listen */
    struct gate *gate;     /* whose place it has or waits for; NULL: none */
    struct thread *thread; /* that runs it; NULL */
    atomic_int refs;
    _Atomic enum job_state state; /* ENDED may be seen without the lock: all is said then */
    int refused;                  /* it never ran: -ECANCELED, or why no thread could be made */
    bool interrupted;
};

/* Limits how many of the jobs started through it run at once. Reference counted, as a job may
   outlive who made it. */
struct gate *gate_new(void); /* NULL without memory */
void gate_unref(struct gate *g);

/* After setting work and drop; the caller has one reference afterwards. limit: of the gate, from
   now on. 0; or -EAGAIN, -ENOMEM if no thread could be made and none will come: then the job has
   no reference and stays the caller's. */
int thread_start(struct thread_job *job, struct gate *gate, int limit);

void thread_job_ref(struct thread_job *job);
void thread_job_unref(struct thread_job *job);

bool thread_job_ended(struct thread_job *job);

/* Tells it to end. If it is queued it never runs. Any thread; the second time nothing happens. */
void thread_interrupt(struct thread_job *job);

/* Somebody who wants to be told. */
struct listener {
    struct list link;
    void (*notify)(
        struct listener *); /* under the lock: must be short, call nothing of this file */
};

/* notify is called when the job ends or thread_announce is called for it, once: then it is off the
   list. False: the job has ended already. */
bool thread_listen(struct thread_job *job, struct listener *l);
/* False: notify has been called. */
bool thread_unlisten(struct listener *l);
void thread_announce(struct thread_job *job);

/* For what a job shares with those who listen. */
void thread_lock(void);
void thread_unlock(void);

/* ---- the crew ---- */

void thread_hold(void);
void thread_let_go(void);

/* What a thread of the crew keeps, NULL at first. All are called in that thread, with what it keeps
   if that is not NULL. Set once, before the first job. */
struct thread_keeper {
    void (*leave)(void *kept); /* it ends */
    bool (*tired)(void *kept); /* shall it rest before it becomes idle? Under the lock: short */
    void (*rest)(void *kept);
};
void thread_set_keeper(const struct thread_keeper *keeper);
void **thread_kept(struct thread *t);

/* For tests: threads of the crew, and those with a job that has not been told to end. */
void thread_counts(int *threads, int *busy);

/* ---- the calling thread, of the crew or not ---- */

/* NULL without memory; never so in a thread of the crew. */
struct thread *thread_self(void);

/* Blocks the calling thread until thread_unpark was called since the last time (0), the clock of
   clock.h has passed the deadline (-ETIMEDOUT), or it is interrupted (-EINTR). */
int thread_park(int64_t deadline);
/* From any thread; t must be known to live. */
void thread_unpark(struct thread *t);

/* Has the job that the calling thread runs been told to end? Stays so until it is taken.
   Async-signal-safe. */
bool thread_interrupted(void);
bool thread_take_interrupt(void);

#endif
