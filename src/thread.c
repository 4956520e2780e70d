/*
 * thread.c - the crew: one lock, a stack of idle threads, a queue for each gate; see thread.h.
 *
 * A job that has its place is due: the next thread that comes takes it. Only one is called at a
 * time, and calls another if it leaves more than it took; so many short jobs are done by few
 * threads, which need not sleep and be woken for each.
 *
 * Invariants, under the lock: a thread either runs a job, or stands in crew.idle, or is coming, or
 * is on its way out; while a job is due, a thread is coming; a job is queued only while its gate is
 * full; each due or running job that was not interrupted has one place at its gate. Nothing of
 * others runs under the lock but `notify`.
 */
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "nudge.h"

enum { STACK_SIZE = 8 * 1024 * 1024 }; /* address space; Lua nests 200 C calls deep */
enum { IDLE_MAX = 64 };

struct thread {
    pthread_t id;
    pthread_cond_t called;   /* coming or retired; with the crew's lock */
    struct thread *below;    /* the next idle one */
    struct thread_job *dead; /* the last job, if it is to be dropped */
    bool coming, retired;
    void *kept;              /* only touched by the thread itself */
    atomic_bool interrupt;   /* its job has been told to end; set under the lock */
    pthread_mutex_t parking; /* guards token; taken last */
    pthread_cond_t unparked;
    bool token;
};

struct gate {
    struct list queue;
    int refs;
    int busy;
    int limit;
};

static struct {
    pthread_mutex_t lock;
    struct thread *idle; /* newest first, so that the cache-warm one is called */
    int threads, nidle, refs;
    struct list due; /* jobs, the oldest first */
    int coming;      /* threads */
    int busy;        /* jobs, due or running, that have not been told to end */
    bool prepared;   /* for a fork */
    const struct thread_keeper *keeper;
} crew = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __thread struct thread *self_of_thread __attribute__((tls_model("initial-exec")));
static pthread_key_t foreign_key; /* frees the struct of a thread that is not ours */
static pthread_once_t foreign_once = PTHREAD_ONCE_INIT;

void thread_lock(void) {
    pthread_mutex_lock(&crew.lock);
}

void thread_unlock(void) {
    pthread_mutex_unlock(&crew.lock);
}

void thread_set_keeper(const struct thread_keeper *keeper) {
    thread_lock();
    crew.keeper = keeper;
    thread_unlock();
}

void **thread_kept(struct thread *t) {
    return &t->kept;
}

/* ---- struct thread ---- */

static struct thread *thread_new(void) {
    struct thread *t = calloc(1, sizeof *t);
    pthread_condattr_t attr;
    if (!t)
        return NULL;
    pthread_cond_init(&t->called, NULL);
    pthread_mutex_init(&t->parking, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->unparked, &attr);
    pthread_condattr_destroy(&attr);
    return t;
}

static void thread_free(void *ptr) {
    struct thread *t = ptr;
    pthread_cond_destroy(&t->called);
    pthread_cond_destroy(&t->unparked);
    pthread_mutex_destroy(&t->parking);
    free(t);
}

static void foreign_prepare(void) {
    pthread_key_create(&foreign_key, thread_free);
}

struct thread *thread_self(void) {
    if (self_of_thread)
        return self_of_thread;
    struct thread *t = thread_new();
    if (!t)
        return NULL;
    t->id = pthread_self();
    pthread_once(&foreign_once, foreign_prepare);
    pthread_setspecific(foreign_key, t);
    return self_of_thread = t;
}

/* ---- parking ---- */

static int wait_until(struct thread *t, int64_t deadline) {
    struct timespec ts = {.tv_sec = (time_t)(deadline / 1000000000),
                          .tv_nsec = (long)(deadline % 1000000000)};
    if (deadline == CLOCK_NEVER)
        return pthread_cond_wait(&t->unparked, &t->parking);
    return pthread_cond_timedwait(&t->unparked, &t->parking, &ts);
}

int thread_park(int64_t deadline) {
    struct thread *t = thread_self();
    int err = 0;
    if (!t)
        return -ENOMEM;
    pthread_mutex_lock(&t->parking);
    while (!t->token && !err && !atomic_load_explicit(&t->interrupt, memory_order_relaxed))
        err = wait_until(t, deadline);
    int result = t->token ? 0 : err ? -err : -EINTR;
    t->token = false;
    pthread_mutex_unlock(&t->parking);
    return result;
}

void thread_unpark(struct thread *t) {
    pthread_mutex_lock(&t->parking);
    t->token = true;
    pthread_cond_signal(&t->unparked);
    pthread_mutex_unlock(&t->parking);
}

/* ---- interrupting ---- */

bool thread_interrupted(void) {
    struct thread *t = self_of_thread;
    return t && atomic_load_explicit(&t->interrupt, memory_order_relaxed);
}

bool thread_take_interrupt(void) {
    struct thread *t = self_of_thread;
    return t && atomic_exchange_explicit(&t->interrupt, false, memory_order_relaxed);
}

/* Under the lock. A thread that is parked looks at the flag under its own lock, so that it cannot
   miss it. */
static void interrupt_thread(struct thread *t) {
    atomic_store_explicit(&t->interrupt, true, memory_order_relaxed);
    pthread_mutex_lock(&t->parking);
    pthread_cond_signal(&t->unparked);
    pthread_mutex_unlock(&t->parking);
    nudge_thread(t->id);
}

/* ---- gates; under the lock ---- */

struct gate *gate_new(void) {
    struct gate *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    list_init(&g->queue);
    g->refs = 1;
    return g;
}

static void gate_drop(struct gate *g) {
    if (--g->refs == 0)
        free(g);
}

void gate_unref(struct gate *g) {
    thread_lock();
    gate_drop(g);
    thread_unlock();
}

static bool gate_open(const struct gate *g) {
    return g->busy < g->limit && !list_empty(&g->queue);
}

static struct thread_job *gate_next(struct gate *g) {
    g->busy++;
    return container_of(list_pop(&g->queue), struct thread_job, link);
}

/* ---- the life of a job; under the lock ---- */

/* Also without it. */
static bool drop_ref(struct thread_job *job) {
    return atomic_fetch_sub(&job->refs, 1) == 1;
}

void thread_announce(struct thread_job *job) {
    struct list *node;
    while ((node = list_pop(&job->listeners)) != NULL) {
        struct listener *l = container_of(node, struct listener, link);
        l->notify(l);
    }
}

static void end_job(struct thread_job *job, int refused) {
    if (job->state == THREAD_JOB_RUNNING && !job->interrupted)
        crew.busy--;
    job->refused = refused;
    job->thread = NULL;
    job->state = THREAD_JOB_ENDED;
    thread_announce(job);
}

static void make_due(struct thread_job *job) {
    job->state = THREAD_JOB_RUNNING;
    crew.busy++;
    list_add_tail(&crew.due, &job->link);
}

/* Its place is the next one's. */
static void leave_gate(struct thread_job *job) {
    struct gate *g = job->gate;
    if (!g)
        return;
    job->gate = NULL;
    g->busy--;
    if (gate_open(g))
        make_due(gate_next(g));
    gate_drop(g);
}

/* It never runs. To be dropped by the caller: the jobs chained by their links. */
static void refuse(struct thread_job *job, int why, struct list *dead) {
    list_del(&job->link);
    leave_gate(job);
    end_job(job, why);
    if (drop_ref(job))
        list_add_tail(dead, &job->link);
}

static void drop_all(struct list *dead) {
    struct list *node;
    while ((node = list_pop(dead)) != NULL) {
        struct thread_job *job = container_of(node, struct thread_job, link);
        job->drop(job);
    }
}

/* ---- threads of the crew ---- */

static void call_or_refuse(struct list *dead);

/* The next job, which is the thread's from then on: whoever interrupts it finds the thread. */
static struct thread_job *take_due(struct thread *self) {
    struct list *node = list_pop(&crew.due);
    struct thread_job *job = node ? container_of(node, struct thread_job, link) : NULL;
    if (job)
        job->thread = self;
    return job;
}

/* Lock held; released while it runs. */
static void run_job(struct thread *self, struct thread_job *job) {
    struct list dead;
    list_init(&dead);
    if (self->dead)
        list_add_tail(&dead, &self->dead->link);
    self->dead = NULL;
    call_or_refuse(&dead);
    thread_unlock();
    drop_all(&dead);
    job->work(job, self);
    thread_lock();
    end_job(job, 0);
    atomic_store_explicit(&self->interrupt, false, memory_order_relaxed);
    leave_gate(job);
    self->dead = drop_ref(job) ? job : NULL;
}

/* Only when it can be called again: else who has waited for the job, and has the next one, would
   find nobody idle. */
static void drop_dead(struct thread *self) {
    struct thread_job *dead = self->dead;
    self->dead = NULL;
    if (!dead)
        return;
    thread_unlock();
    dead->drop(dead);
    thread_lock();
}

static void rest(struct thread *self) {
    if (!self->kept || !crew.keeper->tired(self->kept))
        return;
    thread_unlock();
    crew.keeper->rest(self->kept);
    thread_lock();
}

/* False: it shall end, and nobody waits for that. */
static bool wait_for_call(struct thread *self) {
    rest(self);
    if (crew.refs == 0 || crew.nidle >= IDLE_MAX)
        return false;
    self->below = crew.idle;
    crew.idle = self;
    crew.nidle++;
    drop_dead(self);
    while (!self->coming && !self->retired)
        pthread_cond_wait(&self->called, &crew.lock);
    return !self->retired;
}

static void arrive(struct thread *self) {
    self->coming = false;
    crew.coming--;
}

static void *thread_main(void *arg) {
    struct thread *self = arg;
    self_of_thread = self;
#ifdef __linux__
    pthread_setname_np(pthread_self(), "curio-lua");
#endif
    thread_lock();
    do {
        struct thread_job *job;
        arrive(self);
        while ((job = take_due(self)) != NULL)
            run_job(self, job);
    } while (wait_for_call(self));
    drop_dead(self);
    bool retired = self->retired;
    thread_unlock();
    if (self->kept)
        crew.keeper->leave(self->kept);
    self_of_thread = NULL;
    if (!retired)
        pthread_detach(pthread_self());
    thread_lock();
    crew.threads--;
    thread_unlock();
    thread_free(self);
    return NULL;
}

/* Those of the program's own faults stay open, for debuggers and sanitizers. */
static void block_signals(sigset_t *before) {
    static const int open[] = {NUDGE_SIGNAL, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        sigdelset(&set, open[i]);
    pthread_sigmask(SIG_SETMASK, &set, before);
}

static int spawn(struct thread *t) {
    pthread_attr_t attr;
    sigset_t before;
    int err = pthread_attr_init(&attr);
    if (err)
        return -err;
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    block_signals(&before);
    err = pthread_create(&t->id, &attr, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -err;
}

static int call_new(void) {
    struct thread *t = thread_new();
    if (!t)
        return -ENOMEM;
    t->coming = true;
    int err = spawn(t);
    if (err) {
        thread_free(t);
        return err;
    }
    crew.coming++;
    crew.threads++;
    return 0;
}

static int call_thread(void) {
    struct thread *t = crew.idle;
    if (!t)
        return call_new();
    crew.idle = t->below;
    crew.nidle--;
    t->coming = true;
    crew.coming++;
    pthread_cond_signal(&t->called);
    return 0;
}

/* Sees to it that somebody comes for what is due. Jobs for which there is no thread end so. */
static void call_or_refuse(struct list *dead) {
    while (!crew.coming && !list_empty(&crew.due)) {
        int err = call_thread();
        if (err)
            refuse(container_of(crew.due.next, struct thread_job, link), err, dead);
    }
}

/* ---- fork: the child has the parent's memory and none of its threads ---- */

static void fork_child(void) {
    crew.idle = NULL;
    list_init(&crew.due);
    crew.threads = crew.nidle = crew.coming = crew.busy = 0;
    thread_unlock();
}

/* Under the lock. */
static int prepare(void) {
    if (crew.prepared)
        return 0;
    int err = nudge_prepare();
    if (!err)
        err = -pthread_atfork(thread_lock, thread_unlock, fork_child);
    if (!err)
        list_init(&crew.due);
    crew.prepared = !err;
    return err;
}

/* ---- what others see ---- */

/* Has it a place? */
static bool enter_gate(struct thread_job *job, struct gate *gate, int limit) {
    if (!gate)
        return true;
    gate->limit = limit;
    gate->refs++;
    job->gate = gate;
    if (gate->busy < limit && list_empty(&gate->queue)) {
        gate->busy++;
        return true;
    }
    job->state = THREAD_JOB_QUEUED;
    list_add_tail(&gate->queue, &job->link);
    return false;
}

/* If nobody can come for it, it is as if it had not been started. */
static int start(struct thread_job *job) {
    int err = crew.coming ? 0 : call_thread();
    if (!err)
        make_due(job);
    else
        leave_gate(job);
    return err;
}

/* The limit may have been raised. */
static void pump(struct gate *gate) {
    while (gate && gate_open(gate))
        make_due(gate_next(gate));
}

int thread_start(struct thread_job *job, struct gate *gate, int limit) {
    struct list dead;
    list_init(&dead);
    list_init(&job->link);
    list_init(&job->listeners);
    thread_lock();
    int err = prepare();
    job->refs = 2;
    if (!err && enter_gate(job, gate, limit))
        err = start(job);
    if (!err)
        pump(gate);
    else
        job->refs = 0;
    call_or_refuse(&dead);
    thread_unlock();
    drop_all(&dead);
    return err;
}

void thread_job_ref(struct thread_job *job) {
    atomic_fetch_add(&job->refs, 1);
}

void thread_job_unref(struct thread_job *job) {
    if (drop_ref(job))
        job->drop(job);
}

bool thread_job_ended(struct thread_job *job) {
    return job->state == THREAD_JOB_ENDED;
}

/* Still queued: it has no place to leave. */
static void withdraw(struct thread_job *job, struct list *dead) {
    struct gate *g = job->gate;
    job->gate = NULL;
    refuse(job, -ECANCELED, dead);
    gate_drop(g);
}

static void interrupt_running(struct thread_job *job) {
    job->interrupted = true;
    crew.busy--;
    interrupt_thread(job->thread);
    leave_gate(job);
}

void thread_interrupt(struct thread_job *job) {
    struct list dead;
    list_init(&dead);
    thread_lock();
    if (job->state == THREAD_JOB_QUEUED)
        withdraw(job, &dead);
    else if (job->state == THREAD_JOB_RUNNING && !job->thread)
        refuse(job, -ECANCELED, &dead);
    else if (job->state == THREAD_JOB_RUNNING && !job->interrupted)
        interrupt_running(job);
    call_or_refuse(&dead);
    thread_unlock();
    drop_all(&dead);
}

bool thread_listen(struct thread_job *job, struct listener *l) {
    thread_lock();
    bool running = job->state != THREAD_JOB_ENDED;
    if (running)
        list_add_tail(&job->listeners, &l->link);
    thread_unlock();
    return running;
}

bool thread_unlisten(struct listener *l) {
    thread_lock();
    bool listed = !list_empty(&l->link);
    list_del(&l->link);
    thread_unlock();
    return listed;
}

void thread_hold(void) {
    thread_lock();
    crew.refs++;
    thread_unlock();
}

void thread_let_go(void) {
    pthread_t ended[IDLE_MAX];
    int n = 0;
    thread_lock();
    if (--crew.refs == 0) {
        for (struct thread *t = crew.idle; t; t = t->below) {
            t->retired = true;
            ended[n++] = t->id;
            pthread_cond_signal(&t->called);
        }
        crew.idle = NULL;
        crew.nidle = 0;
    }
    thread_unlock();
    while (n > 0)
        pthread_join(ended[--n], NULL);
}

void thread_counts(int *threads, int *busy) {
    thread_lock();
    *threads = crew.threads;
    *busy = crew.busy;
    thread_unlock();
}
