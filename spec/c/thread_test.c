/*
 * thread_test: jobs of the crew: each ends once, gates limit them, an interruption reaches what is
 * queued, what computes and what is parked, and nothing is left behind.
 */
#include "check.h"
#include "clock.h"
#include "nudge.h"
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

struct probe {
    struct thread_job job; /* first */
    struct listener listener;
    atomic_int begun, worked, dropping, dropped, notified, parked;
    atomic_bool *open;  /* runs until this is true or it is interrupted; NULL: ends at once */
    atomic_bool *drops; /* its drop ends when this is true; NULL: at once */
    bool parks;         /* it waits parked */
    int park_result;
};

static atomic_int reached, left, rested;
static atomic_bool is_tired;

static bool reach(void) {
    atomic_fetch_add(&reached, 1);
    return true;
}

static void leave(void *kept) {
    (void)kept;
    atomic_fetch_add(&left, 1);
}

static bool tired(void *kept) {
    (void)kept;
    return atomic_load(&is_tired);
}

static void rest(void *kept) {
    (void)kept;
    atomic_fetch_add(&rested, 1);
}

static void work(struct thread_job *job, struct thread *t) {
    struct probe *p = (struct probe *)job;
    *thread_kept(t) = &left;
    atomic_store(&p->begun, 1);
    if (p->parks) {
        atomic_store(&p->parked, 1);
        p->park_result = thread_park(CLOCK_NEVER);
    }
    while (!p->parks && p->open && !atomic_load(p->open) && !thread_interrupted())
        check_pause();
    atomic_fetch_add(&p->worked, 1);
}

static void drop(struct thread_job *job) {
    struct probe *p = (struct probe *)job;
    atomic_fetch_add(&p->dropping, 1);
    while (p->drops && !atomic_load(p->drops))
        check_pause();
    atomic_fetch_add(&p->dropped, 1);
}

static void notify(struct listener *l) {
    atomic_fetch_add(&((struct probe *)((char *)l - offsetof(struct probe, listener)))->notified,
                     1);
}

static void probe_init(struct probe *p, atomic_bool *open) {
    memset(p, 0, sizeof *p);
    p->job.work = work;
    p->job.drop = drop;
    p->listener.notify = notify;
    p->open = open;
    list_init(&p->listener.link);
}

static int busy(void) {
    int threads, n;
    thread_counts(&threads, &n);
    return n;
}

static int threads(void) {
    int n, unused;
    thread_counts(&n, &unused);
    return n;
}

static void finish(struct probe *p) {
    CHECK("the job ends", WAIT_FOR(thread_job_ended(&p->job)));
    thread_job_unref(&p->job);
    CHECK("and is dropped", WAIT_FOR(atomic_load(&p->dropped) == 1));
}

static void test_one(void) {
    struct probe p;
    probe_init(&p, NULL);
    CHECK("a job is started", thread_start(&p.job, NULL, 0) == 0);
    finish(&p);
    CHECK("it ran once", atomic_load(&p.worked) == 1);
}

static void test_many(void) {
    enum { N = 2000 };
    static struct probe all[N];
    struct gate *gate = gate_new();
    int wrong = 0;
    thread_hold();
    for (int i = 0; i < N; i++) {
        probe_init(&all[i], NULL);
        wrong += thread_start(&all[i].job, gate, 4) != 0;
        CHECK("no more threads than the gate lets in", threads() <= 4 + 4);
    }
    for (int i = 0; i < N; i++) {
        wrong += !WAIT_FOR(thread_job_ended(&all[i].job));
        wrong += atomic_load(&all[i].worked) != 1;
        thread_job_unref(&all[i].job);
    }
    CHECK("two thousand jobs run once each", wrong == 0);
    gate_unref(gate);
    thread_let_go();
    CHECK("no thread is left", WAIT_FOR(threads() == 0));
    CHECK("what they kept was given back", atomic_load(&left) > 0);
}

static void test_gate(void) {
    struct probe first, second, third;
    atomic_bool open = false;
    struct gate *gate = gate_new();
    probe_init(&first, &open);
    probe_init(&second, &open);
    probe_init(&third, NULL);
    thread_start(&first.job, gate, 1);
    thread_start(&second.job, gate, 1);
    CHECK("the second is queued", second.job.state == THREAD_JOB_QUEUED && busy() == 1);
    thread_interrupt(&second.job);
    CHECK("what is queued never runs", thread_job_ended(&second.job) &&
                                           second.job.refused == -ECANCELED &&
                                           atomic_load(&second.worked) == 0);
    finish(&second);
    thread_start(&third.job, gate, 1);
    CHECK("the first begins", WAIT_FOR(atomic_load(&first.begun) == 1));
    thread_interrupt(&first.job);
    finish(&third);
    CHECK("an interrupted job's place is free at once", atomic_load(&third.worked) == 1);
    finish(&first);
    CHECK("the interruption was seen in the thread", atomic_load(&first.worked) == 1);
    CHECK("and told by the signal", WAIT_FOR(atomic_load(&reached) >= 1));
    gate_unref(gate);
}

/* Of jobs that are due together each gets a thread, however long the others take. */
static void test_together(void) {
    enum { N = 16 };
    struct probe all[N];
    atomic_bool open = false;
    thread_hold();
    for (int round = 0; round < 20; round++) {
        atomic_store(&open, false);
        for (int i = 0; i < N; i++) {
            probe_init(&all[i], &open);
            thread_start(&all[i].job, NULL, 0);
        }
        for (int i = 0; i < N; i++)
            CHECK("all of them begin", WAIT_FOR(atomic_load(&all[i].begun) == 1));
        atomic_store(&open, true);
        for (int i = 0; i < N; i++)
            finish(&all[i]);
    }
    thread_let_go();
}

/* Before a thread has come for it, or just after: it ends once, and never runs or says so. */
static void test_soon(void) {
    atomic_bool open = false;
    struct gate *gate = gate_new();
    int wrong = 0;
    thread_hold();
    for (int round = 0; round < 300; round++) {
        struct probe first, second;
        probe_init(&first, &open);
        probe_init(&second, &open);
        thread_start(&first.job, gate, 1);
        thread_start(&second.job, gate, 1);
        if (round % 3 == 0)
            check_pause();
        thread_interrupt(&first.job);
        CHECK("the next one's turn comes", WAIT_FOR(atomic_load(&second.begun) == 1));
        thread_interrupt(&second.job);
        finish(&first);
        finish(&second);
        wrong += atomic_load(&first.worked) != (first.job.refused ? 0 : 1);
        wrong += first.job.refused && first.job.refused != -ECANCELED;
    }
    CHECK("a job told to end at once runs once or not at all", wrong == 0);
    CHECK("and none counts any more", WAIT_FOR(busy() == 0));
    gate_unref(gate);
    thread_let_go();
}

/* The thread still drops its last job, and has the next one: that runs, and ends, once. */
static void test_while_dropping(void) {
    struct probe first, second;
    atomic_bool open = false, never = false, drops = false;
    struct gate *gate = gate_new();
    probe_init(&first, &open);
    probe_init(&second, &never);
    first.drops = &drops;
    thread_start(&first.job, gate, 1);
    thread_start(&second.job, gate, 1);
    CHECK("the first begins", WAIT_FOR(atomic_load(&first.begun) == 1));
    thread_job_unref(&first.job);
    atomic_store(&open, true);
    CHECK("it is being dropped", WAIT_FOR(atomic_load(&first.dropping) == 1));
    thread_interrupt(&second.job);
    atomic_store(&drops, true);
    CHECK("the second ends", WAIT_FOR(thread_job_ended(&second.job)));
    CHECK("as one that ran", WAIT_FOR(atomic_load(&second.worked) == 1) && !second.job.refused);
    finish(&second);
    CHECK("each was dropped once", atomic_load(&first.dropped) == 1);
    gate_unref(gate);
}

static void test_raised_limit(void) {
    struct probe p[3];
    atomic_bool open = false;
    struct gate *gate = gate_new();
    for (int i = 0; i < 3; i++) {
        probe_init(&p[i], &open);
        thread_start(&p[i].job, gate, i < 2 ? 1 : 3);
    }
    CHECK("a raised limit lets those in that wait", busy() == 3);
    atomic_store(&open, true);
    for (int i = 0; i < 3; i++)
        finish(&p[i]);
    gate_unref(gate);
}

static void test_parked(void) {
    struct probe p;
    probe_init(&p, NULL);
    p.parks = true;
    thread_start(&p.job, NULL, 0);
    CHECK("it parks", WAIT_FOR(atomic_load(&p.parked)));
    thread_interrupt(&p.job);
    thread_interrupt(&p.job);
    CHECK("the job ends", WAIT_FOR(thread_job_ended(&p.job)));
    CHECK("an interruption wakes who is parked", p.park_result == -EINTR);
    finish(&p);
    CHECK("a deadline ends parking", thread_park(clock_now() + 1000000) == -ETIMEDOUT);
    thread_unpark(thread_self());
    CHECK("a wake-up before is not lost", thread_park(CLOCK_NEVER) == 0);
    CHECK("and counts once", thread_park(clock_now() + 1000000) == -ETIMEDOUT);
}

static void test_listeners(void) {
    struct probe p, q;
    atomic_bool open = false;
    probe_init(&p, &open);
    probe_init(&q, &open);
    thread_start(&p.job, NULL, 0);
    CHECK("one may listen while it runs", thread_listen(&p.job, &p.listener));
    CHECK("and stop", thread_unlisten(&p.listener));
    CHECK("and begin again", thread_listen(&p.job, &p.listener));
    atomic_store(&open, true);
    finish(&p);
    CHECK("is told once", atomic_load(&p.notified) == 1 && !thread_unlisten(&p.listener));
    CHECK("afterwards there is nothing to tell", !thread_listen(&p.job, &q.listener));
}

static void test_tired(void) {
    struct probe p;
    atomic_store(&is_tired, true);
    thread_hold();
    for (int i = 0; i < 3; i++) {
        probe_init(&p, NULL);
        thread_start(&p.job, NULL, 0);
        finish(&p);
    }
    thread_let_go();
    CHECK("a tired thread rests before it idles", WAIT_FOR(atomic_load(&rested) >= 1));
    atomic_store(&is_tired, false);
}

#ifndef UNDER_TSAN /* which starts no threads in a forked child */
static void test_fork(void) {
    struct probe p, q;
    atomic_bool open = false;
    thread_hold();
    probe_init(&p, &open);
    thread_start(&p.job, NULL, 0);
    pid_t pid = fork();
    if (pid == 0) {
        probe_init(&q, NULL);
        bool good = threads() == 0 && thread_start(&q.job, NULL, 0) == 0 &&
                    WAIT_FOR(atomic_load(&q.worked) == 1);
        _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK("a forked child has a crew of its own", status == 0);
    atomic_store(&open, true);
    finish(&p);
    thread_let_go();
}
#endif

int main(void) {
    static const struct thread_keeper keeper = {leave, tired, rest};
    thread_set_keeper(&keeper);
    nudge_set_handler(reach);
    test_one();
    test_many();
    test_gate();
    test_together();
    test_soon();
    test_while_dropping();
    test_raised_limit();
    test_parked();
    test_listeners();
    test_tired();
#ifndef UNDER_TSAN
    test_fork();
#endif
    CHECK("no thread is left in the end", WAIT_FOR(threads() == 0));
    return check_end();
}
