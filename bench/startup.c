/*
 * startup -- how long programs take from start to end, side by side.
 *
 *     startup ROUNDS command [arg...] [:: command [arg...]]...
 *
 * Starts each command in turn, ROUNDS times over, with /dev/null as its standard input and output,
 * and prints per command the median and the best wall time, and the median CPU time, in µs. The
 * commands take turns so that what disturbs the machine disturbs them alike; posix_spawn and wait4
 * add less than a shell would. A command that fails ends the measurement with status 1.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_COMMANDS = 16, MAX_ROUNDS = 10000 };

struct command {
    char **argv;             /* points into main's, ended by a NULL put over the "::" */
    double wall[MAX_ROUNDS]; /* µs */
    double cpu[MAX_ROUNDS];
};

static struct command commands[MAX_COMMANDS];

static double clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double timeval_us(struct timeval t) {
    return (double)t.tv_sec * 1e6 + (double)t.tv_usec;
}

static void fail(const char *what, const char *command) {
    fprintf(stderr, "startup: %s: %s\n", what, command);
    exit(1);
}

static void run_once(struct command *c, int round, posix_spawn_file_actions_t *to_null) {
    struct rusage usage;
    pid_t pid;
    int status;
    double start = clock_us();
    if (posix_spawnp(&pid, c->argv[0], to_null, NULL, c->argv, environ) != 0)
        fail("cannot start", c->argv[0]);
    if (wait4(pid, &status, 0, &usage) != pid)
        fail("wait4 failed", c->argv[0]);
    c->wall[round] = clock_us() - start;
    c->cpu[round] = timeval_us(usage.ru_utime) + timeval_us(usage.ru_stime);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("did not succeed", c->argv[0]);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Splits argv at each "::": the number of commands, or -1 if one is empty or there are too many. */
static int split(int argc, char **argv) {
    int n = 0;
    for (int start = 0, i = 0; i <= argc; i++) {
        if (i < argc && strcmp(argv[i], "::") != 0)
            continue;
        if (i == start || n == MAX_COMMANDS)
            return -1;
        argv[i] = NULL;
        commands[n++].argv = &argv[start];
        start = i + 1;
    }
    return n;
}

int main(int argc, char **argv) {
    int rounds = argc > 2 ? atoi(argv[1]) : 0;
    int n = rounds > 0 && rounds <= MAX_ROUNDS ? split(argc - 2, argv + 2) : -1;
    if (n <= 0) {
        fprintf(stderr, "usage: startup ROUNDS command [arg...] [:: command [arg...]]...\n");
        return 2;
    }
    posix_spawn_file_actions_t to_null;
    posix_spawn_file_actions_init(&to_null);
    posix_spawn_file_actions_addopen(&to_null, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&to_null, 1, "/dev/null", O_WRONLY, 0);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < n; i++)
            run_once(&commands[i], round, &to_null);
    for (int i = 0; i < n; i++) {
        struct command *c = &commands[i];
        double wall = median(c->wall, rounds);
        printf("index=%d median=%.0f min=%.0f cpu=%.0f command=%s\n", i + 1, wall, c->wall[0],
               median(c->cpu, rounds), c->argv[0]);
    }
    posix_spawn_file_actions_destroy(&to_null);
    return 0;
}
