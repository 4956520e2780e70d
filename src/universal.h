/*
 * universal.h - a queue, an event and a result that tasks of several kernels, threads and plain
 * code share.
 *
 * Each has a lock of its own, held for a few instructions and never while anybody is told anything
 * or anything is freed. What waits is a struct waiter; who gets something to wait for is told once,
 * so a burst of items wakes one sleeper. An item goes to the getter that has waited longest; when
 * one is got, that of the putter that has waited longest takes the place.
 *
 * The functions return 0 for done and a negative errno: -EAGAIN, one would have to wait;
 * -EINPROGRESS, the waiter that was given waits now; -ESHUTDOWN, the queue is closed; -ENOMEM.
 */
#ifndef CURIO_UNIVERSAL_H
#define CURIO_UNIVERSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "waiter.h"

extern const char UNIVERSAL_QUEUE[], UNIVERSAL_EVENT[], UNIVERSAL_RESULT[]; /* shared.kind */

/* ---- any of them ---- */

struct universal; /* its first member is a struct shared */

/* The sleeper has been told, or wakes for another reason. What it was granted and has not taken
   goes to others, an item to the front. After this the state is final; of a putter WAITER_GRANTED
   means that its item was put. */
void universal_leave(struct universal *u, struct waiter *w);

/* Blocks the calling thread until its waiter is granted something: 0. Else it waits still:
   -ETIMEDOUT at the deadline, -EINTR when the thread was interrupted. */
int universal_block(struct universal *u, struct waiter *w, int64_t deadline);

/* ---- the queue ---- */

/* maxsize 0: no limit. with_fd: it has a descriptor. NULL and errno on failure. */
struct universal *queue_new(size_t maxsize, bool with_fd);

/* On 0 and -EINPROGRESS the message is moved, else it stays the caller's. w may be NULL. */
int queue_put(struct universal *u, struct message *m, struct waiter *w);

/* On 0 the item is in *m, which was empty. w may be NULL. */
int queue_get(struct universal *u, struct message *m, struct waiter *w);

/* A getter that was granted its item takes it. */
void queue_take(struct universal *u, struct waiter *w);

/* -EINVAL: called more often than items were put. */
int queue_task_done(struct universal *u);
int queue_join(struct universal *u, struct waiter *w);
void queue_close(struct universal *u);

/* Would a put have to wait? */
bool queue_is_full(struct universal *u);

struct queue_look {
    size_t count, getting, putting;
    bool full, closed;
};
struct queue_look queue_look(struct universal *u);

/* Readable while the queue is not empty or closed; -1: it has none. To be polled, not read. */
int queue_fd(const struct universal *u);

/* ---- the event ---- */

struct universal *event_new(void);
bool event_is_set(struct universal *u);
void event_set(struct universal *u);
void event_clear(struct universal *u);
int event_wait(struct universal *u, struct waiter *w);

/* ---- the result ---- */

/* A message that several may read, one after the other or at once. */
struct letter {
    atomic_int refs;
    bool failed; /* an error, and not values */
    struct message message;
};

struct letter *letter_new(bool failed); /* one reference; NULL without memory */
void letter_unref(struct letter *l);

struct universal *result_new(void);
bool result_is_set(struct universal *u);

/* Takes over the reference. Of several the last is kept, but never in place of an error. */
void result_set(struct universal *u, struct letter *l);

/* On 0 *l is a reference to what was set. */
int result_wait(struct universal *u, struct letter **l, struct waiter *w);

#endif
