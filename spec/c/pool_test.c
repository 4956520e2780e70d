/*
 * pool_test: every job exactly once, nobody waits for a hung one, nothing is left behind.
 *
 * A gate is a job that stays busy until it is opened; POOL_MAX of them fill the pool, so that what
 * comes next is certainly queued.
 */
#include "check.h"
#include "pool.h"

#include <dirent.h>
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
    struct job job;
    atomic_int worked, done, dropped;
    atomic_bool *open; /* a gate until this is true; NULL = no gate */
};

static struct probe *probe_of(struct job *job) {
    return (struct probe *)job;
}

static void probe_work(struct job *job) {
    struct probe *probe = probe_of(job);
    while (probe->open && !atomic_load(probe->open))
        check_pause();
    atomic_fetch_add(&probe->worked, 1);
}

static void probe_done(struct job *job) {
    atomic_fetch_add(&probe_of(job)->done, 1);
}

static void probe_drop(struct job *job) {
    atomic_fetch_add(&probe_of(job)->dropped, 1);
}

static void probes_init(struct probe *probes, int n, atomic_bool *open) {
    for (int i = 0; i < n; i++)
        probes[i] = (struct probe){
            .job = {.work = probe_work, .done = probe_done, .drop = probe_drop}, .open = open};
}

static int probes_submit(struct probe *probes, int n) {
    int failed = 0;
    for (int i = 0; i < n; i++)
        failed += pool_submit(&probes[i].job) != 0;
    return failed == 0;
}

static int probes_done(struct probe *probes, int n) {
    int done = 0;
    for (int i = 0; i < n; i++)
        done += atomic_load(&probes[i].done) == 1;
    return done;
}

static int threads(void) {
    int threads, idle, queued;
    pool_counts(&threads, &idle, &queued);
    return threads;
}

static int idle(void) {
    int threads, idle, queued;
    pool_counts(&threads, &idle, &queued);
    return idle;
}

static int queued(void) {
    int threads, idle, queued;
    pool_counts(&threads, &idle, &queued);
    return queued;
}

/* Threads of this process as the system counts them, a sanitizer's own included; 0 if unknown. */
static int system_threads(void) {
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int n = 0;
    if (!dir)
        return 0;
    while ((entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void test_without_reference(void) {
    struct probe probe;
    probes_init(&probe, 1, NULL);
    CHECK("without a reference no job is taken", pool_submit(&probe.job) == -ESHUTDOWN);
    CHECK("and no thread is made", threads() == 0);
    CHECK("a job never submitted can be cancelled", pool_cancel(&probe.job));
    pool_ref();
    pool_unref();
    pool_unref();
    CHECK("a reference too few is borne", pool_submit(&probe.job) == -ESHUTDOWN);
}

static void test_ten_thousand(void) {
    enum { N = 10000 };
    static struct probe probes[N];
    int once = 0;

    probes_init(probes, N, NULL);
    pool_ref();
    CHECK("ten thousand jobs are taken", probes_submit(probes, N));
    CHECK("all come back", WAIT_FOR(probes_done(probes, N) == N));
    for (int i = 0; i < N; i++)
        once += probes[i].worked == 1 && probes[i].done == 1 && probes[i].dropped == 0;
    CHECK("each has run exactly once", once == N);
    CHECK("never more threads than allowed", threads() <= POOL_MAX);
    CHECK("all of them idle in the end", WAIT_FOR(idle() == threads()));
    CHECK("and no job queued", queued() == 0);
    pool_unref();
    CHECK("the last unref leaves no thread", threads() == 0 && idle() == 0);
}

static void test_reuse(void) {
    struct probe probe;
    pool_ref();
    for (int i = 0; i < 1000; i++) {
        probes_init(&probe, 1, NULL);
        pool_submit(&probe.job);
        while (!atomic_load(&probe.done))
            check_pause();
    }
    CHECK("jobs one after the other share a thread or two", threads() <= 2);
    atomic_store(&probe.done, 0);
    CHECK("a job that is back can be submitted again",
          pool_collect(&probe.job) && probes_submit(&probe, 1));
    CHECK("and runs again", WAIT_FOR(atomic_load(&probe.done)) && probe.worked == 2);
    pool_unref();
}

static void test_a_hung_job(void) {
    struct probe hung, others[100];
    atomic_bool open = false;
    pool_ref();
    probes_init(&hung, 1, &open);
    probes_init(others, 100, NULL);
    probes_submit(&hung, 1);
    CHECK("a hung job stops nobody",
          probes_submit(others, 100) && WAIT_FOR(probes_done(others, 100) == 100));
    CHECK("it is still there", hung.done == 0);
    atomic_store(&open, true);
    CHECK("and comes back late", WAIT_FOR(hung.done == 1));
    pool_unref();
}

static void test_cancel_queued(void) {
    static struct probe gates[POOL_MAX], late[100];
    atomic_bool open = false;
    int cancelled = 0, ran = 0;

    pool_ref();
    probes_init(gates, POOL_MAX, &open);
    probes_init(late, 100, NULL);
    probes_submit(gates, POOL_MAX);
    CHECK("the pool fills up", WAIT_FOR(threads() == POOL_MAX && queued() == 0));
    probes_submit(late, 100);
    CHECK("then jobs are queued", queued() == 100 && threads() == POOL_MAX);
    for (int i = 0; i < 100; i += 2) /* first, last and between */
        cancelled += pool_cancel(&late[i ? i : 99].job);
    CHECK("a queued job can be cancelled", cancelled == 50 && queued() == 50);
    CHECK("and again, to no effect", pool_cancel(&late[2].job) && queued() == 50);
    pool_abandon(&late[0].job);
    CHECK("an abandoned one is dropped at once", late[0].dropped == 1 && queued() == 49);
    atomic_store(&open, true);
    CHECK("the others run",
          WAIT_FOR(probes_done(late, 100) == 49 && probes_done(gates, POOL_MAX) == POOL_MAX));
    for (int i = 0; i < 100; i++)
        ran += late[i].worked;
    CHECK("what was cancelled never does", ran == 49);
    pool_unref();
}

static void test_cancel_running(void) {
    struct probe gates[2];
    atomic_bool open = false;
    pool_ref();
    probes_init(gates, 2, &open);
    probes_submit(gates, 2);
    CHECK("two jobs run", WAIT_FOR(threads() == 2 && queued() == 0));
    CHECK("a running job cannot be cancelled", !pool_cancel(&gates[0].job));
    pool_abandon(&gates[1].job);
    CHECK("an abandoned one is not dropped while it runs", gates[1].dropped == 0);
    atomic_store(&open, true);
    CHECK("the first is done", WAIT_FOR(gates[0].done == 1));
    CHECK("the second is dropped", WAIT_FOR(gates[1].dropped == 1));
    CHECK("instead of done", gates[1].done == 0 && gates[1].worked == 1);
    CHECK("one that is done cannot be cancelled", !pool_cancel(&gates[0].job));
    pool_abandon(&gates[0].job);
    CHECK("abandoned now it stays, as it may be on a wake queue", gates[0].dropped == 0);
    CHECK("and is dropped when it is taken off", !pool_collect(&gates[0].job));
    CHECK("once", gates[0].dropped == 1);
    pool_unref();
}

static void test_last_unref(void) {
    static struct probe gates[10], quick[50];
    atomic_bool open = false;
    int before = system_threads();

    pool_ref();
    pool_ref();
    probes_init(gates, 10, &open);
    probes_init(quick, 50, NULL);
    probes_submit(gates, 10);
    probes_submit(quick, 50);
    WAIT_FOR(probes_done(quick, 50) == 50 && idle() == threads() - 10);
    pool_unref();
    CHECK("an unref that is not the last leaves the threads", threads() > 10);
    pool_unref();
    CHECK("the last one ends the idle ones only", threads() == 10 && idle() == 0);
    pool_ref();
    CHECK("the pool can be used again meanwhile", (probes_init(quick, 50, NULL), 1) &&
                                                      probes_submit(quick, 50) &&
                                                      WAIT_FOR(probes_done(quick, 50) == 50));
    pool_unref();
    atomic_store(&open, true);
    CHECK("busy ones end by themselves", WAIT_FOR(threads() == 0));
    CHECK("after their jobs", probes_done(gates, 10) == 10);
    CHECK("so says the system", WAIT_FOR(system_threads() <= before));
}

static void test_jobs_left_at_last_unref(void) {
    static struct probe gates[POOL_MAX], late[10];
    atomic_bool open = false;
    pool_ref();
    probes_init(gates, POOL_MAX, &open);
    probes_init(late, 10, NULL);
    probes_submit(gates, POOL_MAX);
    probes_submit(late, 10);
    pool_unref();
    atomic_store(&open, true);
    CHECK("jobs queued at the last unref still run", WAIT_FOR(probes_done(late, 10) == 10));
    CHECK("and then no thread is left", WAIT_FOR(threads() == 0));
}

/* Submitted and cancelled before the thread has looked: the thread comes for nothing. */
static void test_unref_while_threads_rise(void) {
    int left = 0, lost = 0;
    for (int i = 0; i < 300; i++) {
        struct probe probes[4];
        int ours = 0;
        probes_init(probes, 4, NULL);
        pool_ref();
        probes_submit(probes, 4);
        for (int j = 0; j < 4; j++)
            ours += pool_cancel(&probes[j].job);
        pool_unref();
        lost += !WAIT_FOR(probes_done(probes, 4) + ours == 4);
        left += !WAIT_FOR(threads() == 0);
    }
    CHECK("a cancelled job is not lost nor run", lost == 0);
    CHECK("a thread that finds nothing is not left behind", left == 0);
}

/* ---- what a pool thread is like ---- */

static atomic_int blocked, named, deep;

static void look_around(struct job *job) {
    char deep_frame[128 * 1024];
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    blocked = sigismember(&mask, SIGINT) && sigismember(&mask, SIGCHLD) &&
              sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1);
    memset(deep_frame, 1, sizeof deep_frame);
    deep = deep_frame[blocked * 1000] == 1;
    named = 1;
#ifdef __linux__
    char name[16] = "";
    pthread_getname_np(pthread_self(), name, sizeof name);
    named = strcmp(name, "curio-pool") == 0;
#endif
    (void)job;
}

static void test_thread(void) {
    struct probe probe;
    sigset_t mask;
    probes_init(&probe, 1, NULL);
    probe.job.work = look_around;
    pool_ref();
    probes_submit(&probe, 1);
    WAIT_FOR(probe.done == 1);
    CHECK("a pool thread blocks all signals", blocked);
    CHECK("it has a name", named);
    CHECK("and stack enough for a frame of 128 KiB", deep);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    CHECK("the maker's signals stay as they were", !sigismember(&mask, SIGINT));
    pool_unref();
}

/* ---- fork ---- */

static int child_counts_are_zero(void) {
    return threads() == 0 && idle() == 0 && queued() == 0;
}

/* Exit status: 0, or which step failed. */
static int child_main(struct probe *late, struct probe *running) {
    struct probe own[20];
    if (!child_counts_are_zero())
        return 1;
    if (!pool_cancel(&late->job))
        return 2;
    if (pool_cancel(&running->job))
        return 3;
#ifndef UNDER_TSAN /* which cannot make threads after such a fork */
    pool_ref();
    probes_init(own, 20, NULL);
    if (!probes_submit(own, 20) || !WAIT_FOR(probes_done(own, 20) == 20))
        return 4;
    pool_unref();
#else
    (void)own;
#endif
    pool_unref(); /* the reference that came from the parent */
    return WAIT_FOR(threads() == 0) ? 0 : 5;
}

static int child_status(pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static void test_fork(void) {
    static struct probe gates[POOL_MAX], late;
    atomic_bool open = false;
    pool_ref();
    probes_init(gates, POOL_MAX, &open);
    probes_init(&late, 1, NULL);
    probes_submit(gates, POOL_MAX);
    WAIT_FOR(threads() == POOL_MAX && queued() == 0);
    probes_submit(&late, 1);
    pid_t child = fork();
    if (child == 0)
        _exit(child_main(&late, &gates[0]));
    CHECK("a forked child starts with an empty pool that works", child_status(child) == 0);
    CHECK("the parent's queue stays", queued() == 1);
    atomic_store(&open, true);
    CHECK("and goes on", WAIT_FOR(late.done == 1));
    CHECK("to the last job", WAIT_FOR(probes_done(gates, POOL_MAX) == POOL_MAX));
    pool_unref();
}

static void test_fork_among_jobs(void) {
    enum { N = 200 };
    static struct probe probes[N];
    int good = 0;
    pool_ref();
    for (int i = 0; i < 20; i++) {
        probes_init(probes, N, NULL);
        probes_submit(probes, N);
        pid_t child = fork();
        if (child == 0)
            _exit(child_counts_are_zero() ? 0 : 1);
        good += child_status(child) == 0;
        WAIT_FOR(probes_done(probes, N) == N);
    }
    CHECK("forking among busy threads is safe", good == 20);
    pool_unref();
}

/* ---- several kernels, each in a thread, that submit, cancel, abandon and collect at random ----
 */

struct kernel {
    struct wake *wake;
    unsigned seed;
    int made, collected;
};

struct heap_job {
    struct job job;
    int *memory; /* a second allocation, to be leaked or freed twice */
};

static atomic_int heap_jobs;

static void heap_job_free(struct job *job) {
    free(((struct heap_job *)job)->memory);
    free(job);
    atomic_fetch_sub(&heap_jobs, 1);
}

static void heap_job_work(struct job *job) {
    ++*((struct heap_job *)job)->memory;
}

static void heap_job_done(struct job *job) {
    struct kernel *kernel = job->owner;
    if (!wake_post(kernel->wake, &job->node))
        job->drop(job);
}

static struct job *job_of(struct wake_node *node) {
    return (struct job *)((char *)node - offsetof(struct job, node));
}

static void heap_job_arrives(struct wake_node *node) {
    struct job *job = job_of(node);
    struct kernel *kernel = job->owner;
    if (!pool_collect(job))
        return;
    *(struct job **)job->waiter = NULL;
    kernel->collected++;
    heap_job_free(job);
}

static struct job *heap_job_new(struct kernel *kernel, struct job **slot) {
    struct heap_job *made = calloc(1, sizeof *made);
    made->memory = calloc(1, sizeof *made->memory);
    made->job = (struct job){.work = heap_job_work,
                             .done = heap_job_done,
                             .drop = heap_job_free,
                             .owner = kernel,
                             .waiter = slot,
                             .node = {.run = heap_job_arrives}};
    atomic_fetch_add(&heap_jobs, 1);
    kernel->made++;
    return &made->job;
}

/* Leaves jobs queued, running and arrived: ends as a kernel would. */
static void *kernel_main(void *arg) {
    enum { SLOTS = 32, TURNS = 20000 };
    struct kernel *kernel = arg;
    struct job *slots[SLOTS] = {NULL};

    pool_ref();
    for (int turn = 0; turn < TURNS; turn++) {
        struct job **slot = &slots[rand_r(&kernel->seed) % SLOTS];
        if (!*slot) {
            *slot = heap_job_new(kernel, slot);
            if (pool_submit(*slot) != 0)
                abort();
        } else if (rand_r(&kernel->seed) % 4 == 0) {
            pool_abandon(*slot);
            *slot = NULL;
        } else if (rand_r(&kernel->seed) % 4 == 0 && pool_cancel(*slot)) {
            heap_job_free(*slot);
            *slot = NULL;
        } else {
            wake_drain(kernel->wake);
        }
    }
    for (int i = 0; i < SLOTS; i++)
        if (slots[i])
            pool_abandon(slots[i]);
    wake_close(kernel->wake);
    wake_unref(kernel->wake);
    pool_unref();
    return NULL;
}

static void test_kernels(void) {
    enum { N = 3 };
    struct kernel *kernels[N];
    pthread_t made[N];
    int collected = 0;

    for (unsigned i = 0; i < N; i++) {
        kernels[i] = calloc(1, sizeof *kernels[i]);
        kernels[i]->wake = wake_new();
        kernels[i]->seed = i + 1;
        pthread_create(&made[i], NULL, kernel_main, kernels[i]);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(made[i], NULL);
        collected += kernels[i]->collected;
        free(kernels[i]); /* at once: nothing may come any more */
    }
    CHECK("kernels in several threads get their jobs back", collected > 0);
    CHECK("each job is freed exactly once, whoever was last", WAIT_FOR(heap_jobs == 0));
    CHECK("and no thread is left", WAIT_FOR(threads() == 0));
}

static void *nothing(void *unused) {
    return unused;
}

/* A sanitizer may start a thread of its own with the first of ours. */
static int threads_at_start(void) {
    pthread_t first;
    pthread_create(&first, NULL, nothing, NULL);
    pthread_join(first, NULL);
    check_pause();
    return system_threads();
}

int main(void) {
    int before = threads_at_start();
    test_without_reference();
    test_ten_thousand();
    test_reuse();
    test_a_hung_job();
    test_cancel_queued();
    test_cancel_running();
    test_last_unref();
    test_jobs_left_at_last_unref();
    test_unref_while_threads_rise();
    test_thread();
    test_fork();
    test_fork_among_jobs();
    test_kernels();
    CHECK("no thread is left in the end", WAIT_FOR(system_threads() <= before));
    return check_end();
}
