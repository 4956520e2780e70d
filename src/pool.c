/*
 * pool: a queue, a list of parked threads, one lock; see pool.h.
 *
 * A worker is in one of three states: rising (made or woken, has not looked at the queue yet),
 * busy (runs a job), parked (asleep on a condition of its own, in `pool.parked`, newest first, so
 * that the cache-warm one is woken). Invariant, under the lock: each queued job has a rising worker
 * on its way, or no worker is parked and no further one can be made. Nobody ever waits for a
 * busy worker; rising ones are waited for at the last unref, which takes microseconds. Nothing of
 * others runs under the lock but `done`.
 */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/* Address space, not memory. getaddrinfo does with a fraction, but glibc takes all static
   thread-local storage from here too, and a sanitizer has 800 KiB of that. */
enum { STACK_SIZE = 1024 * 1024 };

enum { JOB_OUT, JOB_QUEUED, JOB_RUNNING, JOB_DONE }; /* JOB_OUT: not ours */
enum worker_state { AWAKE, PARKED, RETIRED };

/* Lives on its thread's stack; reachable by others only while parked. */
struct worker {
    pthread_t thread;
    pthread_cond_t wake;
    struct worker *below; /* the next in pool.parked */
    enum worker_state state;
};

static struct {
    pthread_mutex_t lock;     /* guards all below and the state of every job; taken last */
    pthread_cond_t settled;   /* rising has become 0 */
    struct job *first, *last; /* queued */
    struct worker *parked;
    int threads; /* all but the retired */
    int idle;    /* parked */
    int rising, queued, refs;
    bool watches_fork;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .settled = PTHREAD_COND_INITIALIZER};

/* ---- the queue ---- */

static void queue_add(struct job *job) {
    job->next = NULL;
    job->prev = pool.last;
    *(pool.last ? &pool.last->next : &pool.first) = job;
    pool.last = job;
    pool.queued++;
    job->state = JOB_QUEUED;
    job->abandoned = false;
}

static void queue_del(struct job *job, int state) {
    *(job->prev ? &job->prev->next : &pool.first) = job->next;
    *(job->next ? &job->next->prev : &pool.last) = job->prev;
    job->next = job->prev = NULL;
    pool.queued--;
    job->state = state;
}

static void job_drop(struct job *job) {
    if (job->drop)
        job->drop(job);
}

/* ---- threads; what is named worker_ is called with the lock held ---- */

static void worker_risen(void) {
    if (--pool.rising == 0)
        pthread_cond_broadcast(&pool.settled);
}

static void worker_park(struct worker *self) {
    self->below = pool.parked;
    self->state = PARKED;
    pool.parked = self;
    pool.idle++;
    while (self->state == PARKED)
        pthread_cond_wait(&self->wake, &pool.lock);
    if (self->state == AWAKE)
        worker_risen();
}

/* Takes the newest one out of the parked; there must be one. */
static void worker_rouse(enum worker_state state) {
    struct worker *worker = pool.parked;
    pool.parked = worker->below;
    pool.idle--;
    worker->state = state;
    pthread_cond_signal(&worker->wake);
}

/* The job must not be touched after `done` or `drop`: it may be gone. */
static void worker_run(struct job *job) {
    queue_del(job, JOB_RUNNING);
    pthread_mutex_unlock(&pool.lock);
    job->work(job);
    pthread_mutex_lock(&pool.lock);
    if (!job->abandoned) {
        job->state = JOB_DONE;
        job->done(job);
        return;
    }
    pthread_mutex_unlock(&pool.lock);
    job_drop(job);
    pthread_mutex_lock(&pool.lock);
}

static void thread_name(void) {
#ifdef __linux__
    pthread_setname_np(pthread_self(), "curio-pool");
#endif
}

/* Without references only a worker that has just been busy gets here unseen by the last unref. */
static void *worker_main(void *unused) {
    struct worker self = {.thread = pthread_self(), .wake = PTHREAD_COND_INITIALIZER};
    bool was_busy = false;

    (void)unused;
    thread_name();
    pthread_mutex_lock(&pool.lock);
    worker_risen();
    for (;;) {
        if (pool.first) {
            worker_run(pool.first);
            was_busy = true;
        } else if (was_busy && pool.refs == 0) {
            pthread_detach(self.thread);
            pool.threads--;
            break;
        } else {
            was_busy = false;
            worker_park(&self);
            if (self.state == RETIRED)
                break;
        }
    }
    pthread_mutex_unlock(&pool.lock);
    pthread_cond_destroy(&self.wake);
    return NULL;
}

/* Signals are blocked in the maker for that moment, as a thread inherits its mask. */
static int thread_make(void) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int err = pthread_attr_init(&attr);

    if (err)
        return -err;
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&thread, &attr, worker_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (err)
        return -err;
    pool.threads++;
    pool.rising++;
    return 0;
}

/* ---- fork: the child has the parent's memory and none of its threads ---- */

static void fork_prepare(void) {
    pthread_mutex_lock(&pool.lock);
}

static void fork_parent(void) {
    pthread_mutex_unlock(&pool.lock);
}

/* References stay, for the child may still close what holds them. Queued jobs are given back to
   their owners as if cancelled; running ones run on in the parent only. */
static void fork_child(void) {
    while (pool.first)
        queue_del(pool.first, JOB_OUT);
    pool.parked = NULL;
    pool.threads = pool.idle = pool.rising = 0;
    pool.settled = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pthread_mutex_unlock(&pool.lock);
}

static int fork_watch(void) {
    if (pool.watches_fork)
        return 0;
    int err = pthread_atfork(fork_prepare, fork_parent, fork_child);
    pool.watches_fork = err == 0;
    return -err;
}

/* ---- what others see ---- */

void pool_ref(void) {
    pthread_mutex_lock(&pool.lock);
    pool.refs++;
    pthread_mutex_unlock(&pool.lock);
}

/* Fills ended[] with the threads told to end. */
static int retire_parked(pthread_t ended[POOL_MAX]) {
    int n = 0;
    while (pool.rising > 0 && pool.refs == 0)
        pthread_cond_wait(&pool.settled, &pool.lock);
    while (pool.refs == 0 && pool.parked) {
        ended[n++] = pool.parked->thread;
        worker_rouse(RETIRED);
        pool.threads--;
    }
    return n;
}

void pool_unref(void) {
    pthread_t ended[POOL_MAX];
    int n = 0;

    pthread_mutex_lock(&pool.lock);
    if (pool.refs > 0 && --pool.refs == 0)
        n = retire_parked(ended);
    pthread_mutex_unlock(&pool.lock);
    while (n > 0)
        pthread_join(ended[--n], NULL);
}

/* Sees to it that somebody comes for one more queued job. */
static int worker_call(void) {
    int err = 0;
    if (pool.rising > pool.queued)
        return 0;
    if (pool.parked) {
        worker_rouse(AWAKE);
        pool.rising++;
    } else if (pool.threads < POOL_MAX) {
        err = fork_watch();
        if (err == 0)
            err = thread_make();
    }
    return pool.threads > 0 ? 0 : err;
}

int pool_submit(struct job *job) {
    int err;
    pthread_mutex_lock(&pool.lock);
    err = pool.refs > 0 ? worker_call() : -ESHUTDOWN;
    if (err == 0)
        queue_add(job);
    pthread_mutex_unlock(&pool.lock);
    return err;
}

bool pool_cancel(struct job *job) {
    bool ours;
    pthread_mutex_lock(&pool.lock);
    if (job->state == JOB_QUEUED)
        queue_del(job, JOB_OUT);
    ours = job->state == JOB_OUT;
    pthread_mutex_unlock(&pool.lock);
    return ours;
}

void pool_abandon(struct job *job) {
    if (pool_cancel(job)) {
        job_drop(job);
        return;
    }
    pthread_mutex_lock(&pool.lock);
    job->abandoned = true;
    pthread_mutex_unlock(&pool.lock);
}

bool pool_collect(struct job *job) {
    bool wanted = !job->abandoned;
    job->state = JOB_OUT;
    if (!wanted)
        job_drop(job);
    return wanted;
}

void pool_counts(int *threads, int *idle, int *queued) {
    pthread_mutex_lock(&pool.lock);
    *threads = pool.threads;
    *idle = pool.idle;
    *queued = pool.queued;
    pthread_mutex_unlock(&pool.lock);
}
