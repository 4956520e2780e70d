/*
 * pool: threads for C jobs that would block the kernel's thread (getaddrinfo, files).
 *
 * One pool per process. Threads are made when a job finds none idle, up to POOL_MAX, are kept
 * while somebody holds a reference, and block all signals. A job that hangs keeps its thread
 * and nobody else's. Jobs start in the order they were submitted.
 *
 * Ownership: a job belongs to the pool from a successful pool_submit until `done` is called or
 * pool_cancel returns true. `done` runs under the pool's lock, so once pool_abandon has returned
 * it is either over or will never come: what it refers to may then be freed. For the same reason
 * `done` must be short and must not call pool_ functions. A `done` that finds nobody to hand the
 * job to calls job->drop.
 *
 * The whole protocol of a kernel: submit; in `done` post job->node to the wake queue; when that
 * runs it ask pool_collect whether the job still matters. A task that no longer wants its job calls
 * pool_abandon and forgets it. A kernel that ends abandons its jobs, empties its wake queue
 * through pool_collect, and drops its reference.
 *
 * After a fork the child's pool is empty: queued jobs count as cancelled, `done` never comes for
 * those that were running. A module with this file in it must never be unmapped (-z nodelete):
 * a busy thread may outlive the last reference.
 */
#ifndef CURIO_POOL_H
#define CURIO_POOL_H

#include "wake.h"

#include <stdbool.h>

enum { POOL_MAX = 64 };

struct job {
    void (*work)(struct job *); /* in a pool thread, no lock held; may block */
    void (*done)(struct job *); /* in that thread, under the pool's lock: hands the job back */
    void (*drop)(struct job *); /* frees an abandoned job, in whichever thread; may be NULL */
    void *owner;                /* the submitter's, never read here: say, its kernel */
    void *waiter;               /* likewise: say, its task */
    struct wake_node node;      /* likewise: for `done` to post the job to a kernel */
    struct job *next, *prev;    /* the pool's, as all that follows */
    int state;                  /* 0 before the first submit */
    bool abandoned;             /* false before the first submit */
};

/* Each kernel holds one reference. The last unref joins idle threads (never blocks on busy ones,
   they end by themselves after their jobs). */
void pool_ref(void);
void pool_unref(void);

/* 0, or -ESHUTDOWN without a reference, or -EAGAIN/-ENOMEM if there is no thread and none could
   be made: the job then remains the caller's. A job may be submitted again once it is back. */
int pool_submit(struct job *job);

/* True: it was still queued, never runs, `done` is not called, it is the caller's again. False:
   `done` has been called or will be. Only by the owner, on a job not yet collected. */
bool pool_cancel(struct job *job);

/* The owner loses interest: the job is dropped here and now if queued, by its thread if running,
   by pool_collect if `done` has been called. The caller must not touch it again, except to take
   it off its wake queue. */
void pool_abandon(struct job *job);

/* For what arrives through `done`, in the thread that may have abandoned it: true: use it, it is
   yours; false: it was abandoned and has now been dropped. */
bool pool_collect(struct job *job);

/* For tests. Threads that exist, threads without work, jobs no thread has begun. */
void pool_counts(int *threads, int *idle, int *queued);

#endif
