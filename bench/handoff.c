/*
 * handoff.c - the baseline for calls into threads and processes: a turn handed to and fro.
 *
 *     handoff thread COUNT     between two threads, with a mutex and a condition variable each
 *     handoff process COUNT    between two processes, a byte through a socket pair
 *
 * Prints the time of a round trip in microseconds.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int turn;
static long count;

/* Each side waits for its turn, then hands it over. */
static void take_turns(int me) {
    for (long i = 0; i < count; i++) {
        pthread_mutex_lock(&lock);
        while (turn != me)
            pthread_cond_wait(&changed[me], &lock);
        turn = !me;
        pthread_cond_signal(&changed[!me]);
        pthread_mutex_unlock(&lock);
    }
}

static void *other(void *unused) {
    take_turns(1);
    return unused;
}

static void between_threads(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, other, NULL))
        exit(1);
    take_turns(0);
    pthread_join(thread, NULL);
}

static void pass(int fd, int first) {
    char byte = 0;
    for (long i = 0; i < count; i++) {
        if (first && write(fd, &byte, 1) != 1)
            exit(1);
        if (read(fd, &byte, 1) != 1)
            exit(1);
        if (!first && write(fd, &byte, 1) != 1)
            exit(1);
    }
}

static void between_processes(void) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        pass(fds[1], 0);
        _exit(0);
    }
    pass(fds[0], 1);
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv) {
    struct timespec begin, end;
    if (argc != 3)
        return 2;
    count = atol(argv[2]);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (strcmp(argv[1], "thread") == 0)
        between_threads();
    else
        between_processes();
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
    printf("%.3f\n", ns / 1e3 / (double)count);
    return 0;
}
