/*
 * waiter.h - somebody who waits for a Universal object: a task of some kernel, or a thread.
 *
 * A waiter stands in a list of the object it waits for, under that object's lock, until it is
 * granted what it waits for or gives up. Who grants takes it out under the lock and tells it after
 * unlocking; between the two it may give up, which finds the grant and hands it on. It is counted:
 * the sleeper has one reference, the list or who tells it the other.
 */
#ifndef CURIO_WAITER_H
#define CURIO_WAITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "message.h"
#include "thread.h"
#include "wake.h"

enum waiter_state {
    WAITER_WAITING,
    WAITER_GRANTED,
    WAITER_CLOSED /* the object was closed instead */
};

struct waiter {
    struct list link; /* in the object's list; in the granter's, until it is told */
    enum waiter_state state;
    bool taken;          /* what was granted has been accepted or handed on */
    bool getter;         /* of a queue */
    uint64_t seq;        /* of the item that a getter was granted */
    struct message item; /* what a putter brings, what a getter is handed */
    atomic_int refs;

    /* A task's: tells it, from any thread. False: its kernel is closed. NULL: it is a thread. */
    bool (*tell)(struct waiter *);
    struct wake_node node; /* for tell */
    struct wake *wake;     /* the kernel's, referenced */
    void *sleeper;         /* the kernel's thread only: the task; NULL: it has given up */
    bool told;             /* the kernel's thread only */

    struct thread *thread; /* that waits and is to be unparked; NULL for a task */
};

/* One reference; NULL without memory. wake: of the sleeper's kernel. tell NULL: the calling thread
   will wait. */
struct waiter *waiter_new(struct wake *wake, bool (*tell)(struct waiter *));
void waiter_ref(struct waiter *w);
void waiter_unref(struct waiter *w);

#endif
