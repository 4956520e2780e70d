/*
 * universal.c - what the Universal objects have in common, the event and the result.
 */
#include "universal.h"

#include <errno.h>
#include <stdlib.h>

#include "universalimpl.h"

const char UNIVERSAL_QUEUE[] = "curio.UniversalQueue";
const char UNIVERSAL_EVENT[] = "curio.UniversalEvent";
const char UNIVERSAL_RESULT[] = "curio.UniversalResult";

/* ---- waiting and granting ---- */

/* Critical sections are short: under contention it is better to spin a little than to sleep. */
static void init_lock(pthread_mutex_t *lock) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

void universal_init(struct universal *u, const char *kind, void (*free)(struct shared *)) {
    u->shared = (struct shared){.kind = kind, .free = free};
    atomic_init(&u->shared.refs, 1);
    init_lock(&u->lock);
    list_init(&u->waiters);
    u->revoke = NULL;
}

void universal_term(struct universal *u) {
    pthread_mutex_destroy(&u->lock);
    free(u);
}

void universal_enlist(struct list *waiters, struct waiter *w) {
    waiter_ref(w);
    list_add_tail(waiters, &w->link);
}

struct waiter *universal_first(const struct list *waiters) {
    return list_empty(waiters) ? NULL : container_of(waiters->next, struct waiter, link);
}

void universal_grant(struct waiter *w, enum waiter_state state, struct list *granted) {
    list_del(&w->link);
    w->state = state;
    if (w->tell) {
        list_add_tail(granted, &w->link);
    } else { /* at once: a thread does not go away while we hold the lock */
        thread_unpark(w->thread);
        waiter_unref(w);
    }
}

void universal_grant_all(struct list *waiters, enum waiter_state state, struct list *granted) {
    for (struct waiter *w; (w = universal_first(waiters)) != NULL;)
        universal_grant(w, state, granted);
}

/* A kernel that is closed cannot be told: as if the waiter had given up. */
void universal_tell(struct universal *u, struct list *granted) {
    for (struct list *node; (node = list_pop(granted)) != NULL;) {
        struct waiter *w = container_of(node, struct waiter, link);
        if (w->tell(w))
            continue;
        universal_leave(u, w);
        waiter_unref(w);
    }
}

void universal_leave(struct universal *u, struct waiter *w) {
    struct list granted;
    list_init(&granted);
    pthread_mutex_lock(&u->lock);
    bool waiting = w->state == WAITER_WAITING && !list_empty(&w->link);
    if (waiting)
        list_del(&w->link);
    else if (w->state == WAITER_GRANTED && !w->taken && u->revoke)
        u->revoke(u, w, &granted);
    w->taken = true;
    pthread_mutex_unlock(&u->lock);
    if (waiting)
        waiter_unref(w);
    universal_tell(u, &granted);
}

int universal_block(struct universal *u, struct waiter *w, int64_t deadline) {
    for (int err = 0;;) {
        pthread_mutex_lock(&u->lock);
        bool waiting = w->state == WAITER_WAITING;
        pthread_mutex_unlock(&u->lock);
        if (!waiting || err < 0)
            return waiting ? err : 0;
        err = thread_park(deadline);
    }
}

/* ---- the event ---- */

struct event {
    struct universal u;
    bool set;
};

static void event_free(struct shared *s) {
    universal_term((struct universal *)s);
}

struct universal *event_new(void) {
    struct event *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    universal_init(&e->u, UNIVERSAL_EVENT, event_free);
    return &e->u;
}

bool event_is_set(struct universal *u) {
    pthread_mutex_lock(&u->lock);
    bool set = ((struct event *)u)->set;
    pthread_mutex_unlock(&u->lock);
    return set;
}

void event_clear(struct universal *u) {
    pthread_mutex_lock(&u->lock);
    ((struct event *)u)->set = false;
    pthread_mutex_unlock(&u->lock);
}

void event_set(struct universal *u) {
    struct list granted;
    list_init(&granted);
    pthread_mutex_lock(&u->lock);
    ((struct event *)u)->set = true;
    universal_grant_all(&u->waiters, WAITER_GRANTED, &granted);
    pthread_mutex_unlock(&u->lock);
    universal_tell(u, &granted);
}

/* 0, or one has to wait: with a waiter it does from now on. Under the lock. */
int universal_wait(struct list *waiters, bool done, struct waiter *w) {
    if (done)
        return 0;
    if (!w)
        return -EAGAIN;
    universal_enlist(waiters, w);
    return -EINPROGRESS;
}

int event_wait(struct universal *u, struct waiter *w) {
    pthread_mutex_lock(&u->lock);
    int result = universal_wait(&u->waiters, ((struct event *)u)->set, w);
    pthread_mutex_unlock(&u->lock);
    return result;
}

/* ---- the result ---- */

struct result {
    struct universal u;
    struct letter *letter; /* NULL: nothing has been set */
};

struct letter *letter_new(bool failed) {
    struct letter *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    atomic_init(&l->refs, 1);
    l->failed = failed;
    message_init(&l->message);
    return l;
}

void letter_unref(struct letter *l) {
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) > 1)
        return;
    message_drop(&l->message);
    free(l);
}

static void result_free(struct shared *s) {
    letter_unref(((struct result *)s)->letter);
    universal_term((struct universal *)s);
}

struct universal *result_new(void) {
    struct result *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    universal_init(&r->u, UNIVERSAL_RESULT, result_free);
    return &r->u;
}

bool result_is_set(struct universal *u) {
    pthread_mutex_lock(&u->lock);
    bool set = ((struct result *)u)->letter != NULL;
    pthread_mutex_unlock(&u->lock);
    return set;
}

void result_set(struct universal *u, struct letter *l) {
    struct result *r = (struct result *)u;
    struct letter *old = l;
    struct list granted;
    list_init(&granted);
    pthread_mutex_lock(&u->lock);
    if (!r->letter || !r->letter->failed || l->failed) {
        old = r->letter;
        r->letter = l;
        message_weaken(&l->message, &u->shared);
    }
    universal_grant_all(&u->waiters, WAITER_GRANTED, &granted);
    pthread_mutex_unlock(&u->lock);
    letter_unref(old);
    universal_tell(u, &granted);
}

int result_wait(struct universal *u, struct letter **l, struct waiter *w) {
    struct result *r = (struct result *)u;
    pthread_mutex_lock(&u->lock);
    int result = universal_wait(&u->waiters, r->letter != NULL, w);
    if (!result) {
        *l = r->letter;
        atomic_fetch_add_explicit(&r->letter->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&u->lock);
    return result;
}
