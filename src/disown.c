/*
 * disown.c - children that nobody will wait for any more.
 *
 * Their object was collected while they ran. One thread waits for all of them and ends with the
 * last; so they never become zombies, whether a kernel runs or not, and a process that disowns
 * nobody has no such thread. It blocks all signals and sleeps in poll on the children's pidfds;
 * children without one it asks after, a few times a second.
 */
#include "proc.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ASK_AGAIN 200 /* ms */

static struct {
    pthread_mutex_t lock;
    struct proc *children;
    size_t count, room;
    int wake_fd; /* an eventfd, while the thread runs; its own to close */
    pid_t owner; /* who has the thread: a forked child has not */
    bool running;
} orphans = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1};

/* Under the lock. */
static void reap_ended(void) {
    int status;
    for (size_t i = 0; i < orphans.count;) {
        struct proc *child = &orphans.children[i];
        if (proc_reap(child, &status) == 0) {
            i++;
            continue;
        }
        if (child->pidfd >= 0)
            close(child->pidfd);
        *child = orphans.children[--orphans.count];
    }
}

static void end_thread(void) {
    close(orphans.wake_fd);
    free(orphans.children);
    orphans.children = NULL;
    orphans.count = orphans.room = 0;
    orphans.wake_fd = -1;
    orphans.running = false;
}

/* What to poll: the wake descriptor and all pidfds; NULL without memory. Under the lock. */
static struct pollfd *list_fds(size_t *n, int *timeout) {
    struct pollfd *fds = malloc((orphans.count + 1) * sizeof *fds);
    if (!fds)
        return NULL;
    fds[0] = (struct pollfd){.fd = orphans.wake_fd, .events = POLLIN};
    *n = 1;
    *timeout = -1;
    for (size_t i = 0; i < orphans.count; i++) {
        if (orphans.children[i].pidfd < 0)
            *timeout = ASK_AGAIN;
        else
            fds[(*n)++] = (struct pollfd){.fd = orphans.children[i].pidfd, .events = POLLIN};
    }
    return fds;
}

static void wait_for_news(void) {
    size_t n = 0;
    int timeout = ASK_AGAIN;
    struct pollfd *fds = list_fds(&n, &timeout);
    pthread_mutex_unlock(&orphans.lock);
    poll(fds, n, timeout);
    pthread_mutex_lock(&orphans.lock);
    if (n && fds[0].revents)
        eventfd_read(fds[0].fd, &(eventfd_t){0});
    free(fds);
}

static void *reaper(void *arg) {
    (void)arg;
    pthread_mutex_lock(&orphans.lock);
    for (reap_ended(); orphans.count; reap_ended())
        wait_for_news();
    end_thread();
    pthread_mutex_unlock(&orphans.lock);
    return NULL;
}

static int make_thread(void) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = pthread_create(&thread, &attr, reaper, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -err;
}

/* The thread takes the lock only after us. Without one the next child to be disowned brings it. */
static void start_thread(void) {
    orphans.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (orphans.wake_fd < 0)
        return;
    orphans.running = make_thread() == 0;
    if (orphans.running)
        return;
    close(orphans.wake_fd);
    orphans.wake_fd = -1;
}

/* After a fork those in the list are not ours, nor is the thread. */
static void check_owner(void) {
    if (orphans.owner == getpid())
        return;
    orphans.owner = getpid();
    if (orphans.running)
        close(orphans.wake_fd);
    orphans.count = 0;
    orphans.wake_fd = -1;
    orphans.running = false;
}

static bool add(const struct proc *child) {
    if (orphans.count == orphans.room) {
        size_t room = orphans.room ? orphans.room * 2 : 16;
        struct proc *children = realloc(orphans.children, room * sizeof *children);
        if (!children)
            return false;
        orphans.children = children;
        orphans.room = room;
    }
    orphans.children[orphans.count++] = *child;
    return true;
}

void proc_disown(const struct proc *child) {
    int status;
    if (proc_reap(child, &status) == 0) {
        pthread_mutex_lock(&orphans.lock);
        check_owner();
        if (add(child)) {
            if (!orphans.running)
                start_thread();
            else
                eventfd_write(orphans.wake_fd, 1);
            pthread_mutex_unlock(&orphans.lock);
            return;
        }
        pthread_mutex_unlock(&orphans.lock); /* no memory: it will be a zombie until we end */
    }
    if (child->pidfd >= 0)
        close(child->pidfd);
}
