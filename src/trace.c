/*
 * trace.c - the writer of trace.h.
 *
 * Tracing must not change much what it shows: an event is some sixty bytes put together by hand, a
 * switch from one task to another reads the clock once. What has to be remembered of a task stands
 * in a table by slot.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "list.h"

#define ROOM ((size_t)256 * 1024)
#define EVENT_MAX ((size_t)512) /* bytes of an event, names cut to NAME_MAX_BYTES included */
#define SECOND 1000000000
#define DIGITS 20         /* of the largest number */
#define NAME_MAX_BYTES 64 /* each may become six */

struct entry {
    int64_t since;     /* when it went to sleep */
    const char *state; /* what it sleeps for; NULL: it is awake */
    uint64_t flow;     /* the wake-up that its next run is the end of; 0: none */
};

struct trace {
    struct list link; /* in `all` */
    int refs;         /* under `lock` */
    int fd;
    int err;         /* the first one that writing met; nothing is written after it */
    off_t end;       /* of the events in the file; -1 where there is no seeking */
    int64_t spilled; /* when the last of them got there */
    char *buf;
    size_t len;
    uint32_t processes;
    uint32_t pid;      /* of the kernel that runs; 0: none does */
    uint32_t last_pid; /* of the one that ran last */
    pid_t owner;       /* the process that opened it: a forked child must not write */
    pthread_t thread;  /* that runs the kernel */
    uint64_t runner;   /* the task that runs; 0: none */
    bool looked;       /* the kernel has done something since `last` */
    bool idled;
    int64_t start; /* times in the file count from here */
    int64_t last;  /* when the last task stopped, or the run began */
    int64_t look;  /* time of the kernel's wake-ups since then; 0: not read yet */
    uint64_t flows;
    struct entry *entries; /* by slot */
    uint32_t nentries;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list all = {&all, &all};
static bool watching_exit;

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

/* ---- writing ---- */

static void write_all(struct trace *tr, const char *data, size_t len) {
    while (len && !tr->err) {
        sigset_t mask;
        sigpipe_hold(&mask); /* the file may be a pipe */
        ssize_t n = write(tr->fd, data, len);
        int err = errno;
        sigpipe_let(&mask, n < 0 ? err == EPIPE : (size_t)n < len);
        errno = err;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            tr->err = -errno;
        else {
            data += n;
            len -= (size_t)n;
            if (tr->end >= 0)
                tr->end += n;
        }
    }
}

static void spill(struct trace *tr) {
    write_all(tr, tr->buf, tr->len);
    tr->len = 0;
}

/* So that of a process that is killed no more than the last second is missing. */
static void spill_if_old(struct trace *tr, int64_t now) {
    if (now - tr->spilled < SECOND)
        return;
    tr->spilled = now;
    spill(tr);
}

static inline void put(struct trace *tr, const char *text, size_t len) {
    memcpy(tr->buf + tr->len, text, len);
    tr->len += len;
}

#define PUT(tr, literal) put((tr), "" literal, sizeof(literal) - 1)

/* Two digits at a time: most of an event is numbers. */
static void put_number(struct trace *tr, uint64_t n) {
    char digits[2 * DIGITS] = {
        0}; /* in the first half: so that DIGITS bytes from any place exist */
    size_t at = DIGITS;
    for (; n >= 100; n /= 100) {
        at -= 2;
        memcpy(digits + at, pairs + n % 100 * 2, 2);
    }
    digits[--at] = pairs[n * 2 + 1];
    if (n >= 10)
        digits[--at] = pairs[n * 2];
    memcpy(tr->buf + tr->len, digits + at, DIGITS);
    tr->len += DIGITS - at;
}

/* Nanoseconds as microseconds. */
static void put_time(struct trace *tr, int64_t ns) {
    uint64_t n = ns > 0 ? (uint64_t)ns : 0;
    unsigned part = (unsigned)(n % 1000);
    put_number(tr, n / 1000);
    char text[4] = {'.', (char)('0' + part / 100), pairs[part % 100 * 2],
                    pairs[part % 100 * 2 + 1]};
    put(tr, text, sizeof text);
}

/* Bytes of the UTF-8 sequence that text begins with; 0: it is none, or a lone byte of ASCII. */
static int sequence(const char *text) {
    unsigned char c = (unsigned char)text[0];
    int n = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (c >= 0xf5)
        return 0;
    for (int i = 1; i < n; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* What JSON does not allow in a string, or is not UTF-8, is written as a code. */
static void put_name(struct trace *tr, const char *name) {
    static const char hex[] = "0123456789abcdef";
    const char *end = name + strnlen(name, NAME_MAX_BYTES);
    while (name < end) {
        unsigned char c = (unsigned char)*name;
        int n = c < 0x80 ? 0 : sequence(name);
        if (n) {
            put(tr, name, (size_t)n);
            name += n;
            continue;
        }
        name++;
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            tr->buf[tr->len++] = (char)c;
            continue;
        }
        char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        put(tr, code, sizeof code);
    }
}

/* The beginning of each event: its kind, track and time. */
static void put_event(struct trace *tr, char kind, uint64_t track, int64_t when) {
    if (tr->len + EVENT_MAX > ROOM)
        spill(tr);
    PUT(tr, ",\n{\"ph\":\"");
    tr->buf[tr->len++] = kind;
    PUT(tr, "\",\"pid\":");
    put_number(tr, tr->pid);
    PUT(tr, ",\"tid\":");
    put_number(tr, track);
    PUT(tr, ",\"ts\":");
    put_time(tr, when ? when - tr->start : 0);
}

static void put_slice(struct trace *tr, uint64_t track, const char *name, int64_t from,
                      int64_t to) {
    put_event(tr, 'X', track, from);
    PUT(tr, ",\"dur\":");
    put_time(tr, to - from);
    PUT(tr, ",\"name\":\"");
    put_name(tr, name);
    PUT(tr, "\"}");
}

/* kind: 's' where it starts, 'f' where it ends. */
static void put_flow(struct trace *tr, char kind, uint64_t track, int64_t when, uint64_t flow) {
    put_event(tr, kind, track, when);
    PUT(tr, ",\"cat\":\"wake\",\"name\":\"wake\",\"id\":");
    put_number(tr, flow);
    if (kind == 'f')
        PUT(tr, ",\"bp\":\"e\"");
    PUT(tr, "}");
}

/* Names a track or, as "process_name", all of them. */
static void put_title(struct trace *tr, const char *what, uint64_t track, const char *name) {
    put_event(tr, 'M', track, 0);
    PUT(tr, ",\"name\":\"");
    put(tr, what, strlen(what));
    PUT(tr, "\",\"args\":{\"name\":\"");
    if (track) {
        put_number(tr, track);
        PUT(tr, " ");
    }
    put_name(tr, name);
    PUT(tr, "\"}}");
}

/* Tracks stand in the order of the tasks' ids. */
static void put_place(struct trace *tr, uint64_t track) {
    put_event(tr, 'M', track, 0);
    PUT(tr, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":");
    put_number(tr, track);
    PUT(tr, "}}");
}

/* ---- opening, closing ---- */

/* Closes the array, and goes back so that further events stand in its place. */
static void complete(struct trace *tr) {
    static const char tail[] = "\n]\n";
    spill(tr);
    if (tr->end < 0 || tr->err)
        return;
    off_t end = tr->end;
    write_all(tr, tail, sizeof tail - 1);
    tr->end = lseek(tr->fd, end, SEEK_SET);
}

static void complete_all(void) {
    pthread_mutex_lock(&lock);
    for (struct list *node = all.next; node != &all; node = node->next) {
        struct trace *tr = container_of(node, struct trace, link);
        bool busy = tr->pid && !pthread_equal(tr->thread, pthread_self());
        if (tr->owner == getpid() && !busy)
            trace_end(tr);
    }
    pthread_mutex_unlock(&lock);
}

static void enrol(struct trace *tr) {
    pthread_mutex_lock(&lock);
    if (!watching_exit)
        watching_exit = atexit(complete_all) == 0;
    list_add_tail(&all, &tr->link);
    pthread_mutex_unlock(&lock);
}

struct trace *trace_open(const char *path) {
    struct trace *tr = calloc(1, sizeof *tr);
    if (!tr)
        return NULL;
    tr->buf = malloc(ROOM);
    tr->fd = tr->buf ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (tr->fd < 0) {
        free(tr->buf);
        free(tr);
        return NULL;
    }
    tr->refs = 1;
    tr->end = lseek(tr->fd, 0, SEEK_SET);
    tr->owner = getpid();
    tr->start = clock_now();
    PUT(tr, "[\n{\"ph\":\"M\",\"pid\":0,\"name\":\"trace_version\",\"args\":{\"version\":1}}");
    enrol(tr);
    return tr;
}

void trace_ref(struct trace *tr) {
    pthread_mutex_lock(&lock);
    tr->refs++;
    pthread_mutex_unlock(&lock);
}

void trace_unref(struct trace *tr) {
    pthread_mutex_lock(&lock);
    bool last = --tr->refs == 0;
    if (last)
        list_del(&tr->link);
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    if (tr->owner == getpid()) {
        if (tr->end < 0) /* a pipe: only now may the array end */
            PUT(tr, "\n]\n");
        complete(tr);
    }
    close(tr->fd);
    free(tr->entries);
    free(tr->buf);
    free(tr);
}

int trace_flush(struct trace *tr) {
    complete(tr);
    return tr->err;
}

/* ---- what happens ---- */

/* NULL without memory: the task then has no waits and no flows. */
static struct entry *entry_of(struct trace *tr, uint32_t slot) {
    if (slot >= tr->nentries) {
        uint32_t n = slot < 128 ? 256 : slot * 2;
        struct entry *entries = realloc(tr->entries, n * sizeof *entries);
        if (!entries)
            return NULL;
        memset(entries + tr->nentries, 0, (n - tr->nentries) * sizeof *entries);
        tr->entries = entries;
        tr->nentries = n;
    }
    return &tr->entries[slot];
}

/* Ends the kernel's slice, which began where the last task's ended; without one the moment is that
   of the end. */
static void account(struct trace *tr) {
    if (!tr->looked)
        return;
    int64_t now = clock_now();
    put_slice(tr, 0, tr->idled ? "idle" : "look", tr->last, now);
    tr->looked = tr->idled = false;
    tr->look = 0;
    tr->last = now;
    spill_if_old(tr, now);
}

static void end_run(struct trace *tr) {
    if (!tr->runner)
        return;
    int64_t now = clock_now();
    put_slice(tr, tr->runner, "run", tr->last, now);
    tr->last = now;
    tr->runner = 0;
}

/* Now, in the slice of who runs. */
static int64_t moment(struct trace *tr) {
    if (tr->runner)
        return clock_now();
    tr->looked = true;
    if (!tr->look)
        tr->look = clock_now();
    return tr->look;
}

static void start_flow(struct trace *tr, struct entry *e, int64_t when) {
    e->flow = ++tr->flows;
    put_flow(tr, 's', tr->runner, when, e->flow);
}

uint32_t trace_process(struct trace *tr) {
    uint32_t pid = ++tr->processes, running = tr->pid;
    tr->pid = pid;
    put_title(tr, "process_name", 0, "curio");
    put_title(tr, "thread_name", 0, "kernel");
    tr->pid = running;
    return pid;
}

void trace_begin(struct trace *tr, uint32_t pid, uint64_t runner) {
    int64_t now = clock_now();
    tr->pid = pid;
    if (pid == tr->last_pid)
        put_slice(tr, 0, "outside", tr->last, now);
    tr->last_pid = pid;
    tr->thread = pthread_self();
    tr->runner = runner;
    tr->looked = tr->idled = false;
    tr->look = 0;
    tr->last = now;
    spill_if_old(tr, now);
}

void trace_end(struct trace *tr) {
    if (tr->pid) {
        end_run(tr);
        account(tr);
    }
    tr->pid = 0;
    complete(tr);
}

void trace_looking(struct trace *tr, bool idle) {
    tr->looked = true;
    tr->idled = tr->idled || idle;
    tr->look = 0;
}

void trace_named(struct trace *tr, uint64_t id, const char *name) {
    put_title(tr, "thread_name", id, name);
    put_place(tr, id);
}

void trace_created(struct trace *tr, uint32_t slot, uint64_t id, const char *name) {
    struct entry *e = entry_of(tr, slot);
    trace_named(tr, id, name);
    if (!e)
        return;
    memset(e, 0, sizeof *e);
    start_flow(tr, e, moment(tr));
}

void trace_running(struct trace *tr, uint32_t slot, uint64_t id) {
    account(tr);
    tr->runner = id;
    struct entry *e = entry_of(tr, slot);
    if (!e || !e->flow)
        return;
    put_flow(tr, 'f', id, tr->last, e->flow);
    e->flow = 0;
}

void trace_suspended(struct trace *tr, uint32_t slot, const char *state) {
    end_run(tr);
    struct entry *e = state ? entry_of(tr, slot) : NULL;
    if (!e)
        return;
    e->since = tr->last;
    e->state = state;
}

void trace_woken(struct trace *tr, uint32_t slot, uint64_t id) {
    struct entry *e = entry_of(tr, slot);
    if (!e || !e->state)
        return;
    int64_t now = moment(tr);
    put_slice(tr, id, e->state, e->since, now);
    e->state = NULL;
    start_flow(tr, e, now);
}
