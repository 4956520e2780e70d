/*
 * universalqueue.c - the queue of universal.h.
 *
 * The items stand in a ring, each with a number that counts up, so that one that comes back finds
 * its place among those that came before it. There is always room in the ring for the items that
 * getters have been granted and not taken yet: giving one back cannot fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "universalimpl.h"

#define FIRST_ROOM 8
#define KEEP_ROOM 1024 /* an empty queue gives more than this back */

struct slot {
    uint64_t seq;
    struct message item;
};

struct queue {
    struct universal u;
    struct list putters;
    struct list joiners;
    struct slot *ring;
    size_t room; /* 0, or a power of two */
    size_t head; /* of the first item; counts up for ever */
    size_t count;
    size_t granted; /* items handed to getters that have not taken them */
    size_t maxsize;
    size_t unfinished;
    uint64_t seq; /* of the newest item */
    bool closed;
    struct wake *fd; /* readable while there are items; NULL: none asked for */
};

static struct slot *slot_at(const struct queue *q, size_t i) {
    return &q->ring[(q->head + i) & (q->room - 1)];
}

static void queue_free(struct shared *s) {
    struct queue *q = (struct queue *)s;
    for (size_t i = 0; i < q->count; i++)
        message_drop(&slot_at(q, i)->item);
    free(q->ring);
    if (q->fd)
        wake_unref(q->fd);
    universal_term(&q->u);
}

static void revoke(struct universal *u, struct waiter *w, struct list *granted);

struct universal *queue_new(size_t maxsize, bool with_fd) {
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    if (with_fd && !(q->fd = wake_new())) {
        int err = errno;
        free(q);
        errno = err;
        return NULL;
    }
    q->maxsize = maxsize ? maxsize : SIZE_MAX;
    list_init(&q->putters);
    list_init(&q->joiners);
    universal_init(&q->u, UNIVERSAL_QUEUE, queue_free);
    q->u.revoke = revoke;
    return &q->u;
}

/* ---- the ring ---- */

static int reserve(struct queue *q) {
    if (q->count + q->granted < q->room)
        return 0;
    size_t room = q->room ? q->room * 2 : FIRST_ROOM;
    struct slot *ring = malloc(room * sizeof *ring);
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < q->count; i++)
        ring[i] = *slot_at(q, i);
    free(q->ring);
    q->ring = ring;
    q->room = room;
    q->head = 0;
    return 0;
}

static void signal_fd(struct queue *q) {
    if (q->fd)
        wake_poke(q->fd);
}

/* At the end. */
static void push(struct queue *q, struct message *m, uint64_t seq) {
    struct slot *s = slot_at(q, q->count++);
    message_weaken(m, &q->u.shared);
    s->seq = seq;
    message_move(&s->item, m);
    if (q->count == 1)
        signal_fd(q);
}

/* Before all that are younger. */
static void push_back(struct queue *q, struct message *m, uint64_t seq) {
    size_t i = 0;
    message_weaken(m, &q->u.shared);
    q->head--;
    q->count++;
    for (; i + 1 < q->count && slot_at(q, i + 1)->seq < seq; i++)
        *slot_at(q, i) = *slot_at(q, i + 1);
    struct slot *s = slot_at(q, i);
    s->seq = seq;
    message_move(&s->item, m);
    if (q->count == 1)
        signal_fd(q);
}

/* The first. */
static void pop(struct queue *q, struct message *m) {
    message_move(m, &slot_at(q, 0)->item);
    message_strengthen(m);
    q->head++;
    q->count--;
}

/* After an item has been taken out, and perhaps another put in. */
static void settle(struct queue *q) {
    if (q->count)
        return;
    if (q->fd && !q->closed)
        wake_drain(q->fd);
    if (q->room > KEEP_ROOM && !q->granted) {
        free(q->ring);
        q->ring = NULL;
        q->room = q->head = 0;
    }
}

/* ---- handing over ---- */

static void hand(struct queue *q, struct message *m, uint64_t seq, struct list *granted) {
    struct waiter *getter = universal_first(&q->u.waiters);
    getter->seq = seq;
    message_move(&getter->item, m);
    q->granted++;
    universal_grant(getter, WAITER_GRANTED, granted);
}

/* An item whose getter does not take it. */
static void revoke(struct universal *u, struct waiter *w, struct list *granted) {
    struct queue *q = (struct queue *)u;
    if (!w->getter)
        return;
    q->granted--;
    if (universal_first(&q->u.waiters))
        hand(q, &w->item, w->seq, granted);
    else
        push_back(q, &w->item, w->seq);
}

/* A place has become free: the item of the first putter takes it. */
static void move_up(struct queue *q, struct list *granted) {
    struct waiter *putter = universal_first(&q->putters);
    if (!putter || q->count >= q->maxsize)
        return;
    push(q, &putter->item, ++q->seq);
    q->unfinished++;
    universal_grant(putter, WAITER_GRANTED, granted);
}

static int put(struct queue *q, struct message *m, struct waiter *w, struct list *granted) {
    if (q->closed)
        return -ESHUTDOWN;
    if (q->count >= q->maxsize) {
        int result = universal_wait(&q->putters, false, w);
        if (w && m != &w->item)
            message_move(&w->item, m);
        return result;
    }
    if (reserve(q) < 0)
        return -ENOMEM;
    if (universal_first(&q->u.waiters))
        hand(q, m, ++q->seq, granted);
    else
        push(q, m, ++q->seq);
    q->unfinished++;
    return 0;
}

int queue_put(struct universal *u, struct message *m, struct waiter *w) {
    struct list granted;
    list_init(&granted);
    pthread_mutex_lock(&u->lock);
    int result = put((struct queue *)u, m, w, &granted);
    pthread_mutex_unlock(&u->lock);
    universal_tell(u, &granted);
    return result;
}

static int get(struct queue *q, struct message *m, struct waiter *w, struct list *granted) {
    if (q->count) {
        pop(q, m);
        move_up(q, granted);
        settle(q);
        return 0;
    }
    if (q->closed)
        return -ESHUTDOWN;
    if (w)
        w->getter = true;
    return universal_wait(&q->u.waiters, false, w);
}

int queue_get(struct universal *u, struct message *m, struct waiter *w) {
    struct list granted;
    list_init(&granted);
    pthread_mutex_lock(&u->lock);
    int result = get((struct queue *)u, m, w, &granted);
    pthread_mutex_unlock(&u->lock);
    universal_tell(u, &granted);
    return result;
}

void queue_take(struct universal *u, struct waiter *w) {
    struct queue *q = (struct queue *)u;
    pthread_mutex_lock(&u->lock);
    if (w->state == WAITER_GRANTED && !w->taken) {
        w->taken = true;
        q->granted--;
    }
    pthread_mutex_unlock(&u->lock);
}

/* ---- the end of items, and of the queue ---- */

int queue_task_done(struct universal *u) {
    struct queue *q = (struct queue *)u;
    struct list granted;
    list_init(&granted);
    pthread_mutex_lock(&u->lock);
    int result = q->unfinished ? 0 : -EINVAL;
    if (q->unfinished && --q->unfinished == 0)
        universal_grant_all(&q->joiners, WAITER_GRANTED, &granted);
    pthread_mutex_unlock(&u->lock);
    universal_tell(u, &granted);
    return result;
}

int queue_join(struct universal *u, struct waiter *w) {
    struct queue *q = (struct queue *)u;
    pthread_mutex_lock(&u->lock);
    int result = universal_wait(&q->joiners, q->unfinished == 0, w);
    pthread_mutex_unlock(&u->lock);
    return result;
}

void queue_close(struct universal *u) {
    struct queue *q = (struct queue *)u;
    struct list granted;
    list_init(&granted);
    pthread_mutex_lock(&u->lock);
    if (!q->closed)
        signal_fd(q);
    q->closed = true;
    universal_grant_all(&q->putters, WAITER_CLOSED, &granted);
    universal_grant_all(&u->waiters, WAITER_CLOSED, &granted);
    pthread_mutex_unlock(&u->lock);
    universal_tell(u, &granted);
}

/* ---- looking at it ---- */

static size_t length(const struct list *l) {
    size_t n = 0;
    for (const struct list *node = l->next; node != l; node = node->next)
        n++;
    return n;
}

struct queue_look queue_look(struct universal *u) {
    struct queue *q = (struct queue *)u;
    pthread_mutex_lock(&u->lock);
    struct queue_look look = {
        .count = q->count,
        .getting = length(&u->waiters),
        .putting = length(&q->putters),
        .full = q->count >= q->maxsize,
        .closed = q->closed,
    };
    pthread_mutex_unlock(&u->lock);
    return look;
}

bool queue_is_full(struct universal *u) {
    const struct queue *q = (const struct queue *)u;
    if (q->maxsize == SIZE_MAX)
        return false;
    pthread_mutex_lock(&u->lock);
    bool full = q->count >= q->maxsize && !q->closed;
    pthread_mutex_unlock(&u->lock);
    return full;
}

int queue_fd(const struct universal *u) {
    const struct queue *q = (const struct queue *)u;
    return q->fd ? wake_fd(q->fd) : -1;
}
