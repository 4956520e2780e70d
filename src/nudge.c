/*
 * nudge.c - the handler of nudge.h.
 */
#include "nudge.h"

#include <errno.h>
#include <stddef.h>

static bool (*ours)(void);
static struct sigaction old;
static int installed; /* 0 or a negative errno */

void nudge_set_handler(bool (*handler)(void)) {
    ours = handler;
}

static void on_signal(int signo, siginfo_t *info, void *context) {
    int saved = errno;
    bool taken = ours && ours();
    if (!taken && old.sa_flags & SA_SIGINFO)
        old.sa_sigaction(signo, info, context);
    else if (!taken && old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
        old.sa_handler(signo);
    errno = saved;
}

static void install(void) {
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&sa.sa_mask);
    installed = sigaction(NUDGE_SIGNAL, &sa, &old) < 0 ? -errno : 0;
}

int nudge_prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    return installed;
}

void nudge_thread(pthread_t id) {
    pthread_kill(id, NUDGE_SIGNAL);
}
