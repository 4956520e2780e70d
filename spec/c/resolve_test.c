/*
 * resolve_test: questions to the name service, inline, in the pool, and abandoned.
 *
 * There may be no network: a name that does not exist may then be a temporary failure.
 */
#include "check.h"
#include "resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_int arrived;

static void on_done(struct job *job) {
    atomic_store((atomic_int *)job->waiter, 1);
    atomic_fetch_add(&arrived, 1);
}

/* Submits and waits; false if that failed. The answer is then in r. */
static int ask(struct resolve *r) {
    atomic_int done = 0;
    r->job.waiter = &done;
    return resolve_submit(r) == 0 && WAIT_FOR(done) && pool_collect(&r->job);
}

static struct resolve *question(const char *node, const char *service, int flags, int family) {
    struct addrinfo hints = {.ai_flags = flags, .ai_family = family, .ai_socktype = SOCK_STREAM};
    return resolve_addrinfo(node, service, &hints, on_done);
}

static int list_has(const struct resolve *r, const char *expected) {
    char text[ADDR_TEXT_MAX];
    for (struct addrinfo *info = r->list; info; info = info->ai_next) {
        struct addr addr;
        addr_copy(&addr, info->ai_addr, info->ai_addrlen);
        addr_format(&addr, text, sizeof text);
        if (strcmp(text, expected) == 0)
            return 1;
    }
    return 0;
}

static void test_numeric(void) {
    struct resolve *r = question("127.0.0.1", "80", 0, AF_UNSPEC);
    CHECK("a numeric host is answered at once", resolve_numeric(r) && r->eai == 0);
    CHECK("with its address", list_has(r, "127.0.0.1:80"));
    resolve_free(r);

    r = question("::1", "80", 0, AF_UNSPEC);
    CHECK("so is IPv6", resolve_numeric(r) && list_has(r, "[::1]:80"));
    resolve_free(r);

    r = question(NULL, "80", AI_PASSIVE, AF_INET);
    CHECK("and no host at all", resolve_numeric(r) && list_has(r, "0.0.0.0:80"));
    resolve_free(r);

    r = resolve_addrinfo("1.2.3.4", NULL, NULL, on_done);
    CHECK("and no service and no hints", resolve_numeric(r) && list_has(r, "1.2.3.4:0"));
    resolve_free(r);

    r = question("localhost", "80", 0, AF_UNSPEC);
    CHECK("a name is not", !resolve_numeric(r) && !r->list);
    resolve_free(r);

    r = question("127.0.0.1", "http", 0, AF_UNSPEC);
    CHECK("nor is a service by name", !resolve_numeric(r) && !r->list);
    resolve_free(r);

    r = question("localhost", "80", AI_NUMERICHOST | AI_NUMERICSERV, AF_UNSPEC);
    CHECK("unless only numbers are wanted", resolve_numeric(r) && r->eai == EAI_NONAME);
    resolve_free(r);
}

static void test_localhost(void) {
    struct resolve *r = question("localhost", "80", 0, AF_INET);
    CHECK("localhost is resolved", ask(r) && r->eai == 0 && r->err == 0);
    CHECK("to the loopback", list_has(r, "127.0.0.1:80"));
    resolve_free(r);
}

static void test_failures(void) {
    struct resolve *r = question("no-such-host.invalid", "80", 0, AF_UNSPEC);
    CHECK("a name that does not exist fails", ask(r));
    CHECK("as unknown, or as temporary without a network",
          (r->eai == EAI_NONAME || r->eai == EAI_AGAIN) && !r->list);
    resolve_free(r);

    r = question("127.0.0.1", "80", 0, 12345);
    CHECK("a bad family is told", ask(r) && r->eai == EAI_FAMILY);
    resolve_free(r);

    r = question(NULL, NULL, 0, AF_UNSPEC);
    CHECK("no question has no answer", ask(r) && r->eai == EAI_NONAME);
    resolve_free(r);

    char longest[5000];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    r = question(longest, "80", 0, AF_UNSPEC);
    CHECK("a name too long to exist does not", ask(r) && r->eai == EAI_NONAME);
    resolve_free(r);

    r = question("", "80", 0, AF_UNSPEC);
    CHECK("an empty name fails in some way", ask(r) && r->eai != 0);
    resolve_free(r);
}

static void test_inputs_are_copied(void) {
    char node[] = "127.0.0.1", service[] = "8080";
    struct resolve *r = question(node, service, 0, AF_INET);
    memset(node, 'x', sizeof node - 1);
    memset(service, 'x', sizeof service - 1);
    CHECK("the inputs may go away", ask(r) && list_has(r, "127.0.0.1:8080"));
    struct addrinfo *taken = r->list;
    r->list = NULL;
    resolve_free(r);
    CHECK("the list may be taken", taken->ai_family == AF_INET);
    freeaddrinfo(taken);
    resolve_free(NULL);
}

static void test_nameinfo(void) {
    struct addr addr;
    addr_inet(&addr, "127.0.0.1", 9, 80, AF_INET);

    struct resolve *r = resolve_nameinfo(&addr, NI_NUMERICHOST | NI_NUMERICSERV, on_done);
    CHECK("numbers of an address come at once", resolve_numeric(r) && r->eai == 0);
    CHECK("both", strcmp(r->host, "127.0.0.1") == 0 && strcmp(r->serv, "80") == 0);
    resolve_free(r);

    r = resolve_nameinfo(&addr, NI_NUMERICSERV, on_done);
    CHECK("its name does not", !resolve_numeric(r) && *r->host == '\0' && *r->serv == '\0');
    CHECK("it comes from the pool", ask(r) && r->eai == 0 && *r->host != '\0');
    CHECK("with its service", strcmp(r->serv, "80") == 0);
    resolve_free(r);

    addr.len = 3;
    r = resolve_nameinfo(&addr, 0, on_done);
    CHECK("half an address has no name", ask(r) && r->eai != 0 && *r->host == '\0');
    resolve_free(r);
}

/* What is leaked or freed twice here, a sanitizer or valgrind tells. */
static void test_abandon(void) {
    enum { N = 300 };
    static const char *const names[] = {"localhost", "127.0.0.1", "no-such-host.invalid"};
    int threads, idle, queued, submitted = 0;
    static atomic_int done[N];

    arrived = 0;
    for (int i = 0; i < N; i++) {
        struct resolve *r = question(names[i % 2], "80", 0, AF_UNSPEC);
        r->job.waiter = &done[i];
        submitted += resolve_submit(r) == 0;
        if (i % 3 == 0)
            sched_yield();
        if (i % 7 == 0)
            check_pause();
        resolve_abandon(r);
        if (atomic_load(&done[i])) /* it had been done: it is ours to take off the wake queue */
            submitted -= pool_collect(&r->job);
    }
    CHECK("questions can be abandoned at any moment", submitted == N);
    struct resolve *r = question(names[2], "80", 0, AF_UNSPEC);
    r->job.waiter = &done[0];
    resolve_submit(r);
    resolve_abandon(r);
    CHECK("the pool comes to rest",
          WAIT_FOR((pool_counts(&threads, &idle, &queued), idle == threads && queued == 0)));
}

static void test_no_reference(void) {
    struct resolve *r = question("localhost", "80", 0, AF_UNSPEC);
    CHECK("without a reference a question stays the asker's", resolve_submit(r) == -ESHUTDOWN);
    resolve_free(r);
}

int main(void) {
    test_numeric();
    test_no_reference();
    pool_ref();
    test_localhost();
    test_failures();
    test_inputs_are_copied();
    test_nameinfo();
    test_abandon();
    pool_unref();
    return check_end();
}
