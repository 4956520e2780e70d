/*
 * fsjob.h - a file whose blocking operations run in the pool's threads, one at a time.
 *
 * The owner (one thread: a kernel's) starts an operation, is told through a wake queue when it is
 * over, and then finds its result. An owner that loses interest in the result just stops listening:
 * the operation ends as it would have, and the next one waits for that. An owner that loses
 * interest in the file leaves it: what is unwritten is still written, and it is closed, elsewhere.
 *
 * Nothing written is lost when the process ends by exit() either; see flush_all.
 */
#ifndef CURIO_FSJOB_H
#define CURIO_FSJOB_H

#include "fs.h"
#include "list.h"
#include "pool.h"

#include <pthread.h>

enum fsjob_op { FSJOB_OPEN, FSJOB_FILL, FSJOB_FLUSH, FSJOB_SEEK, FSJOB_TRUNCATE, FSJOB_CLOSE };

enum fsjob_state {
    FSJOB_IDLE, /* the file is the owner's */
    FSJOB_OUT,  /* with the pool */
    FSJOB_BACK, /* over; not yet seen by the owner */
    FSJOB_GONE  /* closed behind an owner that has left */
};

struct fsjob {
    struct job job; /* first */
    struct fs fs;   /* the owner's while idle */
    enum fsjob_op op;
    int64_t offset;  /* of seek, truncate */
    int whence;      /* of seek */
    size_t want;     /* of fill */
    int flags;       /* of open */
    int64_t result;  /* of the last operation: >= 0 or a negative errno */
    void *waiter;    /* the owner's, to find who listens; NULL: nobody */
    pthread_t owner; /* who made it */
    pid_t pid;       /* likewise: a forked child writes nothing of its parent's */

    /* guarded by the lock in fsjob.c: */
    _Atomic(enum fsjob_state) state; /* may be read without it to see whether it is idle */
    bool posted;                     /* its node is in the wake queue */
    bool left;                       /* without owner */
    bool visited;                    /* by flush_all */
    struct wake *wake;               /* of who listens, a reference; NULL: nobody */
    int refs;                        /* the owner, an operation, a posted node: one each */
    struct list link;                /* in the list of all */
    char path[];
};

/* A closed one, idle; NULL without memory. `deliver` is run in the listener's thread. */
struct fsjob *fsjob_new(const char *path, int flags, void (*deliver)(struct wake_node *));

/* Starts an operation, whose arguments have been set, on an idle one; 0 or a negative errno. */
int fsjob_start(struct fsjob *j, enum fsjob_op op);

/* Is an operation under way, or over with the news still under way? If not, what it has read is in
   the buffer and `result` is its. */
bool fsjob_busy(struct fsjob *j);

/* While busy: deliver is to be run when that is over, with waiter set. */
void fsjob_listen(struct fsjob *j, struct wake *wake, void *waiter);

/* No longer. */
void fsjob_unlisten(struct fsjob *j);

/* To begin `deliver` with: who listens, or NULL. The file may be gone afterwards if that is NULL.
 */
void *fsjob_delivered(struct wake_node *node);

/* True: the operation had not begun, and never will. */
bool fsjob_cancel(struct fsjob *j);

/* The owner's last call, at any time but while listening. */
void fsjob_leave(struct fsjob *j);

#endif
