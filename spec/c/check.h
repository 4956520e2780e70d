/*
 * check: the few words in which the unit tests of the plain C layer are written.
 *
 * CHECK("sentence", condition) counts and, when it fails, prints the sentence and its line.
 * check_end() prints "N passed, N failed" and returns the exit status of main. Not for use from
 * several threads at once.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int check_passed, check_failed;

#define CHECK(sentence, condition) check_one((sentence), (condition), #condition, __LINE__)

static inline void check_one(const char *sentence, int holds, const char *condition, int line) {
    if (holds) {
        check_passed++;
        return;
    }
    check_failed++;
    printf("not so, line %d: %s (%s)\n", line, sentence, condition);
}

static inline int check_end(void) {
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed > 0;
}

/* WAIT_FOR(condition): until it holds, at most ten seconds; its value is whether it does. */
#define WAIT_FOR(condition)                                                                        \
    __extension__({                                                                                \
        int tries_ = 10000;                                                                        \
        while (!(condition) && --tries_ > 0)                                                       \
            check_pause();                                                                         \
        tries_ > 0;                                                                                \
    })

static inline void check_pause(void) {
    struct timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, NULL);
}

#endif
