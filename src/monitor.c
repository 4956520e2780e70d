/*
 * monitor.c - the thread of monitor.h: one poll(2) over the listening socket, the connections, and
 * a pipe through which the kernel says that it has answered.
 *
 * A connection's command is handed on only when its last answer has been read by the peer, and one
 * command is on its way at a time. All fields but those under the lock are the thread's own.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"

#define PEERS 16            /* connections at a time */
#define LINE_MAX_BYTES 1000 /* of a command */
#define INSIST 100000000    /* ns without an answer after which the kernel is interrupted */
#define GIVE_UP 5000000000  /* and after which the peer is told that there will be none */
#define PROMPT "curio > "

struct peer {
    int fd; /* -1: free */
    char line[LINE_MAX_BYTES + 1];
    size_t len;
    bool asked;   /* its command is with the kernel */
    bool ending;  /* hangs up when all has been sent */
    bool drained; /* has sent its last byte */
    char *out;    /* NULL: nothing to be sent */
    size_t out_len, out_sent;
    int64_t heard; /* when it last sent something */
};

struct monitor {
    pthread_t thread;
    struct monitor_host host;
    int listener;
    int news[2]; /* a pipe: the kernel has answered, or the end has come */
    char *path;  /* of a Unix socket of ours; NULL: none */
    struct peer peers[PEERS];
    int64_t asked_at; /* when the command went to the kernel */
    int64_t insisted_at;
    struct peer *owner;  /* of the command; NULL: nobody waits for its answer any more */
    bool abroad;         /* a command has gone out and its answer has not been taken */
    int turn;            /* whose command may be the next */
    unsigned answers;    /* the kernel's: how many it gave */
    pid_t pid;           /* a forked child has no such thread */
    atomic_bool waiting; /* the kernel has not answered */
    atomic_bool closing;
    char command[LINE_MAX_BYTES + 1]; /* the kernel's while waiting */
    pthread_mutex_t lock;             /* over the rest */
    char *answer;
    size_t answer_len;
    bool answer_bye, answered;
};

/* ---- sending ---- */

static void hang_up(struct monitor *m, struct peer *p) {
    if (m->owner == p)
        m->owner = NULL;
    close(p->fd);
    free(p->out);
    memset(p, 0, sizeof *p);
    p->fd = -1;
}

/* Sends what the peer takes. */
static void flush(struct monitor *m, struct peer *p) {
    while (p->out) {
        ssize_t n = net_send(p->fd, p->out + p->out_sent, p->out_len - p->out_sent, 0);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            hang_up(m, p);
            return;
        }
        p->out_sent += (size_t)n;
        if (p->out_sent < p->out_len)
            continue;
        free(p->out);
        p->out = NULL;
    }
    if (p->ending)
        hang_up(m, p);
}

/* Adds to what is to be sent; without memory the peer is left. */
static void say(struct monitor *m, struct peer *p, const char *text, size_t len, bool prompt) {
    size_t more = prompt ? sizeof PROMPT - 1 : 0, kept = p->out ? p->out_len - p->out_sent : 0;
    char *out = malloc(kept + len + more);
    if (!out) {
        hang_up(m, p);
        return;
    }
    if (kept)
        memcpy(out, p->out + p->out_sent, kept);
    memcpy(out + kept, text, len);
    memcpy(out + kept + len, PROMPT, more);
    free(p->out);
    p->out = out;
    p->out_len = kept + len + more;
    p->out_sent = 0;
}

/* The last that this peer hears. */
static void dismiss(struct monitor *m, struct peer *p, const char *text) {
    p->ending = true;
    say(m, p, text, strlen(text), false);
}

/* ---- commands ---- */

static char *line_end(struct peer *p) {
    return p->len ? memchr(p->line, '\n', p->len) : NULL;
}

static void ask(struct monitor *m, struct peer *p, const char *end) {
    size_t used = (size_t)(end - p->line) + 1, len = used - 1;
    if (len && p->line[len - 1] == '\r')
        len--;
    memcpy(m->command, p->line, len);
    m->command[len] = '\0';
    p->len -= used;
    memmove(p->line, p->line + used, p->len);
    p->asked = true;
    m->owner = p;
    m->abroad = true;
    m->turn = (int)(p - m->peers) + 1;
    m->asked_at = m->insisted_at = clock_now();
    atomic_store(&m->waiting, true);
    m->host.wake(m->host.ctx);
}

/* Whoever has a whole line and nothing unread may be next, all in turn. */
static void ask_next(struct monitor *m) {
    static const char too_long[] = "the line is too long\n";
    for (int i = 0, first = m->turn; i < PEERS; i++) {
        struct peer *p = &m->peers[(first + i) % PEERS];
        if (p->fd < 0 || p->asked || p->out || p->ending)
            continue;
        char *end = line_end(p);
        if (end && !m->abroad)
            ask(m, p, end);
        else if (!end && p->len == LINE_MAX_BYTES)
            dismiss(m, p, too_long);
        else if (!end && p->drained)
            hang_up(m, p);
    }
}

static void take_answer(struct monitor *m) {
    pthread_mutex_lock(&m->lock);
    bool answered = m->answered, bye = m->answer_bye;
    char *text = m->answer;
    size_t len = m->answer_len;
    m->answered = false;
    m->answer = NULL;
    pthread_mutex_unlock(&m->lock);
    if (!answered)
        return;
    struct peer *p = m->owner;
    m->owner = NULL;
    m->abroad = false;
    if (p) {
        p->asked = false;
        p->ending = bye;
        say(m, p, text, len, !bye);
    }
    free(text);
}

/* The kernel has not answered yet. */
static void press(struct monitor *m) {
    static const char busy[] = "the kernel does not answer: it is busy outside Lua code\n";
    if (!atomic_load(&m->waiting))
        return;
    int64_t now = clock_now();
    if (now - m->insisted_at >= INSIST) {
        m->insisted_at = now;
        m->host.insist(m->host.ctx);
    }
    struct peer *p = m->owner;
    if (p && now - m->asked_at >= GIVE_UP) {
        m->owner = NULL;
        p->asked = false;
        say(m, p, busy, sizeof busy - 1, true);
    }
}

/* ---- connections ---- */

/* A free place, if need be that of who was silent longest and waits for nothing. */
static struct peer *make_room(struct monitor *m) {
    struct peer *oldest = NULL;
    for (int i = 0; i < PEERS; i++) {
        struct peer *p = &m->peers[i];
        if (p->fd < 0)
            return p;
        if (!p->asked && (!oldest || p->heard < oldest->heard))
            oldest = p;
    }
    if (oldest)
        hang_up(m, oldest);
    return oldest;
}

static void welcome(struct monitor *m, int fd) {
    char text[120];
    struct peer *p = make_room(m);
    if (!p) {
        close(fd);
        return;
    }
    p->fd = fd;
    p->heard = clock_now();
    int len = snprintf(text, sizeof text, "curio monitor of process %ld\nType help for commands.\n",
                       (long)getpid());
    say(m, p, text, (size_t)len, true);
}

static void hear(struct monitor *m, struct peer *p) {
    ssize_t n = net_recv(p->fd, p->line + p->len, LINE_MAX_BYTES - p->len, 0);
    if (n == -EAGAIN)
        return;
    if (n < 0) {
        hang_up(m, p);
        return;
    }
    p->heard = clock_now();
    p->drained = n == 0;
    p->len += (size_t)n;
}

static short interest(const struct peer *p) {
    bool room = p->len < LINE_MAX_BYTES && !p->drained && !p->ending;
    return (short)((room ? POLLIN : 0) | (p->out ? POLLOUT : 0));
}

static void turn(struct monitor *m) {
    struct pollfd fds[2 + PEERS];
    fds[0] = (struct pollfd){.fd = m->news[0], .events = POLLIN};
    fds[1] = (struct pollfd){.fd = m->listener, .events = POLLIN};
    for (int i = 0; i < PEERS; i++)
        fds[2 + i] = (struct pollfd){.fd = m->peers[i].fd, .events = interest(&m->peers[i])};
    if (poll(fds, 2 + PEERS, atomic_load(&m->waiting) ? INSIST / 1000000 : -1) < 0)
        return;
    char some[64];
    if (fds[0].revents && read(m->news[0], some, sizeof some) > 0)
        take_answer(m);
    for (int i = 0; i < PEERS; i++) {
        struct peer *p = &m->peers[i];
        if (p->fd >= 0 && fds[2 + i].revents & POLLIN)
            hear(m, p);
        else if (p->fd >= 0 && fds[2 + i].revents & (POLLERR | POLLHUP | POLLNVAL))
            hang_up(m, p);
    }
    int fd = fds[1].revents ? net_accept(m->listener, NULL) : -EAGAIN;
    if (fd >= 0)
        welcome(m, fd);
    else if (fd != -EAGAIN && fd != -ECONNABORTED)
        poll(NULL, 0, 100); /* out of descriptors, say */
    press(m);
    for (int i = 0; i < PEERS; i++)
        if (m->peers[i].fd >= 0)
            flush(m, &m->peers[i]);
    ask_next(m); /* of those that have read their last answer */
}

static void *run(void *arg) {
    struct monitor *m = arg;
    while (!atomic_load(&m->closing))
        turn(m);
    return NULL;
}

/* ---- the kernel's side ---- */

static int start(struct monitor *m) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&m->thread, NULL, run, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

static void discard(struct monitor *m) {
    pthread_mutex_destroy(&m->lock);
    close(m->news[0]);
    close(m->news[1]);
    free(m->answer);
    free(m->path);
    free(m);
}

int monitor_open(struct monitor **result, int fd, const char *path,
                 const struct monitor_host *host) {
    struct monitor *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    if (pipe(m->news) < 0) {
        int err = -errno;
        free(m);
        return err;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(m->news[i], F_SETFD, FD_CLOEXEC);
        fcntl(m->news[i], F_SETFL, O_NONBLOCK);
    }
    pthread_mutex_init(&m->lock, NULL);
    m->path = path ? strdup(path) : NULL;
    m->host = *host;
    m->pid = getpid();
    m->listener = fd;
    for (int i = 0; i < PEERS; i++)
        m->peers[i].fd = -1;
    int err = path && !m->path ? -ENOMEM : start(m);
    if (err) {
        discard(m);
        return err;
    }
    *result = m;
    return 0;
}

const char *monitor_command(struct monitor *m) {
    return atomic_load(&m->waiting) ? m->command : NULL;
}

static void tell(struct monitor *m) {
    while (write(m->news[1], "", 1) < 0 && errno == EINTR)
        continue;
}

/* Without memory the answer is empty, and the peer left. */
void monitor_answer(struct monitor *m, const char *text, size_t len, bool bye) {
    char *copy = malloc(len ? len : 1);
    if (copy)
        memcpy(copy, text, len);
    pthread_mutex_lock(&m->lock);
    m->answer = copy;
    m->answer_len = copy ? len : 0;
    m->answer_bye = bye || !copy;
    m->answered = true;
    pthread_mutex_unlock(&m->lock);
    m->answers++;
    atomic_store(&m->waiting, false);
    tell(m);
}

unsigned monitor_answers(const struct monitor *m) {
    return m->answers;
}

void monitor_close(struct monitor *m) {
    if (m->pid == getpid()) {
        atomic_store(&m->closing, true);
        tell(m);
        pthread_join(m->thread, NULL);
    }
    for (int i = 0; i < PEERS; i++)
        if (m->peers[i].fd >= 0)
            hang_up(m, &m->peers[i]);
    close(m->listener);
    if (m->path && m->pid == getpid())
        unlink(m->path);
    m->host.drop(m->host.ctx);
    discard(m);
}
