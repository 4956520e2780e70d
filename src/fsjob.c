/*
 * fsjob.c - see fsjob.h.
 *
 * One lock guards the few fields in which the owner and a pool thread meet; the pool's own is taken
 * before it (`done` runs under that). The buffers need none: they belong to the thread that works
 * while the state is FSJOB_OUT, but for consuming what had been read before, which touches a field
 * of its own.
 */
#include "fsjob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t settled; /* an operation is over */
    struct list all;        /* files that are open, or about to be */
    bool flushes_at_exit;
} files = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .settled = PTHREAD_COND_INITIALIZER,
           .all = {&files.all, &files.all}};

/* ---- references; under the lock ---- */

static void stop_listening(struct fsjob *j) {
    if (j->wake)
        wake_unref(j->wake);
    j->wake = NULL;
}

static void unref(struct fsjob *j) {
    if (--j->refs > 0)
        return;
    stop_listening(j);
    list_del(&j->link);
    fs_disown(&j->fs);
    free(j);
}

static void lock(void) {
    pthread_mutex_lock(&files.lock);
}

static void unlock(void) {
    pthread_mutex_unlock(&files.lock);
}

/* ---- in a thread of the pool ---- */

static int64_t perform(struct fsjob *j) {
    switch (j->op) {
    case FSJOB_OPEN:
        return fs_open(&j->fs, j->path, j->flags);
    case FSJOB_FILL:
        return fs_fill(&j->fs, j->want);
    case FSJOB_FLUSH:
        return fs_flush(&j->fs);
    case FSJOB_SEEK:
        return fs_seek(&j->fs, j->whence, j->offset);
    case FSJOB_TRUNCATE:
        return fs_truncate(&j->fs, j->offset);
    default:
        return fs_close(&j->fs);
    }
}

static void work(struct job *job) {
    struct fsjob *j = (struct fsjob *)job;
    j->result = perform(j);
}

/* Not twice: the news of an operation before may still be under way, to somebody who has left. */
static void post(struct fsjob *j) {
    if (j->posted || !j->wake || !wake_post(j->wake, &j->job.node))
        return;
    j->posted = true;
    j->refs++;
}

/* Under the pool's lock. */
static void done(struct job *job) {
    struct fsjob *j = (struct fsjob *)job;
    lock();
    j->state = FSJOB_BACK;
    post(j);
    pthread_cond_broadcast(&files.settled);
    if (j->left)
        unref(j);
    unlock();
}

/* Left while the operation ran. */
static void drop(struct job *job) {
    struct fsjob *j = (struct fsjob *)job;
    fs_close(&j->fs);
    lock();
    j->state = FSJOB_GONE;
    pthread_cond_broadcast(&files.settled);
    unref(j);
    unlock();
}

/* ---- fork ---- */

static void fork_again(void) {
    files.settled = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    unlock();
}

/* The pool's lock is taken before ours, and the handlers registered last are called first: so ours
   must be there before the pool's. */
__attribute__((constructor)) static void watch_fork(void) {
    pthread_atfork(lock, unlock, fork_again);
}

/* ---- at exit ---- */

static struct fsjob *next_unvisited(void) {
    for (struct list *l = files.all.next; l != &files.all; l = l->next) {
        struct fsjob *j = container_of(l, struct fsjob, link);
        if (!j->visited && j->pid == getpid() && pthread_equal(j->owner, pthread_self()))
            return j;
    }
    return NULL;
}

/* Whether its buffers may be touched here. One that reads may do so for ever, and has written out
   before. */
static bool settle(struct fsjob *j) {
    if (j->state == FSJOB_OUT && pool_cancel(&j->job))
        return true;
    lock();
    while (j->state == FSJOB_OUT && (j->left || j->op == FSJOB_FLUSH || j->op == FSJOB_CLOSE))
        pthread_cond_wait(&files.settled, &files.lock);
    unlock();
    return j->state != FSJOB_OUT;
}

/* As with Lua's own files, also os.exit without closing the state loses nothing that was written.
   Files of other threads are theirs; those of a parent process are the parent's. */
static void flush_all(void) {
    lock();
    for (struct fsjob *j; (j = next_unvisited()) != NULL;) {
        j->visited = true;
        j->refs++;
        unlock();
        if (settle(j) && j->fs.fd >= 0)
            fs_flush(&j->fs);
        lock();
        unref(j);
    }
    unlock();
}

/* ---- the owner's ---- */

struct fsjob *fsjob_new(const char *path, int flags, void (*deliver)(struct wake_node *)) {
    size_t size = strlen(path) + 1;
    struct fsjob *j = calloc(1, sizeof *j + size);
    if (!j)
        return NULL;
    j->job = (struct job){.work = work, .done = done, .drop = drop, .node = {.run = deliver}};
    j->fs.fd = -1;
    j->flags = flags;
    j->owner = pthread_self();
    j->pid = getpid();
    j->refs = 1;
    memcpy(j->path, path, size);
    lock();
    if (!files.flushes_at_exit)
        files.flushes_at_exit = atexit(flush_all) == 0;
    list_add_tail(&files.all, &j->link);
    unlock();
    return j;
}

int fsjob_start(struct fsjob *j, enum fsjob_op op) {
    lock();
    j->op = op;
    j->state = FSJOB_OUT;
    j->refs++;
    unlock();
    int err = pool_submit(&j->job);
    if (!err)
        return 0;
    lock();
    j->state = FSJOB_IDLE;
    j->refs--;
    unlock();
    return err;
}

/* Under the lock: the operation is over, the pool has nothing to do with it any more. */
static void take_back(struct fsjob *j) {
    j->state = FSJOB_IDLE;
    j->refs--;
    if (j->op == FSJOB_FILL && j->result > 0)
        fs_filled(&j->fs, (size_t)j->result);
}

bool fsjob_busy(struct fsjob *j) {
    if (j->state == FSJOB_IDLE)
        return false;
    lock();
    bool back = j->state == FSJOB_BACK && !j->posted;
    unlock();
    if (!back)
        return true;
    pool_collect(&j->job);
    lock();
    take_back(j);
    unlock();
    return false;
}

/* What is over by now is told at once. */
void fsjob_listen(struct fsjob *j, struct wake *wake, void *waiter) {
    lock();
    j->waiter = waiter;
    if (!j->posted) {
        wake_ref(wake);
        j->wake = wake;
        if (j->state == FSJOB_BACK)
            post(j);
    }
    unlock();
}

void fsjob_unlisten(struct fsjob *j) {
    lock();
    j->waiter = NULL;
    if (!j->posted)
        stop_listening(j);
    unlock();
}

void *fsjob_delivered(struct wake_node *node) {
    struct fsjob *j = (struct fsjob *)container_of(node, struct job, node);
    lock();
    void *waiter = j->waiter;
    j->waiter = NULL;
    j->posted = false;
    stop_listening(j);
    unref(j);
    unlock();
    return waiter;
}

bool fsjob_cancel(struct fsjob *j) {
    if (j->state != FSJOB_OUT || !pool_cancel(&j->job))
        return false;
    lock();
    j->state = FSJOB_IDLE;
    j->refs--;
    unlock();
    return true;
}

/* Idle, or about to be: true. False: its thread will close it. */
static bool take_for_closing(struct fsjob *j) {
    if (j->state == FSJOB_IDLE || fsjob_cancel(j))
        return true;
    pool_abandon(&j->job); /* its `done` has been called, or its `drop` will be */
    lock();
    bool back = j->state == FSJOB_BACK;
    if (back)
        take_back(j);
    unlock();
    return back;
}

/* In a pool thread if there is one. */
static void close_behind(struct fsjob *j) {
    if (j->pid != getpid())
        fs_disown(&j->fs);
    j->left = true;
    if (fsjob_start(j, FSJOB_CLOSE) < 0)
        fs_close(&j->fs);
}

void fsjob_leave(struct fsjob *j) {
    lock();
    j->refs++; /* it must not vanish in here */
    unlock();
    if (take_for_closing(j) && j->fs.fd >= 0)
        close_behind(j);
    lock();
    j->left = true;
    j->refs--;
    unref(j);
    unlock();
}
