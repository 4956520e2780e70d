/*
 * spawn COUNT WIDTH PROGRAM: starts the program COUNT times, WIDTH at a time, with posix_spawn and
 * waitpid, as plainly as a C program can; prints rate=N, children a second. What bench/spawn.lua is
 * compared with.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(char *program) {
    char *argv[] = {program, NULL};
    pid_t pid;
    int err = posix_spawn(&pid, program, NULL, NULL, argv, environ);
    if (!err)
        return;
    fprintf(stderr, "spawn: %s: %s\n", program, strerror(err));
    exit(1);
}

/* Whichever ends first, all of them being ours. */
static void reap(void) {
    int status;
    while (waitpid(-1, &status, 0) < 0)
        if (errno != EINTR)
            exit(1);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        exit(1);
}

int main(int argc, char **argv) {
    long count = argc == 4 ? strtol(argv[1], NULL, 10) : 0;
    long width = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    if (count < 1 || width < 1) {
        fprintf(stderr, "usage: spawn COUNT WIDTH PROGRAM\n");
        return 2;
    }
    double began = now();
    for (long i = 0; i < count; i++) {
        if (i >= width)
            reap();
        start(argv[3]);
    }
    for (long i = 0; i < count && i < width; i++)
        reap();
    printf("rate=%.1f\n", (double)count / (now() - began));
    return 0;
}
