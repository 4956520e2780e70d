/*
 * universal_test: no item is lost or seen twice, whoever gives up, and order is kept; threads that
 * block and waiters that are told, as those of tasks are, share one queue.
 */
#include "check.h"
#include "clock.h"
#include "universal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static int told; /* waiters that were told */
static bool alive = true;

static bool tell(struct waiter *w) {
    told++;
    if (!alive)
        return false;
    waiter_unref(w);
    return true;
}

static struct waiter *task_new(void) {
    return waiter_new(NULL, tell);
}

static void leave(struct universal *u, struct waiter *w) {
    universal_leave(u, w);
    waiter_unref(w);
}

static struct message letter(int value) {
    struct message m;
    message_init(&m);
    message_set(&m, &value, sizeof value);
    return m;
}

static int value_of(struct message *m) {
    int value = -1;
    if (m->size == sizeof value)
        memcpy(&value, message_data(m), sizeof value);
    message_drop(m);
    return value;
}

static int put(struct universal *q, int value, struct waiter *w) {
    struct message m = letter(value);
    int result = queue_put(q, &m, w);
    message_drop(&m);
    return result;
}

static int get(struct universal *q) {
    struct message m;
    message_init(&m);
    int result = queue_get(q, &m, NULL);
    return result < 0 ? result : value_of(&m);
}

static int enlist(struct universal *q, struct waiter *w) {
    struct message m;
    message_init(&m);
    return queue_get(q, &m, w);
}

static void unref(struct universal *u) {
    shared_unref((struct shared *)u);
}

static void in_order(void) {
    struct universal *q = queue_new(0, false);
    CHECK("an empty queue has nothing", get(q) == -EAGAIN);
    for (int i = 0; i < 100; i++)
        put(q, i, NULL);
    int good = 0;
    for (int i = 0; i < 100; i++)
        good += get(q) == i;
    CHECK("items come out in order", good == 100);
    for (int i = 0; i < 5000; i++)
        put(q, i, NULL);
    for (int i = 0; i < 5000; i++)
        good += get(q) == i;
    CHECK("also many of them", good == 5100);
    put(q, 1, NULL);
    unref(q);
}

static void handed_over(void) {
    struct universal *q = queue_new(0, false);
    struct waiter *a = task_new(), *b = task_new();
    told = 0;
    enlist(q, a);
    enlist(q, b);
    CHECK("two wait", queue_look(q).getting == 2);
    put(q, 1, NULL);
    CHECK("one item wakes one", told == 1 && a->state == WAITER_GRANTED &&
                                    b->state == WAITER_WAITING && get(q) == -EAGAIN);
    queue_take(q, a);
    CHECK("who has it", value_of(&a->item) == 1);
    leave(q, a);
    leave(q, b);
    CHECK("who gives up waits no more", queue_look(q).getting == 0);
    put(q, 2, NULL);
    CHECK("and takes nothing along", get(q) == 2);
    unref(q);
}

static void handed_back(void) {
    struct universal *q = queue_new(0, false);
    struct waiter *w[4];
    for (int i = 0; i < 4; i++)
        enlist(q, w[i] = task_new());
    for (int i = 0; i < 3; i++)
        put(q, i, NULL);
    leave(q, w[1]);
    CHECK("an item that is not taken goes to who waits", w[3]->state == WAITER_GRANTED);
    leave(q, w[2]);
    leave(q, w[0]);
    for (int i = 5; i < 30; i++)
        put(q, i, NULL);
    leave(q, w[3]);
    CHECK("or back into the queue", queue_look(q).count == 28);
    int last = -1, good = 0;
    for (int i = 0; i < 28; i++) {
        int value = get(q);
        good += value > last;
        last = value;
    }
    CHECK("in its place, whatever the order in which they come back", good == 28);
    unref(q);
}

static void of_a_closed_kernel(void) {
    struct universal *q = queue_new(0, false);
    struct waiter *dead = task_new(), *next = task_new();
    enlist(q, dead);
    enlist(q, next);
    alive = false;
    put(q, 1, NULL); /* nobody can be told: it goes through both */
    alive = true;
    CHECK("what cannot be told comes back", get(q) == 1);
    leave(q, dead);
    leave(q, next);
    CHECK("once", get(q) == -EAGAIN);
    unref(q);
}

static void bounded(void) {
    struct universal *q = queue_new(2, false);
    struct waiter *a = task_new(), *b = task_new(), *c = task_new();
    put(q, 1, NULL);
    put(q, 2, NULL);
    CHECK("a full queue takes nothing", put(q, 3, NULL) == -EAGAIN && queue_is_full(q));
    CHECK("but who puts may wait", put(q, 3, a) == -EINPROGRESS && put(q, 4, b) == -EINPROGRESS &&
                                       put(q, 5, c) == -EINPROGRESS);
    leave(q, b);
    told = 0;
    CHECK("a place that becomes free is the first one's",
          get(q) == 1 && told == 1 && a->state == WAITER_GRANTED && c->state == WAITER_WAITING);
    leave(q, a);
    int second = get(q), third = get(q), fourth = get(q);
    CHECK("who gave up has put nothing", second == 2 && third == 3 && fourth == 5);
    leave(q, c);
    CHECK("and no more", get(q) == -EAGAIN);
    unref(q);
}

static void closing(void) {
    struct universal *q = queue_new(1, false);
    struct waiter *getter = task_new(), *putter = task_new();
    put(q, 1, NULL);
    put(q, 2, putter);
    queue_close(q);
    CHECK("a putter learns that it is closed, and has its item",
          putter->state == WAITER_CLOSED && value_of(&putter->item) == 2);
    leave(q, putter);
    CHECK("nothing more is put", put(q, 3, NULL) == -ESHUTDOWN);
    int last = get(q), none = get(q);
    CHECK("what is there is given", last == 1 && none == -ESHUTDOWN);
    unref(q);
    q = queue_new(0, false);
    enlist(q, getter);
    queue_close(q);
    CHECK("a getter learns it too", getter->state == WAITER_CLOSED);
    leave(q, getter);
    unref(q);
}

static void joining(void) {
    struct universal *q = queue_new(0, false);
    struct waiter *w = task_new();
    CHECK("nothing is unfinished at first", queue_join(q, NULL) == 0);
    CHECK("so nothing can be done", queue_task_done(q) == -EINVAL);
    put(q, 1, NULL);
    get(q);
    CHECK("an item that was got is unfinished", queue_join(q, w) == -EINPROGRESS);
    CHECK("until it is done", queue_task_done(q) == 0 && w->state == WAITER_GRANTED);
    leave(q, w);
    unref(q);
}

static bool readable(struct universal *q) {
    struct pollfd p = {queue_fd(q), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
}

static void descriptor(void) {
    struct universal *q = queue_new(0, true);
    struct waiter *w = task_new();
    CHECK("it is not readable at first", !readable(q));
    put(q, 1, NULL);
    put(q, 2, NULL);
    CHECK("with items it is", readable(q) && get(q) == 1 && readable(q));
    CHECK("then not", get(q) == 2 && !readable(q));
    enlist(q, w);
    put(q, 3, NULL);
    CHECK("nor when the item was handed over", !readable(q));
    leave(q, w);
    CHECK("but when it came back", readable(q) && get(q) == 3 && !readable(q));
    queue_close(q);
    CHECK("and when it is closed", readable(q) && get(q) == -ESHUTDOWN && readable(q));
    unref(q);
}

static void owned(void) {
    int fds[2];
    struct universal *q = queue_new(0, false);
    struct message m = letter(1);
    CHECK("a pipe", pipe(fds) == 0);
    message_attach(&m, fds[1]);
    queue_put(q, &m, NULL);
    unref(q);
    CHECK("a queue that is freed closes what its items carry", fcntl(fds[1], F_GETFD) < 0);
    close(fds[0]);
}

static void events_and_results(void) {
    struct universal *e = event_new(), *r = result_new();
    struct waiter *a = task_new(), *b = task_new();
    struct letter *l = NULL;
    CHECK("an event is waited for", event_wait(e, a) == -EINPROGRESS && !event_is_set(e));
    event_set(e);
    CHECK("until it is set", a->state == WAITER_GRANTED && event_wait(e, NULL) == 0);
    event_clear(e);
    CHECK("or not set again", event_wait(e, NULL) == -EAGAIN);
    leave(e, a);
    CHECK("a result is waited for", result_wait(r, &l, b) == -EINPROGRESS);
    result_set(r, letter_new(false));
    CHECK("until it is set", b->state == WAITER_GRANTED && result_wait(r, &l, NULL) == 0 && l);
    letter_unref(l);
    leave(r, b);
    result_set(r, letter_new(true));
    result_set(r, letter_new(false));
    CHECK("an error is kept", result_wait(r, &l, NULL) == 0 && l->failed);
    letter_unref(l);
    unref(e);
    unref(r);
}

/* ---- threads ---- */

enum { PUTTERS = 3, GETTERS = 3, EACH = 5000 };

static struct universal *common;
static atomic_int seen[PUTTERS * EACH];

static void put_blocking(struct universal *q, int value) {
    struct waiter *w = waiter_new(NULL, NULL);
    if (put(q, value, w) == -EINPROGRESS)
        universal_block(q, w, CLOCK_NEVER);
    leave(q, w);
}

/* Gives up after a moment if `impatient`. */
static int get_blocking(struct universal *q, bool impatient) {
    struct waiter *w = waiter_new(NULL, NULL);
    int result = queue_get(q, &w->item, w);
    if (result == -EINPROGRESS) {
        int err = universal_block(q, w, impatient ? 0 : CLOCK_NEVER);
        result = err < 0 ? -EAGAIN : w->state == WAITER_CLOSED ? -ESHUTDOWN : 0;
        if (!result)
            queue_take(q, w);
    }
    if (!result)
        result = value_of(&w->item);
    leave(q, w);
    return result;
}

static void *putter(void *arg) {
    int first = (int)(size_t)arg * EACH;
    for (int i = 0; i < EACH; i++)
        put_blocking(common, first + i);
    return NULL;
}

static void *getter(void *arg) {
    bool impatient = arg != NULL;
    for (;;) {
        int value = get_blocking(common, impatient);
        if (value == -ESHUTDOWN)
            return NULL;
        if (value >= 0)
            atomic_fetch_add(&seen[value], 1);
    }
}

static void exactly_once(size_t maxsize) {
    pthread_t putters[PUTTERS], getters[GETTERS];
    common = queue_new(maxsize, false);
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < GETTERS; i++)
        pthread_create(&getters[i], NULL, getter, i == 0 ? &common : NULL);
    for (size_t i = 0; i < PUTTERS; i++)
        pthread_create(&putters[i], NULL, putter, (void *)i);
    for (int i = 0; i < PUTTERS; i++)
        pthread_join(putters[i], NULL);
    queue_close(common);
    for (int i = 0; i < GETTERS; i++)
        pthread_join(getters[i], NULL);
    int good = 0;
    for (int i = 0; i < PUTTERS * EACH; i++)
        good += atomic_load(&seen[i]) == 1;
    CHECK("each item is got exactly once", good == PUTTERS * EACH);
    unref(common);
}

int main(void) {
    in_order();
    handed_over();
    handed_back();
    of_a_closed_kernel();
    bounded();
    closing();
    joining();
    descriptor();
    owned();
    events_and_results();
    exactly_once(0);
    exactly_once(2);
    return check_end();
}
